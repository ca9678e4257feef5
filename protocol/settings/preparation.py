"""Preparation: what a column of a linear model goes through before it becomes whole numbers, as it is declared.

Keys left out under a column are the job's, and those that the job leaves out are what a column goes through anyway:
missing values at the mean, standard deviations from it, a column a category but the most frequent.
"""

from typing import ClassVar, Final, Literal

import msgspec
import numpy as np
from pydantic import Field, model_validator

from protocol.settings.added_keys import Section

Impute = Literal["mean", "median", "most-frequent", "constant"]
Clip = Literal["none", "quantiles", "deviations", "bounds"]
Transform = Literal["none", "log1p", "signed-log"]
Scale = Literal["standard", "robust", "min-max", "none"]

MOST_FREQUENT: Final = "most-frequent"
REST: Final = "rest"
NAMED: Final = "named"
"""What is told of a reference level that a party names: not which it is."""
_USUAL_LIMITS: Final = {"none": (0.0, 0.0), "quantiles": (0.01, 0.99), "deviations": (-3.0, 3.0)}


class Treatment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one column goes through, every key decided.

    impute, constant: what stands for a missing value. indicator: a further column that is 1 where it is missing.
    clip, limits: quantiles, standard deviations from the mean, or values. levels: most categories with a level of their
    own, 0 for all; min_share: of the rows, that such a level has; reference: the level that has no column.
    """

    impute: Impute = "mean"
    constant: float = 0.0
    indicator: bool = False
    clip: Clip = "none"
    limits: tuple[float, float] = (0.0, 0.0)
    transform: Transform = "none"
    scale: Scale = "standard"
    levels: int = 0
    min_share: float = 0.0
    reference: str = MOST_FREQUENT


USUAL: Final = Treatment()
"""What every column goes through where nothing is declared."""


class Preparation(Section):
    """[preparation] of a job, or of one column under `prepare`. None: as the job has it, or as usual."""

    ADDED: ClassVar = (
        "impute", "constant", "indicator", "clip", "limits", "transform", "scale", "levels", "min_share", "reference",
    )  # fmt: skip

    impute: Impute | None = None
    constant: float | None = Field(None, allow_inf_nan=False)
    indicator: bool | None = None
    clip: Clip | None = None
    limits: tuple[float, float] | None = None
    transform: Transform | None = None
    scale: Scale | None = None
    levels: int | None = Field(None, ge=0, le=255)
    min_share: float | None = Field(None, ge=0, le=0.5)
    reference: str | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> "Preparation":
        if (self.impute == "constant") != (self.constant is not None):
            raise ValueError('impute "constant" and the key constant belong together')
        if self.limits is not None and self.clip in (None, "none"):
            raise ValueError('limits say where clip "quantiles", "deviations" or "bounds" cuts, and need it')
        if self.clip == "bounds" and self.limits is None:
            raise ValueError('clip "bounds" needs limits, the lowest and the highest value')
        if not possible(self.treatment()):
            raise ValueError("limits are two numbers, the lower one first; quantiles lie between 0 and 1")
        return self

    def treatment(self, job: Treatment = USUAL) -> Treatment:
        """Every key decided. job: by what the keys left out are decided."""
        given = self.model_dump()  # without keys left out
        if self.clip is not None and self.limits is None:
            given["limits"] = _USUAL_LIMITS[self.clip]
        if self.impute not in (None, "constant"):
            given["constant"] = 0.0
        return msgspec.structs.replace(job, **given)


def possible(treatment: Treatment) -> bool:
    """Whether limits can be what they are said to be."""
    low, high = treatment.limits
    if not np.isfinite([low, high, treatment.constant]).all():
        return False
    if treatment.clip == "quantiles":
        return 0 <= low < high <= 1
    return low <= high if treatment.clip == "none" else low < high


def kinds_of(treatment: Treatment) -> Treatment:
    """What a party may tell of it: not the values that it names of its own column."""
    named = treatment.reference not in (MOST_FREQUENT, REST)
    return msgspec.structs.replace(
        treatment,
        constant=0.0,
        limits=(0.0, 0.0) if treatment.clip == "bounds" else treatment.limits,
        reference=NAMED if named else treatment.reference,
    )


def text_of(treatment: Treatment) -> str:
    """For people: "median imputed, clipped by quantiles 0.01 to 0.99, robust", "" of the usual treatment."""
    low, high = treatment.limits
    parts = {
        f"{treatment.impute} imputed": treatment.impute != USUAL.impute,
        "missing indicated": treatment.indicator,
        f"clipped by {treatment.clip}{f' {low:g} to {high:g}' if low < high else ''}": treatment.clip != "none",
        treatment.transform: treatment.transform != "none",
        f"scale {treatment.scale}": treatment.scale != USUAL.scale,
        f"{treatment.levels} levels at most": treatment.levels > 0,
        f"levels of {treatment.min_share:g} at least": treatment.min_share > 0,
        f"reference {treatment.reference}": treatment.reference != MOST_FREQUENT,
    }
    return ", ".join(part for part, said in parts.items() if said)

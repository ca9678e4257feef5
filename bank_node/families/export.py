"""The bank's part of a model as one JSON file that another implementation can score (docs/model-folder.md)."""

import json
from typing import Any, Final

import msgspec

from bank_node.families.catalogue import family_of
from bank_node.models.folder import ModelFolder

FORMAT: Final = "fedwarn-model"
VERSION: Final = 1
LINKS: Final = {
    "binary:logistic": "sigmoid",
    "reg:squarederror": "identity",
    "count:poisson": "exp",
    "reg:tweedie": "exp",
    "multi:softprob": "softmax",
}
"""By objective: what makes a prediction of a margin. Under softmax there is a margin a class: `base_margin` is a list,
and tree t adds to the margin of class t modulo their number."""


def exported_text(model: ModelFolder) -> bytes:
    """The file."""
    return json.dumps(exported(model), ensure_ascii=False, indent=1).encode() + b"\n"


def exported(model: ModelFolder) -> dict[str, Any]:
    """The document: what all families have alike, and the family's own keys."""
    about, kept = model.about, model.model
    return {
        "format": FORMAT,
        "version": VERSION,
        "kind": about.kind,
        "model_sha256": about.sha256,
        "objective": kept.objective,
        "link": LINKS[kept.objective],
        "bank": about.bank,
        "handles": about.handles,
        **family_of(about.kind).export(kept),
        "calibration": msgspec.to_builtins(about.calibration),
        **({} if about.scorecard is msgspec.UNSET else {"scorecard": about.scorecard}),
    }

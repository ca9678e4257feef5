"""The contract: clauses that both nodes read and enforce. The stricter value of each holds.

Defaults are those of a partner that knows what sums and split bits give away (SECURITY.md says why each
number stands where it does).
"""

import hashlib
import json
from math import ceil
from typing import ClassVar, Final

from pydantic import ConfigDict, Field

from protocol.errors import RefusedError
from protocol.settings.added_keys import WithAddedKeys

MOST_THRESHOLDS: Final = 255
"""A column has no more bins, and so this limits nothing."""

NO_LIMIT: Final = 1e9
"""Bits that no table has."""


class Contract(WithAddedKeys):
    """What a partner permits, and a bank keeps to.

    min_rows_per_bin: rows; a smaller bin joins another before anything is summed over it.
    min_split_side: share of the table's rows that each side of a split has at least; a smaller one
    singles out people.
    min_rows_per_node: rows; the bank does not query smaller tree nodes. The bank's to keep.
    max_equations_share: sums released a matched row, for life; a vector counts 1, packed (g, h) 2.
    max_information_share: share of the entropy of the partner's bins that split bits may reveal.
    histogram_noise: standard deviation of the noise on boosting sums, in units of a row's largest value.
    score_releases: partial-score vectors released on one alignment, for life.
    min_glm_columns, max_glm_columns: of a partner in a generalised linear model; fewer would show single columns in its
    partial scores. score_decimals: to which these are rounded.
    masked_scores: whether partners that share one order of rows hide their partial scores in the sum of all partners'.
    max_readable_share: share of the entropy of the partner's bins that a bank could read at worst, in (0, 1]. 1 stands
    for an absent clause: the bank may read what the approved job needs, which the job's equations and releases limit.
    max_thresholds_a_column: splits of one column that are revealed at most, for life.
    trainings: encrypted trainings within the validity of a contract.
    refreshes: versions of a table on which splits that are known are told again.
    max_ids: ids evaluated, a row that is approved, in alignments, refreshes and look-ups.
    lookups_per_day: ids of new customers looked up in a day. max_column_share: as max_information_share, of one column.
    max_told_anew: bits a row that refreshes tell within a year. max_bits_a_row: bits a row that splits tell at most.
    max_iv_decimals: to which the bank tells the partner what its columns' information values are; 0: not at all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    ADDED: ClassVar = (
        "min_glm_columns", "max_glm_columns", "score_decimals", "max_iv_decimals", "masked_scores", "min_split_side",
        "max_readable_share", "max_thresholds_a_column", "trainings", "refreshes", "max_ids", "lookups_per_day",
        "max_column_share", "max_told_anew", "max_bits_a_row",
    )  # fmt: skip

    min_rows_per_bin: int = Field(20, ge=0)
    min_rows_per_node: int = Field(50, ge=0)
    max_equations_share: float = Field(0.1, ge=0)
    max_information_share: float = Field(0.20, ge=0, le=1)
    histogram_noise: float = Field(4.0, ge=0, le=1024)
    score_releases: int = Field(60, ge=0)
    min_glm_columns: int = Field(4, ge=1)
    max_glm_columns: int = Field(30, ge=0, le=30)
    score_decimals: int = Field(2, ge=0, le=9)
    max_iv_decimals: int = Field(0, ge=0, le=3)
    masked_scores: bool = True
    min_split_side: float = Field(0.005, ge=0, le=0.5)
    max_readable_share: float = Field(1.0, gt=0, le=1)
    max_thresholds_a_column: int = Field(MOST_THRESHOLDS, ge=0, le=MOST_THRESHOLDS)
    trainings: int = Field(2, ge=0)
    refreshes: int = Field(12, ge=0)
    max_ids: float = Field(1.5, gt=0)
    lookups_per_day: int = Field(1000, ge=0)
    max_column_share: float = Field(1.0, gt=0, le=1)
    max_told_anew: float = Field(NO_LIMIT, gt=0)
    max_bits_a_row: float = Field(NO_LIMIT, gt=0)

    @property
    def clauses(self) -> dict[str, float]:
        """Every clause by name."""
        return {name: getattr(self, name) for name in type(self).model_fields}

    @property
    def digest(self) -> str:
        """SHA-256 of all clauses: names the contract that a model was trained under."""
        text = json.dumps(self.model_dump(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def smallest_bin(self, rows: int) -> int:
        """Return the fewest rows that a bin, and so a side of a split, may have in a table."""
        return max(self.min_rows_per_bin, ceil(self.min_split_side * rows))

    def stricter(self, other: "Contract") -> "Contract":
        """Clause by clause the stricter of two contracts: lower limits, higher minima, more noise."""
        pick = {name: (min if _falls(name) else max) for name in type(self).model_fields}
        return Contract(**{name: choose(getattr(self, name), getattr(other, name)) for name, choose in pick.items()})


def refuse(party: str, clause: str, thing: str, remedy: str) -> RefusedError:
    """The error of a request that a clause forbids; it names the clause."""
    return RefusedError(party, f"{thing} (contract clause {clause})", remedy, clause)


def _falls(clause: str) -> bool:
    """Whether a lower value of this clause is the stricter one."""
    limits = ("score_releases", "score_decimals", "trainings", "refreshes", "lookups_per_day")
    return clause.startswith("max_") or clause in limits

"""What models have in common: the bins of their columns, and which columns linear models keep."""

from typing import Literal

from pydantic import Field

from protocol.algorithms.binning import MAX_BIN, Kind
from protocol.settings.added_keys import Section


class Binning(Section):
    """[binning]: the bins of bin tables and scorecards.

    kind, special: how every party cuts its columns into fine bins (`Cutting`). max_bin: fine bins a column, 0: as many
    as the first boosted model has, or 16. merge: how the bank then joins fine bins by their goods and bads. max_bins:
    joined bins at most, but for special values and missing. min_share: of the rows trained on, in each of these.
    level: of chi-merge, at which two bins differ.
    """

    kind: Kind = "quantile"
    max_bin: int = Field(default=0, ge=0, le=MAX_BIN)
    special: tuple[float, ...] = ()
    merge: Literal["none", "chi-merge", "monotone"] = "none"
    max_bins: int = Field(default=6, ge=2, le=MAX_BIN)
    min_share: float = Field(default=0.05, ge=0, le=0.5)
    level: float = Field(default=0.95, gt=0, lt=1)


class Selection(Section):
    """[selection]: which columns linear models keep, and what the report says of all.

    By column alone: max_missing, max_single (share of its rows with one value; of a partner's, in its largest bin),
    max_stability (between training and test rows). Among columns: max_correlation, max_inflation, method (p_enter,
    p_remove), signs (no column whose points would rise with risk). 0 in max_stability and max_inflation: not asked.
    """

    max_missing: float = Field(default=1.0, ge=0, le=1)
    max_single: float = Field(default=1.0, ge=0, le=1)
    max_stability: float = Field(default=0.0, ge=0)
    max_correlation: float = Field(default=1.0, gt=0, le=1)
    max_inflation: float = Field(default=0.0, ge=0)
    method: Literal["none", "forward", "stepwise"] = "none"
    p_enter: float = Field(default=0.05, gt=0, lt=1)
    p_remove: float = Field(default=0.1, gt=0, lt=1)
    signs: bool = False

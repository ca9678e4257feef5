"""What a training of trees is given, and what it ends with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from bank_node.algorithms.disguise import Suspect
from bank_node.algorithms.objective import Objective
from bank_node.algorithms.partner_view import PartnerView
from bank_node.models.trees import BankSplit, TreeModel
from bank_node.timing import Stopwatch
from protocol.algorithms.binning import CategoryRule, Rule, in_order
from protocol.algorithms.boosting import Kept, Split
from protocol.algorithms.parameters import BoostingParams
from protocol.algorithms.runs import Label
from protocol.errors import DataError
from protocol.messages import F64, U8

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class BankColumns:
    """The bank's own columns, binned. names, rules: d of them. bins: shape (n, d), uint8."""

    names: tuple[str, ...]
    rules: tuple[Rule, ...]
    bins: U8

    def directions(self, params: BoostingParams) -> tuple[int, ...]:
        """Which way the margin may go as each column grows: 1 up, -1 down, 0 free."""
        return tuple(params.monotone_constraints.get(name, 0) for name in self.names)

    def require_ordered(self, params: BoostingParams, bank: str) -> None:
        """Raises: DataError: a column of categories was given a direction."""
        for name, rule, direction in zip(self.names, self.rules, self.directions(params), strict=True):
            if direction and not in_order(rule):
                thing = f"column {name!r} holds categories, which have no direction"
                raise DataError(bank, thing, "take it out of monotone_constraints, or name it under ordered")

    def split(self, split: Split) -> BankSplit:
        """A split by its values, as the model file keeps it."""
        rule, name = self.rules[split.column], self.names[split.column]
        if isinstance(rule, CategoryRule):
            among = {category for b in split.left for category in rule.groups[b]}
            others = {category for group in rule.groups for category in group} - among
            return BankSplit(name, among=tuple(sorted(among)), others=tuple(sorted(others)))
        whole = len(split.left) == rule.ordinary
        return BankSplit(name, below=None if whole else float(rule.cuts[len(split.left) - 1]))


@dataclass(frozen=True)
class Task:
    """One training: who is called what, the rows, the parameters and the limits.

    label: the place of the training in the job, of which all its labels are made. bank: the bank's party name.
    train, validation: which of the n rows are fitted on, and judged on for early stopping, shape (n,).
    min_rows_per_node: smaller nodes are not queried. histogram_noise: that partners add.
    """

    label: Label
    bank: str
    objective: Objective
    train: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    validation: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    params: BoostingParams
    seed: int
    min_rows_per_node: int
    histogram_noise: float
    columns: BankColumns
    partners: tuple[PartnerView, ...]
    progress: Progress = lambda done, total: None
    clock: Stopwatch = field(default_factory=Stopwatch)


@dataclass(frozen=True)
class Boosted:
    """What a training ends with.

    margin: of every row, shape (n,), or (n, classes). queries: vectors sent to each partner.
    handles: of the trees that were kept. Numbered by first use, those of the trees left out come last.
    suspects: columns that may be the label in disguise.
    """

    model: TreeModel
    margin: F64
    queries: int
    handles: Mapping[str, tuple[Split, ...]]
    kept: Mapping[str, Kept]
    suspects: tuple[Suspect, ...] = ()

"""What a training of trees is given, and what it ends with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from bank_node.family.bank_columns import BankColumns
from bank_node.family.fitted import Fitted
from bank_node.family.objective import Objective
from bank_node.models.trees import TreeModel
from bank_node.partners.partner_view import PartnerView
from bank_node.settings.timing import Stopwatch
from bank_node.trees.target_leakage import LeakingColumn
from protocol.algorithms.boosting import Split
from protocol.algorithms.parameters import BoostingParams
from protocol.algorithms.runs import Label

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Task:
    """One training: who is called what, the rows, the parameters and the limits.

    label: the place of the training in the job, of which all its labels are made. bank: the bank's party name.
    train, validation: which of the n rows are fitted on, and judged on for early stopping, shape (n,).
    min_rows_per_node: smaller nodes are not queried. histogram_noise: that partners add.
    found: splits that earlier party sets of the run revealed, by partner; this one begins with them.
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
    found: Mapping[str, frozenset[Split]] = field(default_factory=dict)
    progress: Progress = lambda done, total: None
    clock: Stopwatch = field(default_factory=Stopwatch)

    @property
    def rounds(self) -> tuple[int, int] | None:
        """Rounds of discovery at most, and encrypted trees a round; None where every tree is encrypted."""
        by_node = any(view.split_rows == "node" for view in self.partners)
        return self.params.rounds("node" if by_node else "all")


@dataclass(frozen=True, kw_only=True)
class Boosted(Fitted):
    """What a training ends with.

    handles: of the trees that were kept. Numbered by first use, those of the trees left out come last.
    leaking_columns: that rank the rows as their label does. encrypted_trees: those by sums of the partners, in
    so many rounds of discovery. kept_out: partners whose information budget admitted no split.
    """

    model: TreeModel
    handles: Mapping[str, tuple[Split, ...]]
    leaking_columns: tuple[LeakingColumn, ...] = ()
    encrypted_trees: int = 0
    rounds: int = 0
    kept_out: tuple[str, ...] = ()

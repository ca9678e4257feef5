"""A bank and its partners in one process, from arrays: what the tests of the algorithms start from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bank_node.algorithms.boosting import BankColumns, Boosted, Task, boost
from bank_node.algorithms.objective import Logistic
from bank_node.algorithms.parameters import BoostingParams
from bank_node.algorithms.partner_view import KnownSplits, PartnerView
from partner_node.algorithms.binning import bin_table
from partner_node.algorithms.boosting import BoostingAnswerer, BoostingState
from partner_node.budgets import Budgets
from protocol.algorithms.binning import apply_rule, fit_rule
from protocol.algorithms.boosting import Opening
from protocol.contract import Contract
from protocol.he.engines import evaluator, secret_kit
from protocol.messages import Message, decode, encode
from protocol.role import Replies, Requests, drive
from protocol.table import Column

OPEN = Contract(
    min_rows_per_bin=0,
    min_rows_per_node=0,
    max_equations_share=1e9,
    max_information_share=1.0,
    histogram_noise=0.0,
)
"""A contract without limits, for tests of exactness."""


@dataclass
class Laboratory:
    """One bank, `partners` by name with their columns and the positions of the bank's rows in theirs."""

    y: np.ndarray
    bank: Sequence[Column]
    partners: dict[str, Sequence[Column]]
    positions: dict[str, np.ndarray]
    folder: Path
    contract: Contract = OPEN
    engine: str = "plaintext"
    split_rows: str = "all"

    def run(
        self, params: BoostingParams, seed: int = 0, train: np.ndarray | None = None, rung: str = "all"
    ) -> Boosted:
        """Train once over these parties."""
        self.answerers, views = {}, []
        for name, columns in self.partners.items():
            view, answerer = self._partner(name, columns, params)
            views.append(view)
            self.answerers[name] = answerer
        rules = [fit_rule(c, params.max_bin, 1) for c in self.bank]
        bins = np.stack([apply_rule(r, c) for r, c in zip(rules, self.bank, strict=True)], axis=1)
        train = np.ones(len(self.y), dtype=bool) if train is None else train
        weights = np.where(self.y > 0, params.scale_pos_weight, 1.0)
        self.task = Task(
            label=f"job/{rung}/0/0/0",
            bank="bank",
            objective=Logistic(self.y, weights),
            train=train,
            validation=~train,
            params=params,
            seed=seed,
            min_rows_per_node=self.contract.min_rows_per_node,
            histogram_noise=self.contract.histogram_noise,
            columns=BankColumns(tuple(c.name for c in self.bank), tuple(rules), bins),
            partners=tuple(views),
        )
        return drive(boost(self.task), self.exchange)

    def exchange(self, requests: Requests) -> Replies:
        """Every message really becomes bytes and back."""
        return {p: _over(self.answerers[p].handle(_over(m))) for p, m in requests.items()}

    def _partner(
        self, name: str, columns: Sequence[Column], params: BoostingParams
    ) -> tuple[PartnerView, BoostingAnswerer]:
        table = bin_table(name, columns, params.max_bin, self.contract.min_rows_per_bin)
        rows = len(table.bins)
        matrix = table.aligned(np.arange(rows))
        self.folder.mkdir(parents=True, exist_ok=True)
        budgets = Budgets(self.folder / f"{name}.sqlite", name)
        engine = evaluator(self.engine, "bank", b"p" * 32, matrix, b"s" * 32, budgets)
        answerer = BoostingAnswerer(
            name, BoostingState("bank", "data", "alignment", rows), table, matrix, engine, self.contract, budgets,
            self.split_rows, True, b"n" * 32, lambda model, payload: None,
        )  # fmt: skip
        answerer.handle(
            Opening(
                job="job", layout="l", rows=int((self.positions[name] >= 0).sum()), equations=0, equations_a_tree=1
            )
        )
        kit = secret_kit(self.engine, name, b"m" * 32, b"s" * 32, engine.hint(), rows)
        known = KnownSplits(rows)
        view = PartnerView(
            name, "l", table.shapes, self.positions[name].astype(np.int64), kit, known, self.split_rows
        )
        return view, answerer

    def with_engine(self, engine: str, folder: Path) -> "Laboratory":
        """The same on another engine."""
        return replace(self, engine=engine, folder=folder)


def _over(message: Message) -> Message:
    return decode(message.KIND, encode(message))


def numbers(name: str, values: np.ndarray) -> Column:
    """A numeric column."""
    return Column(name, "number", numbers=np.asarray(values, dtype=np.float64))


def some_columns(rng: np.random.Generator, n: int, d: int, missing: float, levels: int = 9) -> list[Column]:
    """Columns of a few levels each, with gaps."""
    out = []
    for j in range(d):
        values = rng.integers(0, levels, n).astype(float)
        values[rng.random(n) < missing] = np.nan
        out.append(numbers(f"x{j}", values))
    return out

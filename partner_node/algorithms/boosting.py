"""The partner's half of boosted trees: sums over sealed vectors, split bits within its budgets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np

from partner_node.algorithms.binning import BinnedTable
from partner_node.algorithms.information import Information
from partner_node.algorithms.sealing import SplitSealer
from partner_node.policy.budgets import Budgets
from protocol.algorithms.binning import CategoryRule, NumberRule
from protocol.algorithms.boosting import (
    Handles,
    Kept,
    NodeSplitQuery,
    Opened,
    Opening,
    Split,
    SplitBits,
    SplitQuery,
    Splits,
    Sums,
    SumsQuery,
)
from protocol.contract import Contract, refuse
from protocol.errors import ALIGN_ANEW, IntegrityError, PeerError
from protocol.he.base import PLAINTEXT_BITS, Cleartext, OneHot, PublicEvaluator
from protocol.he.noise import noise_of_query
from protocol.he.plan import Field, Plan
from protocol.messages import Message


class KeptHandle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands behind a handle of a bank's model: a column, its rule, and the bins that go left."""

    column: str
    rule: NumberRule | CategoryRule
    left: tuple[int, ...]


@dataclass(frozen=True)
class BoostingState:
    """All that the partner remembers of one layout between messages.

    bank, data: for whom, and under which account, the budgets count. rows: matched rows that the bank declared, the
    most that it may declare being `matches`. records: rows of its table, of which one may stand behind several rows
    of a row space, and which bound the equation budget then. job: opened last. approved: equations that its approved
    file plans.
    """

    bank: str
    data: str
    alignment: str
    matches: int
    records: int
    rows: int = 0
    job: str = ""
    approved: int | None = None


@dataclass
class BoostingAnswerer:
    """Answers a bank's trainings on one layout.

    table: the bins of the whole table. matrix, evaluator: over the rows of the alignment. enforced: whether the
    equation budget refuses, or is only counted. noise_key: of the histogram noise. keep: stores a model's handles.
    sealer: of split bits, where the alignment has row keys.
    """

    party: str
    state: BoostingState
    table: BinnedTable
    matrix: OneHot
    evaluator: PublicEvaluator
    contract: Contract
    budgets: Budgets
    split_rows: str
    enforced: bool
    noise_key: bytes = field(repr=False)
    keep: Callable[[str, bytes], None]
    sealer: SplitSealer | None = None

    def __post_init__(self) -> None:
        by_row = self.split_rows == "node"
        ordinary = [shape.ordinary for shape in self.table.shapes]
        whole = OneHot(self.table.bins, self.matrix.sizes, len(self.table.bins), np.arange(len(self.table.bins)))
        self._information = Information(self.matrix if by_row else whole, ordinary, by_row)
        self._answered: set[tuple[Split, bytes]] = set()
        self._count_new()

    def handle(self, message: Message) -> Message:
        """The reply to one message of a training."""
        match message:
            case Opening():
                return self._open(message)
            case SumsQuery():
                return self._sum(message)
            case SplitQuery() | NodeSplitQuery():
                return self._tell(message)
            case Handles():
                return self._keep(message)
        raise PeerError(self.state.bank, f"sent {message.KIND} in a training", "run the same version on both sides")

    def _open(self, opening: Opening) -> Opened:
        """Does the job fit the equation budget? Said before anything is computed."""
        if opening.rows > self.state.matches:
            raise PeerError(self.state.bank, "declared more rows than it matched", ALIGN_ANEW)
        self.state = replace(self.state, rows=opening.rows, job=opening.job)
        spent, limit = self._equations(), self._limit()
        planned = max(0, opening.equations - self.budgets.equations(self.state.bank, self.state.data, opening.job))
        if self.enforced and spent + planned > limit:
            trees = max(0, (limit - spent) // max(1, opening.equations_a_tree))
            raise refuse(
                self.party,
                "max_equations_share",
                f"the job would release {planned} equations, and {max(0, limit - spent)} of {limit} are left",
                f"plan about {trees} trees of this depth in all rungs together"
                if opening.equations_a_tree
                else "plan fewer columns, iterations or rungs",
            )
        return Opened(
            equations=spent, equations_limit=limit, enforced=self.enforced, information_share=self.information_share
        )

    def _sum(self, query: SumsQuery) -> Sums:
        """Noisy sums a bin; the budgets are spent before they are computed."""
        self._require_well_formed(query)
        self.spend(query.labels, 2 if query.packed else 1)
        sums = self.evaluator.answer(query.body, query.labels, query.columns, self._noise(query))
        return Sums(plaintext=isinstance(query.body, Cleartext), sums=sums)

    def spend(self, labels: Sequence[str], each: int) -> None:
        """Count equations before they are released. Raises: RefusedError, IntegrityError (`Budgets`)."""
        limit, state = self._limit() if self.enforced else None, self.state
        self.budgets.spend_equations(
            state.bank, state.data, state.alignment, labels, each, limit, state.job, state.approved
        )

    def _noise(self, query: SumsQuery) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """Noise of all vectors of a query, shape (B, rows of its columns)."""
        plan = Plan(query.packed, Field(0, query.g_log2), Field(0, query.h_log2))
        sizes = [int(self.matrix.sizes[j]) for j in query.columns]
        places = [self.table.shapes[j].number for j in query.columns]
        level = self.contract.histogram_noise
        nodes = query.labels if query.packed else [label.removesuffix("/g") for label in query.labels[::2]]
        drawn = [noise_of_query(self.noise_key, label, places, sizes, level, plan) for label in nodes]
        return np.concatenate(drawn)

    def _require_well_formed(self, query: SumsQuery) -> None:
        """Refuse what would get round the noise, before anything is spent."""
        labels = query.labels
        self.matrix.require_columns(query.columns, self.state.bank)
        if any(not label.startswith(f"{self.state.job}/") for label in labels) or not self.state.job:
            raise self._wrong("asked under the label of a job it has not opened", "open the job first")
        if len(set(labels)) != len(labels) or not labels:
            raise self._wrong("asked twice under one label", "run the same version on both sides")
        pairs = [(f"{g.removesuffix('/g')}/g", f"{g.removesuffix('/g')}/h") for g in labels[::2]]
        if not query.packed and labels != tuple(label for pair in pairs for label in pair):
            raise self._wrong("sent vectors that are not pairs of g and h", "run the same version on both sides")
        if not all(0 <= width < PLAINTEXT_BITS for width in (query.g_log2, query.h_log2)):
            raise self._wrong("declared an impossible row value", "run the same version on both sides")

    def _wrong(self, thing: str, remedy: str) -> IntegrityError:
        return IntegrityError(self.state.bank, thing, remedy)

    def _tell(self, query: SplitQuery | NodeSplitQuery) -> Splits:
        """Bits of each split, unless they would pass the information budget."""
        rows = [r.tobytes() for r in query.rows] if isinstance(query, NodeSplitQuery) else [b""] * len(query.splits)
        if isinstance(query, NodeSplitQuery) != (self.split_rows == "node") or len(rows) != len(query.splits):
            raise PeerError(
                self.state.bank, "asks for split bits in another way than agreed", "set the same split_rows"
            )
        self._count_new()
        bits = tuple(self._bits(split, among) for split, among in zip(query.splits, rows, strict=True))
        return Splits(bits=bits, information_share=self.information_share)

    def _bits(self, split: Split, rows: bytes) -> SplitBits | None:
        shapes = self.table.shapes
        if not (0 <= split.column < len(shapes) and all(0 <= b < shapes[split.column].ordinary for b in split.left)):
            raise IntegrityError(self.state.bank, "asked for a split that does not exist", ALIGN_ANEW)
        if (split, rows) not in self._answered:
            share = self._information.share_after(split, self._among(rows)) + self._other_shares()
            if share > self.contract.max_information_share:
                return None
            self._count(split, rows)
            self.budgets.reveal(*self._account, self.state.alignment, split, rows)
            self.budgets.set_share(*self._account, self._information.share)
        flags = self._flags(split, rows)
        return self.sealer.seal(split, flags) if self.sealer else flags

    def _flags(self, split: Split, rows: bytes) -> SplitBits:
        """Left and missing, a bit a row of the row space."""
        side = np.zeros(256, dtype=np.int8)
        side[list(split.left)] = 1
        side[self.table.shapes[split.column].ordinary :] = 2
        told = np.zeros(self.matrix.n, dtype=np.int8)
        told[self.matrix.positions] = side[self.matrix.bins[:, split.column]]
        if rows:
            told *= np.unpackbits(np.frombuffer(rows, dtype=np.uint8), count=self.matrix.n).astype(np.int8)
        return SplitBits(np.packbits(told == 1), np.packbits(told == 2))

    def _keep(self, handles: Handles) -> Kept:
        """Store what stands behind a model's handles, by values, so that it can score other tables."""
        self._count_new()
        if not all(self._was_told(split) for split in handles.splits):
            raise IntegrityError(
                self.state.bank, "names a split that it was never told", "run the same version on both sides"
            )
        names, rules = self.table.names, self.table.rules
        kept = [KeptHandle(names[s.column], rules[s.column], s.left) for s in handles.splits]
        self.keep(handles.model, msgspec.json.encode(kept))
        return self.kept()

    def kept(self) -> Kept:
        """What is spent, at the end of a model."""
        return Kept(
            equations=self._equations(), equations_limit=self._limit(), information_share=self.information_share
        )

    def _was_told(self, split: Split) -> bool:
        """Whether the bank can know this split: it was answered, or separates only rows not held."""
        shape = self.table.shapes[split.column]
        whole = len(split.left) == shape.ordinary and not shape.missing
        return whole or any(known == split for known, _ in self._answered)

    @property
    def information_share(self) -> float:
        """Of the partner's bins, told to this bank so far, over all binnings of the table."""
        return min(1.0, self._information.share + self._other_shares())

    @property
    def _account(self) -> tuple[str, str, bytes]:
        """Under which the meter is kept: with split_rows = "node" every alignment has one, and all add up."""
        by_row = self.split_rows == "node"
        binning = self.table.digest + (self.state.alignment.encode() if by_row else b"")
        return self.state.bank, self.state.data, binning

    def _other_shares(self) -> float:
        return self.budgets.other_shares(*self._account)

    def _count_new(self) -> None:
        """Count what was revealed before a restart, or under another alignment of the same bins."""
        for split, rows in self.budgets.revealed(*self._account, None):
            if (split, rows) not in self._answered:
                self._count(split, rows)

    def _count(self, split: Split, rows: bytes) -> None:
        self._information.reveal(split, self._among(rows))
        self._answered.add((split, rows))

    def _among(self, rows: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]] | None:
        """Of the held rows, those that a node's flags name."""
        if not rows:
            return None
        flags = np.unpackbits(np.frombuffer(rows, dtype=np.uint8), count=self.matrix.n).view(bool)
        return flags[self.matrix.positions]

    def _equations(self) -> int:
        return self.budgets.equations(self.state.bank, self.state.data)

    def _limit(self) -> int:
        return int(self.contract.max_equations_share * min(self.state.rows, self.state.records))

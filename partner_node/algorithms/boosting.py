"""The partner's half of boosted trees: sums over sealed vectors, split bits within its budgets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import numpy as np

from partner_node.algorithms.binning import BinnedTable
from partner_node.algorithms.information import Information
from partner_node.algorithms.sealing import SplitSealer
from partner_node.policy.budgets import Allowance, Asked, Budgets, Run
from partner_node.policy.readable import Bits, Entropy, Readable, readable, require_readable, share_told, vector_bits
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
from protocol.algorithms.runs import Kind, Label
from protocol.contract import Contract, refuse
from protocol.errors import ALIGN_ANEW, IntegrityError, PeerError
from protocol.he.base import CheckedQuery, Cleartext, OneHot, PublicEvaluator
from protocol.he.noise import high_bits, noise_of_node
from protocol.he.plan import WHOLE_BITS, FieldBounds
from protocol.he.streams import digest
from protocol.messages import I64, Message

SAME_VERSION: Final = "run the same version on both sides"


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
    of a row space, and which bound the equation budget then. run: opened last. approved: equations that its approved
    file plans, by kind of label.
    """

    bank: str
    data: str
    alignment: str
    matches: int
    records: int
    rows: int = 0
    run: Run | None = None
    approved: Mapping[str, int] | None = None


@dataclass
class BoostingAnswerer:
    """Answers a bank's trainings on one layout.

    table: the bins of the whole table. matrix, evaluator: over the rows of the alignment. enforced: whether the
    equation budget refuses, or is only counted. keep: stores a pool of splits, and names it. sealer: of split bits,
    where the alignment has row keys. bound: whether noise also depends on a query's bytes, so that a restored copy of
    this node that is asked for other bytes under a used label answers with other noise; off where one hand holds all
    parties, and equal jobs shall give equal models.
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
    keep: Callable[[Run, tuple[KeptHandle, ...]], str]
    sealer: SplitSealer | None = None
    bound: bool = True

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
        run = self.budgets.run(self.state.bank, self.state.data, opening.job, opening.run)
        self.state = replace(self.state, rows=opening.rows, run=run)
        spent, limit = self._equations(), self._limit()
        done = self.budgets.equations(self.state.bank, self.state.data, run.job, run.number)
        planned = max(0, opening.equations - done)
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
            equations=spent,
            equations_limit=limit,
            enforced=self.enforced,
            information_share=share_told(self.information_share),
            readable_share=share_told(self.readable.share),
            largest_readable=share_told(self.readable.largest),
        )

    def _sum(self, query: SumsQuery) -> Sums:
        """Noisy sums a bin; the budgets are spent before they are computed."""
        run = self.run_of("sums", query.labels)
        self._require_well_formed(query)
        checked = self.evaluator.check(query.body, query.vector_labels, query.columns)
        nodes = _by_node(query, checked)
        contexts = [self._context(label, names) for label, names in nodes]
        level = self.contract.histogram_noise
        asked = msgspec.json.encode((query.layout, query.columns, query.packed, query.g, query.h, level))
        requests = [digest(asked, context, *names) for context, (_, names) in zip(contexts, nodes, strict=True)]
        fields = [(bounds.bits, bounds.sigma(self.contract.histogram_noise)) for bounds in (query.g, query.h)]
        self.spend(run, checked, query.labels, requests, 2, self.bits_of(query.columns, fields))
        noise = self._noise(query, run.epoch, contexts)
        if self.evaluator.modular:
            noise += self.high_bits(run.epoch, checked, query.packing.bits * len(query.labels), noise.shape[1])
        return Sums(plaintext=isinstance(query.body, Cleartext), sums=self.evaluator.answer(checked, noise))

    @property
    def run(self) -> Run:
        """The run that was opened last. Raises: IntegrityError: there is none."""
        if self.state.run is None:
            raise self._wrong("asks before it has opened a run", "open the run first")
        return self.state.run

    def run_of(self, kind: Kind, labels: Sequence[Label]) -> Run:
        """The run that labels are asked under. Raises: IntegrityError: another run, or labels of another kind."""
        run = self.run
        if any((label.job, label.run, label.kind) != (run.job, run.number, kind) for label in labels):
            raise self._wrong(f"asked under the label of a run it has not opened, or that is not of {kind}", "open it")
        if len(set(labels)) != len(labels):
            raise self._wrong("asked twice under one label", SAME_VERSION)
        return run

    def spend(
        self, run: Run, checked: CheckedQuery[Any], labels: Sequence[Label], requests: Sequence[bytes], each: int,
        told: Mapping[str, float],
    ) -> None:  # fmt: skip
        """Enter questions, and the flooding of their hint, before they are answered: all, or none.

        told: bits that the answer to one question tells of each column at worst.
        Raises: RefusedError, IntegrityError (`Budgets`).
        """
        asked = [Asked(label.kind, label.text, one, each) for label, one in zip(labels, requests, strict=True)]
        with self.budgets.spending():
            new = self.enter(run, asked)
            if new:
                self.budgets.spend_flood(checked.hint, checked.cost * len(checked.labels) * len(new) / len(asked))
                self.tell(Bits({column: bits * len(new) for column, bits in told.items()}))

    def bits_of(self, columns: Sequence[int], fields: Sequence[tuple[int, float]]) -> dict[str, float]:
        """What the sums of one vector tell at worst of each column, by its name. fields: (bits, sigma) of each."""
        return {self.table.names[j]: vector_bits(self.table.shapes[j].size, fields) for j in columns}

    def tell(self, told: Bits) -> None:
        """Enter what an answer tells at worst. Raises: RefusedError: the bank could then read too much."""
        self.budgets.add_bits(self.state.bank, self.state.data, told)
        if self.contract.max_readable_share < 1:
            require_readable(self.party, self.readable, self.contract.max_readable_share)

    @property
    def readable(self) -> Readable:
        """What a bank that deviated from the protocol could have read so far, at most."""
        meter = self._information
        columns = [Entropy(*one) for one in zip(self.table.names, meter.whole, meter.told, strict=True)]
        bits = self.budgets.bits(self.state.bank, self.state.data)
        return readable(columns, bits, min(self.state.matches, self.state.records), self._other_shares())

    def enter(self, run: Run, asked: Sequence[Asked]) -> list[Asked]:
        """Enter questions; those that are new. Raises: RefusedError, IntegrityError (`Budgets.spend`)."""
        state = self.state
        allowance = Allowance(self._limit() if self.enforced else None, state.approved)
        return self.budgets.spend(state.bank, state.data, state.alignment, run, asked, allowance)

    def _context(self, label: Label, names: Sequence[bytes]) -> bytes:
        """What a node's noise is drawn for: the question, the table as it is binned; no name that holds a nonce."""
        bound = names if self.bound else ()
        return digest(self.state.bank.encode(), self.table.digest, label.unnumbered.encode(), *bound)

    def _noise(self, query: SumsQuery, epoch: bytes, contexts: Sequence[bytes]) -> I64:
        """Noise of all vectors of a query, shape (B, rows of its columns)."""
        sizes = [int(self.matrix.sizes[j]) for j in query.columns]
        places = [self.table.shapes[j].number for j in query.columns]
        level, packing = self.contract.histogram_noise, query.packing
        return np.concatenate([noise_of_node(epoch, one, places, sizes, level, packing) for one in contexts])

    def high_bits(self, epoch: bytes, checked: CheckedQuery[Any], bits: Sequence[int], rows: int) -> I64:
        """Random bits above those that a query declared, shape (B, rows). bits: declared, one a vector."""
        drawn = [
            high_bits(epoch, digest(checked.hint, label.encode(), name), one, rows)
            for label, name, one in zip(checked.labels, checked.names, bits, strict=True)
        ]
        return np.stack(drawn)

    def _require_well_formed(self, query: SumsQuery) -> None:
        """Refuse what would get round the noise, before anything is spent."""
        self.matrix.require_columns(query.columns, self.state.bank)
        if not query.columns:
            raise self._wrong("asked for the sums of no column", SAME_VERSION)
        for bounds in (query.g, query.h):
            self._require_tight(bounds)
        if max(query.packing.bits) > WHOLE_BITS:
            raise self._wrong(f"packed {max(query.packing.bits)} bits where {WHOLE_BITS} are the most", SAME_VERSION)

    def _require_tight(self, bounds: FieldBounds) -> None:
        """Raises: RefusedError: a field would have more bits than sums of so many rows can need."""
        most = min(WHOLE_BITS, bounds.widest(self.state.matches, self.contract.histogram_noise))
        if bounds.bits > most:
            raise refuse(
                self.party, "histogram_noise",
                f"a sum was declared of {bounds.bits} bits, where rows of 2^{bounds.row_log2} at most need {most}",
                "declare the bits that the sums need",
            )  # fmt: skip

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
        return Splits(bits=bits, information_share=share_told(self.information_share))

    def _bits(self, asked: Split, rows: bytes) -> SplitBits | None:
        split = self._canonical(asked)
        self._require_sides(split)
        if (split, rows) not in self._answered:
            after, contract = self._information.after(split, self._among(rows)), self.contract
            share = after.share + self._other_shares()
            if share > contract.max_information_share or after.column > contract.max_column_share:
                return None
            if after.bits > contract.max_bits_a_row or self._is_full(split.column):
                return None
            with self.budgets.spending():
                self.budgets.reveal(*self._account, self.state.alignment, split, rows)
                self._count(split, rows)
                self.budgets.set_share(*self._account, self._information.share)
        flags = self._flags(asked, rows)
        return self.sealer.seal(asked, flags) if self.sealer else flags

    def _is_full(self, column: int) -> bool:
        """Whether the contract admits no further threshold of a column."""
        told = {split for split, _ in self._answered if split.column == column}
        return len(told) >= self.contract.max_thresholds_a_column

    def _canonical(self, split: Split) -> Split:
        """A split that exists, written as the one of its two sets that names it. Raises: IntegrityError."""
        if not split.exists(self.table.shapes):
            raise self._wrong("asked for a split that does not exist", ALIGN_ANEW)
        return split.canonical(self.table.shapes[split.column].ordinary)

    def _require_sides(self, split: Split) -> None:
        """Raises: RefusedError: a side of the split is so small that it would single people out."""
        least = self.contract.smallest_bin(len(self.table.bins))
        sides = [side for side in self._information.sizes(split) if side]
        if min(sides, default=0) < least and len(sides) > 1:
            raise refuse(
                self.party, "min_split_side", f"a side of a split has fewer than {least} rows", "choose another split"
            )

    def _flags(self, split: Split, rows: bytes) -> SplitBits:
        """Left and missing, a bit a row of the row space. split: as it was asked."""
        side = np.zeros(256, dtype=np.int8)
        side[list(split.left)] = 1
        side[self.table.shapes[split.column].ordinary :] = 2
        told = np.zeros(self.matrix.n, dtype=np.int8)
        told[self.matrix.positions] = side[self.matrix.bins[:, split.column]]
        if rows:
            told *= np.unpackbits(np.frombuffer(rows, dtype=np.uint8), count=self.matrix.n).astype(np.int8)
        return SplitBits(np.packbits(told == 1), np.packbits(told == 2))

    def _keep(self, handles: Handles) -> Kept:
        """Store a pool of splits that were told, by values, so that other tables can be scored by it."""
        run = self.run
        if (handles.job, handles.run) != (run.job, run.number):
            raise self._wrong("keeps splits of a run it has not opened", "open it")
        if len(set(handles.splits)) != len(handles.splits):
            raise self._wrong("names one split twice", SAME_VERSION)
        self._count_new()
        if not all(split.exists(self.table.shapes) and self._was_told(split) for split in handles.splits):
            raise self._wrong("names a split that it was never told", SAME_VERSION)
        names, rules = self.table.names, self.table.rules
        kept = tuple(KeptHandle(names[s.column], rules[s.column], s.left) for s in handles.splits)
        return self.kept(self.keep(run, kept))

    def kept(self, pool: str) -> Kept:
        """What is spent, at the end of a model. pool: the name of what was stored."""
        return Kept(
            pool=pool,
            equations=self._equations(),
            equations_limit=self._limit(),
            information_share=share_told(self.information_share),
            readable_share=share_told(self.readable.share),
            largest_readable=share_told(self.readable.largest),
        )

    def _was_told(self, split: Split) -> bool:
        """Whether the bank can know this split: it was answered, or separates only rows that are missing.

        Every answer of a column says which rows are missing there; which are not held, the bank knows itself.
        """
        shape = self.table.shapes[split.column]
        if len(split.left) == shape.ordinary:
            return not shape.missing or any(known.column == split.column for known, _ in self._answered)
        return any(known == split.canonical(shape.ordinary) for known, _ in self._answered)

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


def _by_node(query: SumsQuery, checked: CheckedQuery[Any]) -> list[tuple[Label, tuple[bytes, ...]]]:
    """Every node's label, and the names of its vectors."""
    each = query.packing.vectors_a_node
    return [(label, checked.names[each * k : each * (k + 1)]) for k, label in enumerate(query.labels)]

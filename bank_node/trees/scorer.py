"""The bank's half of scoring: ask for the bits behind a model's handles, and walk its trees."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bank_node.family.scorer import Told as Told
from bank_node.family.scorer import ToldOf
from bank_node.models.folder import ModelFolder
from bank_node.models.trees import BankSplit, TreeModel, TreeNode
from bank_node.partners.partner_view import LEFT, RIGHT, SPECIAL, Sides
from protocol.algorithms.alignment import BankAlignment
from protocol.algorithms.boosting import SplitBits
from protocol.algorithms.scoring import ScoringBits, ScoringQuery
from protocol.algorithms.sealing import SplitPads, open_bits
from protocol.errors import IntegrityError, UsageError
from protocol.messages import F64, I64
from protocol.role import Script, ask
from protocol.table import Column


@dataclass(frozen=True)
class Answers:
    """One partner's bits, a pair of them a row of its row space, a handle; opened, and packed.

    Rows that the bank cannot open are missing; so are all rows at a handle that the model does not use.
    """

    bits: tuple[SplitBits | None, ...]

    def at(self, positions: I64) -> Told:
        """Where rows go that stand at these places of the row space, -1 if not held, shape (n,)."""
        held = np.flatnonzero(positions >= 0)
        byte, shift = positions[held] >> 3, (7 - (positions[held] & 7)).astype(np.uint8)
        out = np.full((len(self.bits), len(positions)), SPECIAL, dtype=np.int8)
        for k, bits in enumerate(self.bits):
            if bits is None:
                continue
            left, missing = (bits.left[byte] >> shift) & 1, (bits.missing[byte] >> shift) & 1
            out[k, held] = np.where(missing, SPECIAL, np.where(left, LEFT, RIGHT))
        return Told(out)


@dataclass(frozen=True)
class TreeScorer:
    """Trees over the handles of several parties."""

    model: TreeModel

    def needs(self, party: str) -> bool:
        return handles_of(self.model, party) > 0

    def ask(
        self, pools: Mapping[str, str], alignments: Mapping[str, BankAlignment], masked: bool
    ) -> Script[Mapping[str, Answers]]:
        return (yield from ask_for_bits(self.model, pools, alignments))

    def absent(self, party: str, rows: int) -> Told:
        """All its splits take the default direction that they have learnt."""
        return absent(self.model, party, rows)

    def margins(self, bank: str, columns: Mapping[str, Column], told: ToldOf, rows: int) -> F64:
        sides = {party: part for party, part in told.items() if isinstance(part, Told)}
        return margins(self.model, bank, columns, sides, rows)


def ask_for_bits(
    model: TreeModel, pools: Mapping[str, str], alignments: Mapping[str, BankAlignment]
) -> Script[dict[str, Answers]]:
    """The bits of all rows of the row space at every handle, by partner. pools: names of the handles at each partner.

    Raises: IntegrityError: another number of answers, or answers of another form than the alignment prescribes.
    """
    handles = {p: used_handles(model, p) for p in alignments}
    queries = {p: ScoringQuery(alignment=a.alignment, pool=pools[p], handles=handles[p]) for p, a in alignments.items()}
    replies = yield from ask(queries, ScoringBits)
    return {p: _answers(p, reply, alignments[p], pools[p], handles[p]) for p, reply in replies.items()}


def absent(model: TreeModel, partner: str, rows: int) -> Told:
    """A partner that cannot be asked: all its splits take the default direction they have learnt."""
    return Told(np.full((handles_of(model, partner), rows), SPECIAL, dtype=np.int8))


def handles_of(model: TreeModel, party: str) -> int:
    """One more than the largest handle of a party that the model uses."""
    return 1 + max((n.handle for tree in model.trees for n in tree if n.left >= 0 and n.party == party), default=-1)


def used_handles(model: TreeModel, party: str) -> tuple[int, ...]:
    """Which splits of a party the model uses, ascending."""
    return tuple(sorted({n.handle for tree in model.trees for n in tree if n.left >= 0 and n.party == party}))


def margins(model: TreeModel, bank: str, columns: Mapping[str, Column], told: Mapping[str, Told], rows: int) -> F64:
    """Margin of every row, shape (rows,), or (rows, classes): tree by tree in the order of training, so that it is the
    training's to the last bit."""
    sides = sides_of(model, bank, columns, told)
    bases = model.base if isinstance(model.base, tuple) else (model.base,)
    totals = [np.full(rows, base) for base in bases]
    for t, tree in enumerate(model.trees):
        totals[t % len(bases)] = totals[t % len(bases)] + _walk(tree, sides, rows)
    return np.stack(totals, axis=1) if isinstance(model.base, tuple) else totals[0]


def sides_of(
    model: TreeModel, bank: str, columns: Mapping[str, Column], told: Mapping[str, Told]
) -> dict[str, npt.NDArray[np.int8]]:
    """Where each row goes at every party's handles, shape (handles, n)."""
    own = np.array([_own_sides(split, columns[split.column]) for split in model.bank_splits], dtype=np.int8)
    return {bank: own, **{party: answer.sides for party, answer in told.items()}}


def _walk(tree: tuple[TreeNode, ...], sides: Mapping[str, npt.NDArray[np.int8]], rows: int) -> F64:
    values = np.zeros(rows)
    waiting: list[tuple[int, I64]] = [(0, np.arange(rows))]
    while waiting:
        place, here = waiting.pop()
        node = tree[place]
        if node.left < 0:
            values[here] = node.value
            continue
        side = sides[node.party][node.handle][here]
        left = (side == LEFT) | ((side == SPECIAL) & node.default_left)
        waiting += [(node.left, here[left]), (node.right, here[~left])]
    return values


def _own_sides(split: BankSplit, column: Column) -> Sides:
    """Where rows go at a split of the bank's own."""
    if column.kind == "category":
        side_of = {**dict.fromkeys(split.among, LEFT), **dict.fromkeys(split.others, RIGHT)}
        sides_of = np.array([*(side_of.get(c, SPECIAL) for c in column.categories), SPECIAL], dtype=np.int8)
        return sides_of[column.codes]
    below = np.inf if split.below is None else split.below
    sides = np.where(column.numbers < below, LEFT, RIGHT)
    return np.where(np.isnan(column.numbers), SPECIAL, sides).astype(np.int8)


def _answers(party: str, reply: ScoringBits, alignment: BankAlignment, pool: str, handles: tuple[int, ...]) -> Answers:
    keys = alignment.row_keys
    if len(reply.bits) != len(handles):
        thing = f"answered for {len(reply.bits)} splits, and the model has {len(handles)} of it"
        raise IntegrityError(party, thing, "ask it what it keeps")
    pads = SplitPads(keys, ScoringBits.KIND, pool) if keys else None
    bits: list[SplitBits | None] = [None] * (1 + max(handles, default=-1))
    for handle, answer in zip(handles, reply.bits, strict=True):
        bits[handle] = open_bits(party, pads, alignment.rows, answer)
    return Answers(tuple(bits))


def trees_of(folder: ModelFolder) -> TreeModel:
    """The model, where it is trees. Raises: UsageError: it is not."""
    if not isinstance(folder.model, TreeModel):
        raise UsageError("model", f"it is a {folder.about.kind}, which has no trees", "give one of boosted trees")
    return folder.model

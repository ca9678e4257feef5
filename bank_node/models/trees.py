"""A model of boosted trees, as the bank keeps it.

A split of the bank names its column and cut. A split of a partner is an opaque handle, a number in order of
first use; what column and threshold stand behind it only the partner knows. `sha256` covers the trees alone: no
key, nonce, session or engine.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, Final

import msgspec

from bank_node.models.canonical import Model
from protocol.algorithms.boosting import Split

SCHEMA: Final = 1


class TreeNode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A node; a leaf where `left` is -1.

    party, handle: whose split, and which. For the bank, handle is the place in `BankSplit`s.
    default_left: where missing and not-held rows go. left, right: numbers of the children.
    value: of a leaf, shrunk, in log-odds (or the objective's margin). gain, cover: as XGBoost's; rows: trained on.
    """

    party: str = ""
    handle: int = -1
    default_left: bool = False
    left: int = -1
    right: int = -1
    value: float = 0.0
    gain: float = 0.0
    cover: float = 0.0
    rows: int = 0


class BankSplit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A split of the bank's own: column, and either `below` (goes left if smaller) or categories.

    among: those that go left. others: those that go right; a category that is neither is missing.
    """

    column: str
    below: float | None = None
    among: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


class TreeModel(Model, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Trees over the handles of several parties. base: margin of a row before the first tree.

    With K classes there are K margins, and tree t adds to that of class t mod K.
    """

    FILE: ClassVar[str] = "trees.json"

    schema: int = SCHEMA
    base: float | tuple[float, ...]
    bank_splits: tuple[BankSplit, ...]
    trees: tuple[tuple[TreeNode, ...], ...]

    @property
    def own_columns(self) -> dict[str, str]:
        return {s.column: "category" if s.among or s.others else "number" for s in self.bank_splits}

    def importance(self) -> dict[str, float]:
        """Share of the total gain that each party's splits have brought; sums to 1 unless there is no split."""
        gains = dict.fromkeys(self.parties, 0.0)
        for tree in self.trees:
            for node in tree:
                if node.left >= 0:
                    gains[node.party] += node.gain
        total = sum(gains.values())
        return {party: gain / total if total else 0.0 for party, gain in gains.items()}


class HandleBook:
    """Numbers the splits of one model in order of first use, by party.

    pools: splits that a partner has stored already, by party; their places are their numbers.
    """

    def __init__(self, pools: Mapping[str, Sequence[Split]] = MappingProxyType({})) -> None:
        self._numbers = {party: {split: k for k, split in enumerate(splits)} for party, splits in pools.items()}

    def number(self, party: str, split: Split) -> int:
        """The handle of a split."""
        book = self._numbers.setdefault(party, {})
        return book.setdefault(split, len(book))

    def splits(self, party: str) -> tuple[Split, ...]:
        """The party's splits, a handle's number being its place."""
        return tuple(self._numbers.get(party, {}))

"""Boosted trees: the messages between a bank and its partners, and the shared rules.

    bank                                              partner
     |   opens a run of the job (runs.py)                |
     |-- Opening (run, rows, equations planned) -------->|  does the model fit the contract and its budgets?
     |<- Opened (what is spent, the limits) -------------|
     |   for every level of every tree:
     |-- SumsQuery (sealed g, h of the level's nodes) -->|  sums them a bin, adds noise; learns nothing of g, h
     |<- Sums (sealed) ----------------------------------|
     |   the bank opens the sums, checks them, picks each node's best split
     |-- SplitQuery (its splits not yet known) --------->|  tells left, right or missing of every row,
     |<- Splits (bits, or "spent") ----------------------|  unless the information budget is spent
     |   at the end of a model:
     |-- Handles (splits in order of first use) -------->|  keeps them as a pool, which it names by its own digest
     |<- Kept (the pool's name) -------------------------|

What each learns beyond the model: the bank, the sums (with noise) and the bits of the splits chosen; the
partner, how many queries there were, their largest row value as a power of two, and which of its splits were
chosen. SECURITY.md says what the sums and bits together give away.

Source: SecureBoost, arXiv:1901.08755; XGBoost, arXiv:1603.02754.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from protocol.algorithms.binning import MAX_BIN, ColumnShape
from protocol.algorithms.runs import Label
from protocol.fields import Count, Digest, Share, require_array
from protocol.he.base import MOST_ARRAY, MOST_TEXT, Body, Cleartext, vectors_bytes
from protocol.he.plan import FieldBounds, Packing
from protocol.messages import U8, U64, Disclosure, Message, as_sent, declared

MOST_NODES: Final = 1 << 12
MOST_NODES_A_LEVEL: Final = 1 << 7
"""Of a tree of the greatest depth: of two siblings one is asked, in one class or another."""
"""Nodes, or splits, that one query asks for at most."""
MOST_COLUMNS: Final = 1 << 16

QUERY_CONTENT: Final = "gradients of a node's rows, zero elsewhere; their largest value as a power of two"


class Split(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question put to one column: which rows go left?

    column: its place in the partner's layout. left: the ordinary bins that go left, ascending; for an ordered
    column 0 .. t-1. All of them: the split separates the missing values alone.
    """

    column: Annotated[int, Meta(ge=0, lt=MOST_COLUMNS)]
    left: Annotated[tuple[Annotated[int, Meta(ge=0, lt=MAX_BIN)], ...], Meta(max_length=MAX_BIN)]

    def exists(self, shapes: Sequence[ColumnShape]) -> bool:
        """Whether it is a split of these columns, written in the one way there is."""
        if self.column >= len(shapes):
            return False
        shape = shapes[self.column]
        ascending = all(a < b for a, b in zip(self.left, self.left[1:], strict=False))
        inside = not self.left or self.left[-1] < shape.ordinary
        in_order = shape.categorical or self.left == tuple(range(len(self.left)))
        return ascending and inside and in_order

    def canonical(self, ordinary: int) -> "Split":
        """The same for a set of bins and its complement, which divide the rows alike."""
        rest = tuple(b for b in range(ordinary) if b not in self.left)
        return self if self.left >= rest else Split(self.column, rest)


@declared(
    "boosting.opening",
    content="job digest, number of rows that take part, sums planned",
    purpose="check the contract before anything is computed",
)
class Opening(Message, frozen=True):
    """The bank declares a model. rows: matched rows that take part. equations: sums a row space, planned."""

    job: Digest
    run: Count
    layout: Digest
    rows: Count
    equations: Count
    equations_a_tree: Count


@declared("boosting.opened", content="budgets spent and their limits", purpose="agree what may still be asked")
class Opened(Message, frozen=True):
    """What the partner has released so far.

    equations: spent, of equations_limit. information_share: of 1. readable_share, largest_readable: what a bank that
    deviated from the protocol could have read at most, of all columns and of the one of which most.
    """

    equations: Count
    equations_limit: Annotated[int, Meta(ge=0, le=1 << 62)]
    enforced: bool
    information_share: Share
    readable_share: Share = 0.0
    largest_readable: Share = 0.0


@declared(
    "boosting.sums_query", content=QUERY_CONTENT, purpose="sum gradients a bin", encrypted=True,
    most_bytes=lambda rows: MOST_TEXT + vectors_bytes(2 * MOST_NODES_A_LEVEL, rows),
)  # fmt: skip
class SumsQuery(Message, frozen=True):
    """The vectors of one level's nodes.

    labels: one a node. columns: places in the layout to sum over. packed: g and h share a vector; else each node has
    two, g and then h. g, h: bounds of a row's value and of a sum, in quantised units.
    """

    layout: Digest
    labels: Annotated[tuple[Label, ...], Meta(min_length=1, max_length=MOST_NODES)]
    columns: Annotated[tuple[Annotated[int, Meta(ge=0, lt=MOST_COLUMNS)], ...], Meta(max_length=MOST_COLUMNS)]
    packed: bool
    g: FieldBounds
    h: FieldBounds
    body: Body

    @property
    def packing(self) -> Packing:
        """How g and h lie in the entries."""
        return Packing(self.packed, self.g, self.h)

    @property
    def vector_labels(self) -> tuple[str, ...]:
        """A text a vector."""
        return vector_labels(self.labels, self.packed)

    @property
    def disclosure(self) -> Disclosure:
        return as_sent(self.DISCLOSURE, isinstance(self.body, Cleartext))


@declared(
    "boosting.sums", content="sums of gradients a bin, with noise", purpose="find splits", encrypted=True,
    most_bytes=MOST_ARRAY,
)  # fmt: skip
class Sums(Message, frozen=True):
    """The sealed sums, shape (B, rows of the columns asked), uint64. plaintext: engine `plaintext`."""

    plaintext: bool
    sums: U64

    def __post_init__(self) -> None:
        require_array(self.sums, None, None)

    @property
    def disclosure(self) -> Disclosure:
        return as_sent(self.DISCLOSURE, self.plaintext)


@declared(
    "boosting.split_query", content="columns and bins chosen for a split", purpose="divide the rows of a node",
    most_bytes=MOST_TEXT,
)  # fmt: skip
class SplitQuery(Message, frozen=True):
    """The splits of one level that the bank has not asked before; split_rows = "all": no rows are named."""

    layout: Digest
    splits: Annotated[tuple[Split, ...], Meta(min_length=1, max_length=MOST_NODES)]


@declared(
    "boosting.node_split_query",
    content="columns and bins chosen for a split, and the rows of its node",
    purpose="divide the rows of a node, revealing no other row's bit",
    most_bytes=lambda rows: MOST_TEXT + MOST_NODES_A_LEVEL * (rows // 8 + 64),
)
class NodeSplitQuery(Message, frozen=True):
    """The splits of one level with split_rows = "node". rows: a packed flag a row of the row space, a split."""

    layout: Digest
    splits: Annotated[tuple[Split, ...], Meta(min_length=1, max_length=MOST_NODES)]
    rows: Annotated[tuple[U8, ...], Meta(max_length=MOST_NODES)]

    def __post_init__(self) -> None:
        for flags in self.rows:
            require_array(flags, None)


class SplitBits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Two bits a row of the row space, packed by numpy.packbits, shape (ceil(n / 8),): left; missing.

    pad: names the pads under which the bits are sealed (sealing.py), 17 bytes; b"" of bits in clear.
    """

    left: U8
    missing: U8
    pad: Annotated[bytes, Meta(max_length=32)] = b""

    def __post_init__(self) -> None:
        require_array(self.left, None)
        require_array(self.missing, len(self.left))


@declared(
    "boosting.splits",
    content="left, right or missing, of every row of the row space, sealed so that the bank reads matched rows alone; "
    "information share so far",
    purpose="divide the rows of a node",
    most_bytes=MOST_ARRAY,
)
class Splits(Message, frozen=True):
    """An answer a split, None where the information budget would be passed: "spent".

    With split_rows = "node" the bits of rows outside the node are 0. With one-sided alignment every row's bits are
    sealed under its row key; with shared alignment every row of the row space is matched, and they are in clear.
    """

    bits: Annotated[tuple[SplitBits | None, ...], Meta(max_length=MOST_NODES)]
    information_share: Share


@declared(
    "boosting.handles", content="the splits a model uses", purpose="let the partner score the model later",
    most_bytes=1 << 24,
)  # fmt: skip
class Handles(Message, frozen=True):
    """The splits of a model in order of first use: a split's place is its handle in the bank's model."""

    layout: Digest
    job: Digest
    run: Count
    splits: Annotated[tuple[Split, ...], Meta(max_length=1 << 16)]


@declared("boosting.kept", content="the pool's name, budgets spent", purpose="the partner keeps the thresholds")
class Kept(Message, frozen=True):
    """The partner has stored a pool, named by its own digest of what is in it. The rest: as `Opened`."""

    pool: Digest
    equations: Count
    equations_limit: Annotated[int, Meta(ge=0, le=1 << 62)]
    information_share: Share
    readable_share: Share = 0.0
    largest_readable: Share = 0.0


def vector_labels(labels: Sequence[Label], packed: bool) -> tuple[str, ...]:
    """A text for every vector of these nodes."""
    fields = ("gh",) if packed else ("g", "h")
    return tuple(f"{label.text}/{field}" for label in labels for field in fields)

"""Boosted trees: the messages between a bank and its partners, and the shared rules.

    bank                                              partner
     |-- Opening (job, rows, equations planned) -------->|  does the job fit the contract and its budgets?
     |<- Opened (what is spent, the limits) -------------|
     |   for every level of every tree:
     |-- SumsQuery (sealed g, h of the level's nodes) -->|  sums them a bin, adds noise; learns nothing of g, h
     |<- Sums (sealed) ----------------------------------|
     |   the bank opens the sums, checks them, picks each node's best split
     |-- SplitQuery (its splits not yet known) --------->|  tells left, right or missing of every row,
     |<- Splits (bits, or "spent") ----------------------|  unless the information budget is spent
     |   at the end of a model:
     |-- Handles (splits in order of first use) -------->|  keeps the thresholds behind the model's handles
     |<- Kept -------------------------------------------|

What each learns beyond the model: the bank, the sums (with noise) and the bits of the splits chosen; the
partner, how many queries there were, their largest row value as a power of two, and which of its splits were
chosen. SECURITY.md says what the sums and bits together give away.

Source: SecureBoost, arXiv:1901.08755; XGBoost, arXiv:1603.02754.
"""

from typing import Final

import msgspec

from protocol.he.base import Body, Cleartext
from protocol.messages import U8, U64, Disclosure, Message, as_sent, declared

QUERY_CONTENT: Final = "gradients of a node's rows, zero elsewhere; their largest value as a power of two"


class Split(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question put to one column: which rows go left?

    column: its place in the partner's layout. left: the ordinary bins that go left, ascending; for an ordered
    column 0 .. t-1. All of them: the split separates the missing values alone.
    """

    column: int
    left: tuple[int, ...]


@declared(
    "boosting.opening",
    content="job digest, number of rows that take part, sums planned",
    purpose="check the contract before anything is computed",
)
class Opening(Message, frozen=True):
    """The bank declares a training. rows: matched rows that take part. equations: sums a row space, planned."""

    job: str
    layout: str
    rows: int
    equations: int
    equations_a_tree: int


@declared("boosting.opened", content="budgets spent and their limits", purpose="agree what may still be asked")
class Opened(Message, frozen=True):
    """What the partner has released so far. equations: spent, of equations_limit. information_share: of 1."""

    equations: int
    equations_limit: int
    enforced: bool
    information_share: float


@declared("boosting.sums_query", content=QUERY_CONTENT, purpose="sum gradients a bin", encrypted=True)
class SumsQuery(Message, frozen=True):
    """The vectors of one level's nodes.

    labels: one a vector, (job, rung, model, fold, class, tree, node). columns: places in the layout to sum over.
    packed: g and h share a vector. g_log2, h_log2: bound of a row's value in quantised units, as a power of two.
    """

    layout: str
    labels: tuple[str, ...]
    columns: tuple[int, ...]
    packed: bool
    g_log2: int
    h_log2: int
    body: Body

    @property
    def disclosure(self) -> Disclosure:
        return as_sent(self.DISCLOSURE, isinstance(self.body, Cleartext))


@declared("boosting.sums", content="sums of gradients a bin, with noise", purpose="find splits", encrypted=True)
class Sums(Message, frozen=True):
    """The sealed sums, shape (B, rows of the columns asked), uint64. plaintext: engine `plaintext`."""

    plaintext: bool
    sums: U64

    @property
    def disclosure(self) -> Disclosure:
        return as_sent(self.DISCLOSURE, self.plaintext)


@declared("boosting.split_query", content="columns and bins chosen for a split", purpose="divide the rows of a node")
class SplitQuery(Message, frozen=True):
    """The splits of one level that the bank has not asked before; split_rows = "all": no rows are named."""

    layout: str
    splits: tuple[Split, ...]


@declared(
    "boosting.node_split_query",
    content="columns and bins chosen for a split, and the rows of its node",
    purpose="divide the rows of a node, revealing no other row's bit",
)
class NodeSplitQuery(Message, frozen=True):
    """The splits of one level with split_rows = "node". rows: a packed flag a row of the row space, a split."""

    layout: str
    splits: tuple[Split, ...]
    rows: tuple[U8, ...]


class SplitBits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Two bits a row of the row space, packed by numpy.packbits, shape (ceil(n / 8),): left; missing.

    pad: names the pads under which the bits are sealed (sealing.py), 17 bytes; b"" of bits in clear.
    """

    left: U8
    missing: U8
    pad: bytes = b""


@declared(
    "boosting.splits",
    content="left, right or missing, of every row of the row space, sealed so that the bank reads matched rows alone; "
    "information share so far",
    purpose="divide the rows of a node",
)
class Splits(Message, frozen=True):
    """An answer a split, None where the information budget would be passed: "spent".

    With split_rows = "node" the bits of rows outside the node are 0. With one-sided alignment every row's bits are
    sealed under its row key; with shared alignment every row of the row space is matched, and they are in clear.
    """

    bits: tuple[SplitBits | None, ...]
    information_share: float


@declared("boosting.handles", content="the splits a model uses", purpose="let the partner score the model later")
class Handles(Message, frozen=True):
    """The model's splits in order of first use: a split's place is its handle in the bank's model."""

    layout: str
    model: str
    splits: tuple[Split, ...]


@declared("boosting.kept", content="an acknowledgement", purpose="the partner holds the model's thresholds")
class Kept(Message, frozen=True):
    """The partner has stored the handles. equations, information_share: as `Opened`; zcdp: the printed figure."""

    equations: int
    equations_limit: int
    information_share: float

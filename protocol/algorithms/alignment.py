"""Alignment: which rows do we both hold? Elliptic-curve Diffie-Hellman over blinded ids.

    bank (secret a, rows x)                       partner (secret b, rows y)
     |-- Start (setting, rows, nonce) -------------->|  draws b and a fresh random order of its rows
     |<- Started (rows, nonce) ----------------------|
     |-- BlindedIds: a·H(x), a part ---------------->|  in a fresh random order of the bank's own
     |<- TwiceBlinded: b·a·H(x) ---------------------|  in the same order; the bank takes a off: b·H(x)
     |-- OwnIdsQuery (first, count) ---------------->|
     |<- OwnIds: tags of b·H(y), a part -------------|  in the partner's fresh order
     |   the bank compares the tags of b·H(x) with these
     |-- Matched (their number)        one-sided --->|  or
     |-- Positions (of each match)        shared --->|
     |<- Aligned ------------------------------------|
     |   or, of a job at points in time:
     |-- Dated (place and date a row)     shared --->|  takes the latest record not after the date
     |<- Held (which rows had one) ------------------|

one-sided: the row space is the partner's whole table in its fresh order. The bank learns where its own rows stand
in it; the partner learns the bank's number of rows and the number of matches, and not which rows matched.
shared: the row space is the matched rows in one fresh random order for all partners; both learn which of their
own rows matched.

Tag and row key of a row are one hash of its twice-blinded point (group.row_secrets). A tag tells nothing of the key.
one-sided: the partner keeps the key of every row, the bank those of the rows that it matched, and all that the partner
later tells of its rows is sealed under these keys (sealing.py). shared: no key is kept.

At points in time (protocol/table/dates.py) one-sided aligns (id, point) on a grid that both nodes have in their
settings: the partner blinds one row an id and point, and learns no date of the bank's. shared aligns ids, and the
partner is then sent the date of each matched row.

Beyond that, both learn the other's number of rows. Under decisional Diffie-Hellman, in the random-oracle model,
blinded ids are pseudorandom. Nothing keeps a party from listing ids that it does not hold.
Source: Meadows, IEEE S&P 1986; Huberman, Franklin and Hogg, EC 1999; group of RFC 9496.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

import numpy as np
from msgspec import Meta

from protocol.algorithms.group import POINT_BYTES, ROW_KEY_BYTES, TAG_BYTES
from protocol.algorithms.sealing import RowKeys
from protocol.errors import ALIGN_ANEW, DataError
from protocol.fields import Digest, Name, NameOrNone, Nonce, Rows, require_array, require_names
from protocol.files import opened_arrays
from protocol.he.parameters import MAX_ROWS
from protocol.he.streams import digest
from protocol.messages import I64, U8, Message, declared

Setting = Literal["one-sided", "shared"]
PART: Final = 8192
"""Ids an exchange: a few hundred kilobytes, and often enough for a progress bar."""
_PART_BYTES: Final = 64 * PART
_ROWS_BYTES: Final = 9 * MAX_ROWS


def _require_part(points: U8, width: int) -> None:
    """Raises: ValueError: more ids than a part has, or of another width."""
    require_array(points, None, width)
    if len(points) > PART:
        raise ValueError("more ids than a part has")


NO_ROW_KEYS: Final[U8] = np.zeros((0, ROW_KEY_BYTES), dtype=np.uint8)


@declared(
    "alignment.start",
    content="setting, grid of dates, number of rows and id columns, a nonce",
    purpose="agree on an alignment",
)
class Start(Message, frozen=True):
    """The bank opens an alignment. rows: keys that it will send. dating: its grid, or "" without dates."""

    setting: Name
    id_columns: Annotated[int, Meta(ge=1, le=64)]
    rows: Rows
    nonce: Nonce
    dating: NameOrNone = ""

    def __post_init__(self) -> None:
        require_names(self.setting, self.dating)


@declared("alignment.started", content="number of rows, a nonce", purpose="agree on an alignment")
class Started(Message, frozen=True):
    """The partner is ready."""

    rows: Rows
    nonce: Nonce


@declared(
    "alignment.blinded_ids", content="blinded ids of the bank's rows", purpose="find matches", encrypted=True,
    most_bytes=_PART_BYTES,
)  # fmt: skip
class BlindedIds(Message, frozen=True):
    """A part of the bank's ids, blinded, shape (k, 32)."""

    points: U8

    def __post_init__(self) -> None:
        _require_part(self.points, POINT_BYTES)


@declared(
    "alignment.twice_blinded", content="the same ids, blinded twice", purpose="find matches", encrypted=True,
    most_bytes=_PART_BYTES,
)  # fmt: skip
class TwiceBlinded(Message, frozen=True):
    """The same, blinded by the partner too, in the same order."""

    points: U8

    def __post_init__(self) -> None:
        _require_part(self.points, POINT_BYTES)


@declared("alignment.own_ids_query", content="a range of rows", purpose="find matches")
class OwnIdsQuery(Message, frozen=True):
    """The bank asks for the tags of a part of the partner's blinded ids."""

    first: Rows
    count: Annotated[int, Meta(ge=0, le=PART)]


@declared(
    "alignment.own_ids", content="tags of the partner's blinded ids", purpose="find matches", encrypted=True,
    most_bytes=_PART_BYTES,
)  # fmt: skip
class OwnIds(Message, frozen=True):
    """Tags of a part of the partner's ids, blinded, in its fresh random order, shape (k, 16)."""

    tags: U8

    def __post_init__(self) -> None:
        _require_part(self.tags, TAG_BYTES)


@declared("alignment.matched", content="number of matches", purpose="tell the partner how much it contributes")
class Matched(Message, frozen=True):
    """one-sided: how many rows matched, not which."""

    matches: Rows


@declared(
    "alignment.positions", content="which of the partner's rows matched", purpose="put matched rows in one order",
    most_bytes=_ROWS_BYTES,
)  # fmt: skip
class Positions(Message, frozen=True):
    """shared: at each position of the row space, the place in the partner's order, -1 if it does not hold it."""

    order: I64

    def __post_init__(self) -> None:
        require_array(self.order, None, least=-1, most=1 << 28)


@declared("alignment.aligned", content="an acknowledgement", purpose="the partner has kept the alignment")
class Aligned(Message, frozen=True):
    """The alignment's name."""

    alignment: Digest


@declared(
    "alignment.dated",
    content="which of the partner's ids matched, and a date for each of the bank's rows of them",
    purpose="find the record that was the latest on that date",
    most_bytes=2 * _ROWS_BYTES,
)
class Dated(Message, frozen=True):
    """shared, at points in time. order: as in Positions, of ids. as_of: microseconds since 1970, shape (rows,)."""

    order: I64
    as_of: I64

    def __post_init__(self) -> None:
        require_array(self.order, None, least=-1, most=1 << 28)
        require_array(self.as_of, len(self.order))


@declared(
    "alignment.held", content="which rows had a record on their date", purpose="tell rows held from others",
    most_bytes=_ROWS_BYTES,
)  # fmt: skip
class Held(Message, frozen=True):
    """The alignment's name; a bit a row of the row space, packed."""

    alignment: Digest
    held: U8

    def __post_init__(self) -> None:
        require_array(self.held, None)


@dataclass(frozen=True)
class BankAlignment:
    """What the bank keeps. rows: length of the row space. positions: of each of its rows, -1 if not held, (n,).

    keys: one-sided, the row keys of the rows held, in order of its rows, shape (matches, 32).
    """

    alignment: str
    party: str
    setting: str
    rows: int
    positions: I64
    keys: U8 = field(repr=False)

    @property
    def row_keys(self) -> RowKeys | None:
        """What opens the partner's answers for the rows held; None where nothing is sealed."""
        held = self.positions[self.positions >= 0]
        return RowKeys(self.rows, held, self.keys) if self.setting == "one-sided" else None

    @property
    def matches(self) -> int:
        """Number of the bank's rows that the partner holds."""
        return int((self.positions >= 0).sum())


@dataclass(frozen=True)
class PartnerAlignment:
    """What a partner keeps. order: the row of its table at each position, -1 where not held, shape (rows,).

    keys: one-sided, the row key of each position, shape (rows, 32). data: SHA-256 of the table that order points into.
    """

    alignment: str
    bank: str
    setting: str
    bank_rows: int
    matches: int
    order: I64
    keys: U8 = field(repr=False)
    data: str = ""

    @property
    def row_keys(self) -> RowKeys | None:
        """What seals answers on every row; None where nothing is sealed."""
        rows = len(self.order)
        return RowKeys(rows, np.arange(rows), self.keys) if self.setting == "one-sided" else None


def name(setting: str, bank: str, partner: str, bank_nonce: bytes, partner_nonce: bytes) -> str:
    """The name of an alignment, which neither side can choose: SHA-256 in hexadecimal."""
    parts = (b"fedwarn.v1 alignment", setting.encode(), bank.encode(), partner.encode(), bank_nonce, partner_nonce)
    return digest(*parts).hex()


A = TypeVar("A", BankAlignment, PartnerAlignment)


def save(alignment: BankAlignment | PartnerAlignment, path: Path) -> None:
    """Keep an alignment in a file that only its owner reads. It is there whole, or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(unfinished, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            np.savez(file, **alignment.__dict__)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def load(kind: type[A], path: Path, party: str) -> A:
    """An alignment kept by `save`. Raises: DataError: there is none."""
    try:
        with opened_arrays(path) as stored:
            fields = {name: stored[name] if stored[name].ndim else stored[name].item() for name in stored.files}
        return kind(**fields)
    except (OSError, ValueError, TypeError):
        raise DataError(party, "has no alignment by this name", ALIGN_ANEW) from None

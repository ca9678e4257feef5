"""The partner's half of the checkup: answer probes, tell formats of ids, keep what the bank told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from protocol.algorithms.checkup import LARGE, Echo, Formats, FormatsQuery, IdFormats, Probe, formats_of
from protocol.errors import IntegrityError
from protocol.he.streams import derive, digest
from protocol.messages import Message
from protocol.table import Table

CHECKUP: Final = "checkup.json"
"""In the state folder: what the bank's doctor told last."""


class BankSeen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the bank's doctor told last. at_s: seconds since 1970. skew_s: our clock less the bank's."""

    at_s: float
    skew_s: float
    formats: IdFormats


@dataclass(frozen=True)
class CheckupAnswerer:
    """Answers a bank's checkup. now: seconds since 1970. keep: is given what the bank told."""

    bank: str
    ids: Sequence[bytes] = field(repr=False)
    schema: str
    now: Callable[[], float]
    keep: Callable[[BankSeen], None]

    def handle(self, message: Probe | FormatsQuery) -> Message:
        """The reply to one message."""
        if isinstance(message, FormatsQuery):
            self.keep(BankSeen(self.now(), message.skew_s, message.formats))
            return Formats(formats=formats_of(self.ids), schema=self.schema)
        if not 0 <= message.wanted <= LARGE:
            raise IntegrityError(self.bank, "asked for an impossible probe", "run the same version on both sides")
        return Echo(time_s=self.now(), filler=bytes(message.wanted))


def schema_digest(key: bytes, table: Table) -> str:
    """Names and types of the columns under the node's own key: it tells whether they changed, and no names."""
    columns = [f"{column.kind} {column.name}".encode() for column in table.columns]
    return digest(derive(key, "schema"), *columns).hex()[:16]

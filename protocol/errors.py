"""Errors that say whose fault it is, and what to do about it.

Every error names the party, the thing and the remedy in one sentence, and carries the exit code that a
command ends with. Only a `TransportError` may be retried. No error ever holds a key or a raw value.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import ClassVar, Final

ALIGN_ANEW: Final = "run `bank-node align --anew`"
"""The remedy where what two nodes keep of each other does not fit: a kept alignment would be used again otherwise."""


class FedwarnError(Exception):
    """One clear sentence for a human, and an exit code for a script.

    Args:
        party: who is concerned ("bank", "telecom").
        thing: what is wrong, as a clause ("column 'PA022' is not in loans.csv").
        remedy: what to do about it ("add it, or take it out of [parties.telecom] columns").
        rule: the clause of the contract, or the rule of the protocol, that forbids it; "" if none does.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, party: str, thing: str, remedy: str, rule: str = "") -> None:
        super().__init__(party, thing, remedy)
        self.party, self.thing, self.remedy, self.rule = party, thing, remedy, rule

    def __str__(self) -> str:
        return f"{self.party}: {self.thing}; {self.remedy}."


class UsageError(FedwarnError):
    """Local: the command line, the configuration or this machine."""

    exit_code = 2


class DataError(FedwarnError):
    """Local: a table, a column, a label or an id."""

    exit_code = 3


class PeerError(FedwarnError):
    """Remote: the other side is not who or what it should be (certificate, version, engine)."""

    exit_code = 4


class RefusedError(FedwarnError):
    """Remote or local: a clause of the contract or a budget forbids it."""

    exit_code = 5


class TransportError(FedwarnError):
    """Neither side's fault: down, unreachable, too slow. The only error that may be retried."""

    exit_code = 6


class IntegrityError(FedwarnError):
    """What arrived cannot be true: sums that do not add up, a broken chain, a changed replay."""

    exit_code = 7


BY_CODE: dict[int, type[FedwarnError]] = {
    cls.exit_code: cls for cls in (UsageError, DataError, PeerError, RefusedError, TransportError, IntegrityError)
}
"""Lets a refusal cross the wire and be raised again with the same exit code."""


def nearest(name: str, names: Sequence[str]) -> str:
    """A hint at the closest name there is, or nothing."""
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    return f" (nearest: {close[0]!r})" if close else ""

"""The ladder: which parties train together, rung by rung, and the placebo."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, count
from typing import Final

from protocol.errors import UsageError

_LONGEST: Final = 200
"""Bytes; file systems allow 255."""


@dataclass(frozen=True)
class Rung:
    """One training a model. partners: besides the bank. placebo: a partner's rows are permuted. number: in the job."""

    name: str
    partners: tuple[str, ...]
    placebo: bool = False
    number: int = 0


def rungs(bank: str, partners: Sequence[str], ladder: str | Sequence[Sequence[str]], placebo: bool) -> list[Rung]:
    """The rungs of a job: the bank alone first, always; `auto`: bank, bank + each partner, all.

    Raises: UsageError: a rung names a party that the job does not have, or not the bank.
    """
    if isinstance(ladder, str):
        groups = [(), *((p,) for p in partners), *([tuple(partners)] if len(partners) > 1 else [])]
    else:
        groups = [_partners(bank, partners, rung) for rung in ladder]
        if () not in groups:
            groups.insert(0, ())
    out: list[Rung] = []
    for group in dict.fromkeys(groups):
        out.append(Rung(_unlike(out, name_of(bank, group, partners)), group, number=len(out)))
    used = [p for p in partners if any(p in rung.partners for rung in out)]
    if placebo and used:
        out.append(Rung(_unlike(out, "placebo"), (used[0],), placebo=True, number=len(out)))
    return out


def folder_of(rung: str) -> str:
    """A rung's folder under models/: its name; or what of it may name a folder, and a hash."""
    plain = "".join("_" if c in "/\\" or ord(c) < 32 else c for c in rung)
    if plain == rung and plain.strip(".") and len(plain.encode()) <= _LONGEST:
        return rung
    return f"{plain[: _LONGEST // 8]}~{sha256(rung.encode()).hexdigest()[:12]}"


def name_of(bank: str, group: Sequence[str], partners: Sequence[str]) -> str:
    """The bank's name; "all"; or the parties' names joined."""
    if len(partners) > 1 and set(group) == set(partners):
        return "all"
    return "+".join((bank, *group))


def _unlike(rungs: Sequence[Rung], name: str) -> str:
    """A name that no rung has yet: parties may be called "all", "placebo" or "a+b"."""
    taken = {rung.name for rung in rungs}
    return next(n for n in chain([name], (f"{name} ({k})" for k in count(2))) if n not in taken)


def _partners(bank: str, partners: Sequence[str], rung: Sequence[str]) -> tuple[str, ...]:
    for party in rung:
        if party != bank and party not in partners:
            raise UsageError("job", f"the ladder names {party!r}, which is no party", "correct [run] ladder")
    if bank not in rung:
        raise UsageError("job", f"a rung of the ladder lacks {bank!r}, which holds the labels", "correct [run] ladder")
    return tuple(p for p in partners if p in rung)

"""The ladder: which parties train together, rung by rung, and the placebo."""

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.errors import UsageError


@dataclass(frozen=True)
class Rung:
    """One training a model. partners: besides the bank. placebo: the partner's rows are permuted."""

    name: str
    partners: tuple[str, ...]
    placebo: bool = False


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
    out = [Rung(name_of(bank, group, partners), group) for group in dict.fromkeys(groups)]
    used = [p for p in partners if any(p in rung.partners for rung in out)]
    if placebo and used:
        out.append(Rung("placebo", (used[0],), placebo=True))
    return out


def name_of(bank: str, group: Sequence[str], partners: Sequence[str]) -> str:
    """The bank's name; "all"; or the parties' names joined."""
    if len(partners) > 1 and set(group) == set(partners):
        return "all"
    return "+".join((bank, *group))


def _partners(bank: str, partners: Sequence[str], rung: Sequence[str]) -> tuple[str, ...]:
    for party in rung:
        if party != bank and party not in partners:
            raise UsageError("job", f"the ladder names {party!r}, which is no party", "correct [run] ladder")
    if bank not in rung:
        raise UsageError("job", f"a rung of the ladder lacks {bank!r}, which holds the labels", "correct [run] ladder")
    return tuple(p for p in partners if p in rung)

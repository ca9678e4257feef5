"""What a reader may do next, from what the run has shown."""

from collections.abc import Iterator
from typing import Final

from bank_node.record.facts import Text
from bank_node.record.messages import say
from bank_node.report.document import Report, Rung
from bank_node.report.names import Names

_READABLE: Final = 0.5
"""Above this share of a partner's bins readable at worst, a clause on it is advised."""
_OF_VERDICT: Final = {"worth_buying": "next_buy", "not_shown": "next_more", "shown_worthless": "next_leave"}


def advice(report: Report, names: Names) -> list[Text]:
    """One sentence an action, the most pressing first."""
    return [
        *(say("next_placebo") for _ in [0] if not all(placebo.covers_zero for placebo in report.placebo)),
        *_on_partners(report, names),
        *_on_contracts(report, names),
        *(say("next_calibrate") for _ in [0] if report.task == "binary" and not _calibrated(report)),
    ]


def _on_partners(report: Report, names: Names) -> Iterator[Text]:
    """Partners whose verdicts agree are named together; each is judged by the party set that adds it alone."""
    found: dict[str, list[str]] = {}
    judged = {verdict.rung: verdict for verdict in report.verdicts if verdict.model == report.headline.model}
    for rung in _party_sets(report):
        partners = [party for party in rung.parties if party != names.bank]
        if len(partners) == 1 and rung.name in judged:
            key = "next_clause" if rung.kept_out else _OF_VERDICT[judged[rung.name].verdict]
            found.setdefault(key, []).extend(partners)
    for key in (*_OF_VERDICT.values(), "next_clause"):
        if key in found:
            yield say(key, parties=names.parties(found[key]))


def _on_contracts(report: Report, names: Names) -> Iterator[Text]:
    readable = {party: leak.readable_share for rung in report.rungs for party, leak in rung.leakage.items()}
    open_ = [party for party, share in readable.items() if share > _READABLE]
    if open_:
        yield say("next_readable", parties=names.parties(open_))


def _calibrated(report: Report) -> bool:
    return any(rung.calibration for rung in report.rungs)


def _party_sets(report: Report) -> list[Rung]:
    return [rung for rung in report.rungs if rung.model == report.headline.model and not rung.placebo]

"""Pictures of what the run took: importance and messages by party, information given away, time."""

from collections.abc import Sequence
from math import ceil
from typing import Any, Final

from bank_node.record.messages import say
from bank_node.report.document import Report, Rung
from bank_node.report.plots.drawing import BAD, COLOURS, INK, SQUARE, WIDE, beside, lines_of, named, picture, stacked

PHASES: Final = ("align", "hint", "encrypt", "histogram", "network", "decrypt", "score")


def cost_plots(report: Report) -> dict[str, str]:
    """By name; those that the run has no figures for are left out."""
    rungs = [rung for rung in report.rungs if rung.model == report.headline.model and rung.importance]
    found = {}
    if rungs:
        found["importance"] = _importance(report, rungs)
    if any(rung.disclosure for rung in report.rungs):
        found["bytes"] = _bytes(report)
    if any(rung.leakage for rung in report.rungs):
        found["information"] = _information(report)
    if report.measured.seconds:
        found["time"] = _time(report)
    return found


def information_limit(report: Report, party: str) -> float | None:
    """A partner's limit on its information share, where the run had one."""
    budget = report.budgets.get(party, {}).get("max_information_share")
    return None if budget is None else budget.limit


def phases_of(report: Report) -> tuple[str, ...]:
    """The phases that a run's time is told by: folds only where it had some."""
    folded = any("folds" in line for line in report.measured.seconds.values())
    return (*PHASES, "folds") if folded else PHASES


def other_seconds(line: dict[str, float]) -> float:
    """What is left of a rung's total after the named phases."""
    return line.get("total", 0.0) - sum(line.get(phase, 0.0) for phase in (*PHASES, "folds"))


def _importance(report: Report, rungs: Sequence[Rung]) -> str:
    parties = list(dict.fromkeys([*report.data.parties, *(name for rung in rungs for name in rung.importance)]))
    columns = 4 if max(map(len, parties)) < 9 else 2

    def draw(axis: Any) -> None:
        parts = [
            (named(party), COLOURS[index % len(COLOURS)], [rung.importance.get(party, 0.0) for rung in rungs])
            for index, party in enumerate(parties)
        ]
        stacked(axis, [beside(rung.name) for rung in rungs], parts, columns)
        axis.set_xlabel("@axis_share@")
        axis.set_xlim(0, 1)

    height = 1.1 + 0.34 * len(rungs) + 0.2 * ceil(len(parties) / columns)
    return picture("importance", (SQUARE[0], height), say("figure_importance"), draw)


def _bytes(report: Report) -> str:
    sent: dict[str, list[int]] = {party: [0, 0] for party in report.data.parties}
    for rung in report.rungs:
        for row in rung.disclosure:
            total = sent.setdefault(row.sender, [0, 0])
            total[0] += row.bytes
            total[1] += row.count

    def draw(axis: Any) -> None:
        mib = [size / 2**20 for size, _ in sent.values()]
        bars = axis.barh(range(len(sent)), mib, color=COLOURS[3], height=0.5)
        labels = [f"{size / 2**20:,.1f} MiB · {count:,} @messages@" for size, count in sent.values()]
        axis.bar_label(bars, labels, padding=4, fontsize=8)
        lines_of(axis, [beside(party) for party in sent])
        axis.set_xlim(0, 1.9 * max(*mib, 1e-6))
        axis.set_xlabel("@axis_mib@")

    return picture("bytes", (SQUARE[0], 1.1 + 0.4 * len(sent)), say("figure_bytes"), draw)


def _information(report: Report) -> str:
    shares: dict[str, float] = {}
    for rung in report.rungs:
        for party, leak in rung.leakage.items():
            shares[party] = max(shares.get(party, 0.0), leak.information_share)

    def draw(axis: Any) -> None:
        axis.barh(range(len(shares)), list(shares.values()), color=COLOURS[2], height=0.45)
        for y, (party, share) in enumerate(shares.items()):
            limit = information_limit(report, party)
            label = f"{share:.1%}" if limit is None else f"{share:.1%} / {limit:.0%}"
            end = share if limit is None else max(share, limit)
            if limit is not None:
                axis.plot([limit, limit], [y - 0.36, y + 0.36], color=BAD, linewidth=2)
            axis.annotate(label, (end, y), (7, 0), textcoords="offset points", va="center", color=INK)
        lines_of(axis, [beside(party) for party in shares])
        axis.set_xlim(0, 1)
        axis.set_xlabel("@axis_share@")

    return picture("information", (SQUARE[0], 1.1 + 0.4 * len(shares)), say("figure_information"), draw)


def _time(report: Report) -> str:
    seconds, phases = report.measured.seconds, phases_of(report)

    def draw(axis: Any) -> None:
        lengths = [[line.get(phase, 0.0) for line in seconds.values()] for phase in phases]
        lengths.append([max(0.0, other_seconds(line)) for line in seconds.values()])
        names = [f"@phase_{phase}@" for phase in (*phases, "other")]
        stacked(
            axis, [beside(name) for name in seconds], list(zip(names, COLOURS[: len(names)], lengths, strict=True)), 4
        )
        axis.set_xlabel("@axis_seconds@")

    return picture("time", (WIDE, 1.5 + 0.34 * len(seconds)), say("figure_time"), draw)

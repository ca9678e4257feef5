"""Pictures of bin tables: the strongest columns of all parties, and the bins of each party's strongest."""

from typing import Any, Final

from bank_node.record.facts import BinTable
from bank_node.record.messages import say
from bank_node.report.document import Report
from bank_node.report.plots.drawing import BAD, COLOURS, GOOD, GREY, WIDE, lines_of, named, picture, tick

STRONGEST: Final = 10
"""Columns a party whose bin tables the page shows; report.json has all."""
_DRAWN: Final = 6
_ACROSS: Final = 2
_MOST_BINS: Final = 20


def bin_plots(report: Report) -> dict[str, str]:
    """By name: `iv`, and `bins-K` of the party in place K. None without bin tables."""
    if not report.bin_tables:
        return {}
    found = {"iv": _information_values(report)}
    for place, (party, tables) in enumerate(report.bin_tables.items()):
        drawn = [table for table in tables if len(table.bins) <= _MOST_BINS][:_DRAWN]
        if drawn:
            found[f"bins-{place}"] = _bins(f"bins-{place}", party, drawn)
    return found


def _information_values(report: Report) -> str:
    """The strongest columns of all parties together, coloured by party."""
    hue = {party: COLOURS[index % len(COLOURS)] for index, party in enumerate(report.data.parties)}
    found = [(table.iv, party, table.column) for party, tables in report.bin_tables.items() for table in tables]
    strongest = sorted(found, key=lambda bar: -bar[0])[: 2 * STRONGEST]

    def draw(axis: Any) -> None:
        for party, colour in hue.items():
            bars = [(place, iv) for place, (iv, of, _) in enumerate(strongest) if of == party]
            axis.barh([b[0] for b in bars], [b[1] for b in bars], color=colour, height=0.6, label=named(party))
        lines_of(axis, [f"{party}: {column}" for _, party, column in strongest])
        axis.set_xlabel("@axis_iv@")
        axis.legend(loc="lower right")

    return picture("iv", (WIDE, 0.9 + 0.22 * len(strongest)), say("figure_iv"), draw)


def _bins(name: str, party: str, tables: list[BinTable]) -> str:
    """WOE a bin of the strongest columns, one small picture each; beside a bar its bad rate."""
    rows = -(-len(tables) // _ACROSS)
    tallest = max(len(table.bins) for table in tables)

    def draw(axes: Any) -> None:
        each = axes.ravel()
        for axis, table in zip(each, tables, strict=False):
            _woe(axis, table)
        for axis in each[len(tables) :]:
            axis.set_visible(False)

    size = (WIDE, rows * (0.75 + 0.2 * tallest))
    return picture(name, size, say("figure_bins", party=party), draw, rows, _ACROSS, shared=False)


def _woe(axis: Any, table: BinTable) -> None:
    woe = [b.woe for b in table.bins]
    bars = axis.barh(range(len(woe)), woe, color=[GOOD if w >= 0 else BAD for w in woe], height=0.6)
    axis.bar_label(bars, [f"{b.bad_rate:.1%}" for b in table.bins], padding=3, fontsize=7, color=GREY)
    lines_of(axis, [b.name for b in table.bins])
    axis.axvline(0, color=GREY, linewidth=0.8)
    axis.margins(x=0.22)
    axis.tick_params(axis="y", labelsize=7)
    axis.set_title(tick(table.column), fontsize=9, loc="left")
    axis.set_xlabel("WOE", fontsize=8)

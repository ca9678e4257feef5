"""The headline table: what a run prints when it ends."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from bank_node.metrics.measures import sensitive_metric
from bank_node.report.document import Report, Rung
from bank_node.report.wording import figure, rate_text, signed
from protocol.fields import as_shown


def headline_table(report: Report) -> Table:
    """One line a rung: AUC and the headline metric, their uplifts with intervals, what the partners gave away."""
    main = report.headline.metric
    several_models = len({rung.model for rung in report.rungs}) > 1
    table = Table(box=SIMPLE_HEAD, title=_title(report), caption=report.headline.sentence.en, caption_justify="left")
    table.title_justify = "left"
    table.add_column("party set", no_wrap=True)
    names = list(dict.fromkeys((sensitive_metric(report.task), main)))
    for column in (*(head for name in names for head in (_short(name), "uplift")), "information\nshare"):
        table.add_column(column, justify="right")
    for rung in report.rungs:
        name = dimmed(rung.name, rung.model) if several_models else rung.name
        table.add_row(name, *_cells(rung, names), style="dim" if rung.placebo else None)
    return table


def _title(report: Report) -> str:
    marks = ["SYNTHETIC DATA"] * report.synthetic + ["NOT ENCRYPTED"] * (report.engine == "plaintext")
    return " · ".join([*marks, report.title.en])


def dimmed(first: str, second: str) -> Text:
    """A cell of two lines, the second one dim."""
    return Text.assemble(as_shown(first), "\n", (as_shown(second), "dim"))


def _cells(rung: Rung, names: Sequence[str]) -> list[str | Text]:
    shares = [f"{party} {leak.information_share:.2f}" for party, leak in rung.leakage.items()]
    pairs = [cell for name in names for cell in (_value(rung, name), _change(rung, name))]
    return [*pairs, "\n".join(shares)]


def _short(name: str) -> str:
    kind, _, rate = name.partition("@")
    if not rate:
        return kind.upper()
    return f"{kind}\nat {rate_text(rate)}"


def _value(rung: Rung, name: str) -> str:
    return figure(name, rung.metrics[name].value)


def _change(rung: Rung, name: str) -> str | Text:
    change = rung.uplift[name]
    if change.low == change.high == 0:
        return ""
    return dimmed(signed(name, change.value), f"{signed(name, change.low)} to {signed(name, change.high)}")

"""The headline table: what a run prints when it ends."""

from rich.table import Table

from bank_node.evaluation.document import Report, Rung
from bank_node.evaluation.wording import figure, signed


def headline_table(report: Report) -> Table:
    """One line a rung: the headline metric and AUC with intervals, uplifts, and what the partners gave away."""
    main = report.headline.metric
    table = Table(
        title=_title(report), caption=report.headline.sentence.en, caption_justify="left", title_justify="left"
    )
    for column in ("rung", "model", "AUC", "KS", main, f"uplift of {main}", "uplift of AUC", "information share"):
        table.add_column(column, justify="left" if column in ("rung", "model") else "right")
    for rung in report.rungs:
        table.add_row(*_line(rung, main), style="dim" if rung.placebo else None)
    return table


def _title(report: Report) -> str:
    marks = ["SYNTHETIC DATA"] * report.synthetic + ["NOT ENCRYPTED"] * (report.engine == "plaintext")
    return " · ".join([*marks, report.title.en])


def _line(rung: Rung, main: str) -> list[str]:
    shares = [f"{party} {leak.information_share:.2f}" for party, leak in rung.leakage.items()]
    return [
        rung.name,
        rung.model,
        _with_interval(rung, "auc"),
        figure("ks", rung.metrics["ks"].value),
        _with_interval(rung, main),
        _change(rung, main),
        _change(rung, "auc"),
        ", ".join(shares),
    ]


def _with_interval(rung: Rung, name: str) -> str:
    metric = rung.metrics[name]
    return f"{figure(name, metric.value)} ({figure(name, metric.low)} to {figure(name, metric.high)})"


def _change(rung: Rung, name: str) -> str:
    change = rung.uplift[name]
    if change.low == change.high == 0:
        return ""
    return f"{signed(name, change.value)} ({signed(name, change.low)} to {signed(name, change.high)})"

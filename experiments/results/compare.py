"""`fedwarn compare A B ...`: runs side by side, from their reports alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from bank_node.report.document import Report, Rung
from bank_node.report.report import read_report
from bank_node.report.wording import figure, signed


def compare(folders: Sequence[Path]) -> tuple[Table, dict[str, Any]]:
    """A table with one column a run, and the same figures by run for JSON.

    Raises: UsageError: a folder holds no report, or one of another version.
    """
    reports = [read_report(folder) for folder in folders]
    values = {str(folder): summary(report) for folder, report in zip(folders, reports, strict=True)}
    return _table(values), {"runs": values}


def summary(report: Report) -> dict[str, Any]:
    """What two runs are compared by: headline, AUC, information share, seconds and bytes."""
    main = report.headline
    binary = report.rungs if report.task == "binary" else []
    return {
        "name": report.name,
        "engine": report.engine,
        "synthetic": report.synthetic,
        "job_sha256": report.job_sha256,
        "headline": main.model_dump(exclude={"sentence"}),
        "auc": {_name(rung): rung.metrics["auc"].value for rung in binary},
        "uplift_auc": {_name(rung): rung.uplift["auc"].value for rung in binary},
        "information_share": _largest_shares(report),
        "seconds": {rung: line.get("total", 0.0) for rung, line in report.measured.seconds.items()},
        "bytes": {_name(rung): sum(row.bytes for row in rung.disclosure) for rung in report.rungs},
    }


def _name(rung: Rung) -> str:
    return f"{rung.name} / {rung.model}"


def _largest_shares(report: Report) -> dict[str, float]:
    """By partner, over the whole run: shares only grow."""
    shares: dict[str, float] = {}
    for rung in report.rungs:
        for party, leak in rung.leakage.items():
            shares[party] = max(shares.get(party, 0.0), leak.information_share)
    return shares


def _table(values: dict[str, dict[str, Any]]) -> Table:
    table = Table(title="Runs side by side", title_justify="left")
    table.add_column("")
    for folder, run in values.items():
        marks = [" SYNTHETIC"] * run["synthetic"] + [" NOT ENCRYPTED"] * (run["engine"] == "plaintext")
        table.add_column(f"{Path(folder).name}{''.join(marks)}", justify="right")
    runs = list(values.values())
    for label, cells in _lines(runs):
        table.add_row(label, *cells)
    return table


def _lines(runs: Sequence[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    lines = [
        ("engine", [run["engine"] for run in runs]),
        ("headline", [_headline(run["headline"]) for run in runs]),
        ("uplift", [_uplift(run["headline"]) for run in runs]),
    ]
    for label, show in (("auc", "{:.4f}"), ("information_share", "{:.1%}"), ("seconds", "{:.1f}"), ("bytes", "{:,}")):
        keys = dict.fromkeys(key for run in runs for key in run[label])
        for key in keys:
            cells = [show.format(run[label][key]) if key in run[label] else "–" for run in runs]
            lines.append((f"{label.replace('_', ' ')}: {key}", cells))
    return lines


def _headline(headline: dict[str, Any]) -> str:
    return f"{headline['metric']} {figure(headline['metric'], headline['value'])}"


def _uplift(headline: dict[str, Any]) -> str:
    change, low, high = (signed(headline["metric"], headline[key]) for key in ("uplift", "low", "high"))
    return f"{change} ({low} to {high})"

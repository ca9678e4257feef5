"""Whole runs over tables that nobody would make up, but that users bring: figures that are numbers, and agree."""

import json
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import DataError, UsageError
from tests.experiments.run.test_any_table import LABEL, TREES, report_of, write

KINDS = [TREES, {"kind": "glm", "params": {"encoding": "numeric"}}, {"kind": "scorecard"}]
ONE = {"min_glm_columns": 1}


def strict(folder: Path) -> None:
    """Every JSON file of a run has numbers alone: no NaN, no Infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    files = list((folder / "out").rglob("*.json"))
    assert files
    for path in files:
        json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def source(folder: Path, select: str, rows: int = 400, name: str = "t.parquet", **data: Any) -> dict[str, Any]:
    """[data] of a table of ids, labels and these columns."""
    table = write(folder / name, f"i AS id, {LABEL} AS y, {select}", rows)
    return {"source": table, "id": ["id"], "label": "y", **data}


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_numbers_at_their_extremes(tmp_path):
    select = """(u1 * 2 - 1) * 1.7e308 AS vast, CAST(u2 * 40 AS INTEGER) * 5e-324 AS tiny,
        exp(u3 * 600 - 300) AS skewed, hash(i) AS whole,
        CAST(hash(i + 7) // 2 AS BIGINT) - 4000000000000000000 AS signed, u2 AS copy,
        u2 AS copied, NULL::DOUBLE AS nothing, CASE WHEN u1 < 0.5 THEN -0.0 ELSE 0.0 END AS zeros"""
    report = report_of(
        tmp_path,
        data=source(tmp_path, select),
        parties={
            "bank": {"columns": ["vast", "tiny", "copied", "nothing"]},
            "p": {"columns": ["skewed", "whole", "signed", "copy", "zeros"]},
        },
        models=KINDS, contract=ONE, binning={"kind": "equal-width", "special": [-98, 0]},
        report={"bootstrap": 20, "bin_tables": True},
    )  # fmt: skip
    strict(tmp_path)
    dropped = {name: party["dropped"] for name, party in report["data"]["parties"].items()}
    assert dropped == {"bank": ["nothing"], "p": ["zeros"]}


def test_five_partners_of_few_rows_and_many_strangers(tmp_path):
    columns = {f"p{k}": [f"x{k}", f"z{k}"] for k in range(5)}
    select = ", ".join(f"u{1 + k % 3} * {k + 1} + hash(i * {k}) % 7 AS x{k}, u{1 + k % 2} AS z{k}" for k in range(5))
    partners = {name: {"columns": own, "coverage": 0.3, "strangers": 2.0} for name, own in columns.items()}
    report = report_of(
        tmp_path,
        data=source(tmp_path, f"{select}, u3 AS own"),
        parties={"bank": {"columns": ["own"]}, **partners},
        models=[TREES, {"kind": "scorecard"}],
        contract=ONE,
        run={"ladder": [["bank"], ["bank", *columns]]},
    )
    strict(tmp_path)
    matched = {(p["held"], p["matched"]) for name, p in report["data"]["parties"].items() if name != "bank"}
    assert matched == {(920, 120)}


def test_weights_of_every_size(tmp_path):
    select = "u3 AS x, u1 AS z, power(10.0, CAST(u3 * 24 AS INTEGER) - 12) AS w"
    report_of(
        tmp_path,
        data=source(tmp_path, select, weight="w"),
        parties={"bank": {"columns": ["x"]}, "p": {"columns": ["z"]}},
    )
    strict(tmp_path)


def test_a_run_in_folders_called_like_patterns_and_like_columns(tmp_path):
    folder = tmp_path / "run[1]*" / "x=7"
    folder.mkdir(parents=True)
    report = report_of(
        folder,
        data=source(folder, "u1 AS x, u2 AS z", name="t?.csv"),
        parties={"bank": {"columns": ["x"]}, "p": {"columns": ["z"], "coverage": 0.9}},
    )
    assert report["data"]["rows"] == 400
    assert report["rungs"][0]["metrics"]["auc"]["value"] > 0.9  # by x, and not by a constant 7


def test_a_partner_that_adds_nothing_to_a_line_through_all_points(tmp_path):
    report = report_of(
        tmp_path,
        data={**source(tmp_path, "u1 AS x, u2 AS z, u3 AS a"), "label": "x2", "source": write(
            tmp_path / "t.csv", "i AS id, u1 * 1e12 + 5 AS x2, u1 AS x, u2 AS z, u3 AS a", 400)},
        parties={"bank": {"columns": ["x"]}, "p": {"columns": ["z", "a"]}},
        models=[{"kind": "glm", "params": {"family": "linear"}}],
        contract={"min_glm_columns": 2},
        report={"bootstrap": 20, "placebo": False},
    )  # fmt: skip
    strict(tmp_path)
    alone, joined = (rung["metrics"]["rmse"]["value"] for rung in report["rungs"])
    assert joined == pytest.approx(alone, rel=0.01)


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "the label as weight": ({"data": {"weight": "y"}}, UsageError, "'y' is the label, and weight too"),
    "an embargo of ages": (
        {"split": {"kind": "time", "embargo": 1e18}, "data": {"time": "day"}}, UsageError, "'split.embargo'",
    ),
    "a party without a name": ({"parties": {" ": {"columns": ["z"]}}}, UsageError, "cannot be written on a page"),
    "a party of two lines": ({"parties": {"p\n": {"columns": ["z"]}}}, UsageError, "cannot be written on a page"),
    "bads of no weight": ({"data": {"weight": "goods"}}, DataError, "has not both classes of a weight above 0"),
    "an amount of ages": ({"data": {"amount": "ages"}}, DataError, "is above 1e.15 in 400 rows"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_in_a_sentence(tmp_path, case):
    change, error, said = REFUSED[case]
    select = f"u1 AS x, u2 AS z, 1 - ({LABEL}) AS goods, 3e15 AS ages, DATE '2024-01-01' AS day"
    data = {**source(tmp_path, select), **change.get("data", {})}
    parties = {"bank": {"columns": ["x"]}, **change.get("parties", {"p": {"columns": ["z"]}})}
    rest = {key: value for key, value in change.items() if key not in ("data", "parties")}
    with pytest.raises(error, match=said):
        report_of(tmp_path, data=data, parties=parties, **rest)
    assert not (tmp_path / "out" / "report.json").exists()

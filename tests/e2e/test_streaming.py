"""Scoring part by part: the same scores as at once, in the order of the file; whole or nothing; memory that stays."""

import csv
from pathlib import Path
from typing import Any

import duckdb
import pytest

import bank_node.data.rows
import bank_node.partners.sessions
import bank_node.scoring.streaming
from bank_node.data.rows import open_rows
from bank_node.families.catalogue import load_model
from bank_node.node.node import BankNode
from bank_node.settings.config import load_config as load_bank
from experiments.run.run import run
from partner_node.config import load_config as load_partner
from partner_node.node.service import PartnerService
from protocol.errors import DataError, FedwarnError, TransportError, UsageError
from protocol.transport.in_process import InProcess
from tests.e2e.scored import trained_scores
from tests.e2e.tables import scenario


def quiet(phase: str, done: int, total: int) -> None:
    """No progress."""


@pytest.fixture(scope="module", params=["one-sided", "shared"])
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("streaming")
    job = scenario(folder, run={"alignment": request.param})
    run(job, folder / "out", fresh=False, progress=quiet, overrides={"transport": "in-process"})
    return folder / "out"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many parts of a few rows."""
    monkeypatch.setattr(bank_node.data.rows, "PART", 53)
    monkeypatch.setattr(bank_node.scoring.streaming, "PART", 53)
    monkeypatch.setattr(bank_node.partners.sessions, "PART", 37)


def stream(out: Path, rung: str, data: Path, into: Path, without: frozenset[str] = frozenset()) -> list[dict[str, Any]]:
    """Score a file with the nodes of a run, in this process."""
    config, model = load_bank(out / "nodes/bank/node.toml"), load_model(out / "models" / rung / "boosting")
    services = {p: PartnerService(load_partner(out / "nodes" / p / "node.toml")) for p in config.partners}
    transport = InProcess("bank", {p: s.serve for p, s in services.items() if p not in without})
    try:
        with open_rows(config, model, data, into.parent) as rows, BankNode(config, transport, quiet) as node:
            node.score_file(model, rows, into, set(without))
    finally:
        for service in services.values():
            service.__exit__()
    with into.open(newline="") as file:
        return list(csv.DictReader(file))


def shuffled(out: Path, into: Path, select: str = "* EXCLUDE (bad)", where: str = "true") -> Path:
    """The bank's rows in another order, as CSV."""
    source = out / "nodes/bank/data.parquet"
    duckdb.sql(f"COPY (SELECT {select} FROM '{source}' WHERE {where} ORDER BY hash(id)) TO '{into}' (HEADER)")
    return into


@pytest.mark.parametrize("rung", ["bank", "bank+telecom", "all"])
def test_the_scores_of_training_in_the_order_of_the_file(finished, tmp_path, rung):
    data = shuffled(finished, tmp_path / "rows.csv")
    scored = stream(finished, rung, data, tmp_path / "scores.csv")
    with data.open() as file:
        assert [row["id"] for row in scored] == [row["id"] for row in csv.DictReader(file)]
    assert {row["id"]: float(row["score"]) for row in scored} == trained_scores(finished, rung)
    assert len({row["parties_used"] for row in scored}) == {"bank": 1, "bank+telecom": 2, "all": 4}[rung]
    assert {path.name for path in tmp_path.iterdir()} == {"rows.csv", "scores.csv"}
    again = stream(finished, rung, data, tmp_path / "again.csv")
    assert again == scored


def by_id(scored: list[dict[str, Any]]) -> dict[str, float]:
    return {row["id"]: float(row["score"]) for row in scored}


def test_an_absent_partner(finished, tmp_path):
    data = shuffled(finished, tmp_path / "rows.csv")
    scored = stream(finished, "all", data, tmp_path / "scores.csv", frozenset({"telecom"}))
    assert {row["parties_used"] for row in scored} == {"bank", "bank|bureau"}
    with (finished / "absences.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if (row["rung"], row["without"]) == ("all", "telecom")]
    assert rows
    assert by_id(rows).items() <= by_id(scored).items()


def test_rows_that_no_partner_holds(finished, tmp_path):
    strange = shuffled(finished, tmp_path / "strange.csv", "* EXCLUDE (bad, id), 'X' || id AS id")
    unknown = stream(finished, "all", strange, tmp_path / "unknown.csv")
    assert {row["parties_used"] for row in unknown} == {"bank"}
    data = shuffled(finished, tmp_path / "rows.csv")
    alone = stream(finished, "all", data, tmp_path / "alone.csv", frozenset({"telecom", "bureau"}))
    assert by_id(unknown) == {f"X{row}": score for row, score in by_id(alone).items()}


def test_one_row_and_a_column_without_any_value(finished, tmp_path):
    data = shuffled(finished, tmp_path / "one.csv", 'id, NULL AS "own a", "own b"', "id = 'C00007'")
    (row,) = stream(finished, "bank", data, tmp_path / "scores.csv")
    assert 0 < float(row["score"]) < 1


MANY = "id,own a,own b\n" + "".join(f"C{k},1,2\n" for k in range(200))


@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        (MANY + "C7,1,2\n", DataError, "1 duplicate id in .*at row 201"),
        (MANY + ",1,2\n", DataError, "1 null id in .*at row 201"),
        ("id,own b\nC1,1\n", DataError, "lacks 'own a'"),
        ("ids,own a,own b\nC1,1,2\n", DataError, "column 'id' is not in rows.csv .nearest: 'ids'"),
        ("id,own a,own b\nC1,much,2\n", DataError, "column 'own a' of rows.csv is no number"),
        ("id,own a,own b\n", DataError, "has no rows"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_and_leaves_nothing(
    finished, tmp_path, rows, error: type[FedwarnError], words
):
    (tmp_path / "rows.csv").write_text(rows)
    with pytest.raises(error, match=words):
        stream(finished, "all", tmp_path / "rows.csv", tmp_path / "scores.csv")
    assert {path.name for path in tmp_path.iterdir()} == {"rows.csv"}


def test_a_missing_file_and_a_partner_that_is_down(finished, tmp_path):
    with pytest.raises(UsageError, match="is not at"):
        stream(finished, "all", tmp_path / "none.csv", tmp_path / "scores.csv")
    data = shuffled(finished, tmp_path / "rows.csv")
    config, model = load_bank(finished / "nodes/bank/node.toml"), load_model(finished / "models/all/boosting")

    def down(*_: Any) -> bytes:
        raise TransportError("telecom", "is not there", "start its node")

    transport = InProcess("bank", {"telecom": down, "bureau": down})
    with (
        open_rows(config, model, data, tmp_path) as rows,
        BankNode(config, transport, quiet) as node,
        pytest.raises(TransportError, match="--absent telecom=missing"),
    ):
        node.score_file(model, rows, tmp_path / "scores.csv", set())
    assert {path.name for path in tmp_path.iterdir()} == {"rows.csv"}

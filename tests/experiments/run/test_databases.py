"""Tables in a PostgreSQL: to a report, at a node, and what is said when one cannot be read; the password nowhere."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w

from bank_node.settings.config import load_config as load_bank
from partner_node.config import load_config as load_partner
from partner_node.node.node import PartnerNode
from protocol.errors import DataError, FedwarnError, UsageError
from protocol.job import load_job
from protocol.table import Source, TableSpec, read_table
from protocol.table.snapshots import at_hand
from tests.experiments.run.test_any_table import report_of
from tests.postgres import PASSWORD, execute, postgres

TABLE = """CREATE TABLE loans AS SELECT 'C' || lpad(i::text, 5, '0') AS id, i AS number,
    (i * 7919 % 13 + i * 104729 % 17 > 18)::int AS bad, i * 7919 % 13 AS own, (i * 104729 % 17 / 4.0)::numeric AS calls,
    CASE WHEN i % 9 = 0 THEN NULL ELSE 'k' || i % 5 END AS word, DATE '2024-01-01' + i % 300 AS day,
    i::numeric * 10000000000000000 AS long FROM generate_series(1, 500) t(i)"""
SELECT = "SELECT id, bad, own, calls, word, day FROM loans -- all of them"


@pytest.fixture(scope="module")
def uri() -> Iterator[str]:
    with postgres() as found:
        execute(found, TABLE, "CREATE USER reader PASSWORD 'r3ader-pw'")
        yield found


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("PG_URI", uri)


def _source(folder: Path, query: str = SELECT, uri: str = "env:PG_URI", most: int = 10_000) -> Source:
    source = Source(kind="sql", uri=uri, query=query, max_rows=most)
    return source.beside(folder / "node.toml", folder / "snapshots")


def _secret_in(folder: Path) -> list[str]:
    return [str(p) for p in folder.rglob("*") if p.is_file() and PASSWORD.encode() in p.read_bytes()]


def test_a_scenario_over_a_database_gives_a_report(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    report = report_of(
        tmp_path,
        data={"source": {"kind": "sql", "uri": "env:PG_URI", "query": SELECT}, "id": ["id"], "label": "bad"},
        parties={"bank": {"columns": ["own"]}, "p": {"columns": ["calls", "word", "day"], "coverage": 0.9}},
        contract={"min_rows_per_bin": 5, "min_rows_per_node": 10},
        run={"engine": "plaintext", "ladder": [["bank"], ["bank", "p"]]},
        report={"placebo": False, "bootstrap": 20},
    )
    assert report["data"]["rows"] == 500
    assert report["data"]["parties"]["p"]["dropped"] == []
    said = capfd.readouterr()
    assert PASSWORD not in said.out + said.err
    assert _secret_in(tmp_path) == []
    (snapshot,) = (tmp_path / "out").rglob("query-*.parquet")
    assert snapshot.stat().st_mode & 0o777 == 0o600


def test_both_nodes_read_a_snapshot_once_and_name_it_by_its_digest(tmp_path: Path, uri: str) -> None:
    (tmp_path / "uri").write_text(uri + "\n")
    source = {"kind": "sql", "uri": "file:uri", "query": SELECT}
    common = {"state": "state", "demo": True}
    data = {"source": source, "id": ["id"]}
    own = {**data, "label": "bad", "columns": ["own"]}
    (tmp_path / "bank.toml").write_text(
        tomli_w.dumps({**common, "party": "bank", "partners": {"p": {"address": "127.0.0.1:1"}}, "data": own})
    )
    (tmp_path / "node.toml").write_text(
        tomli_w.dumps({**common, "party": "p", "bank": "bank", "data": {**data, "columns": ["calls", "day"]}})
    )
    bank, config = load_bank(tmp_path / "bank.toml"), load_partner(tmp_path / "node.toml")
    table = read_table(bank.data.source, bank.data, "bank")
    assert table.rows == 500
    node = PartnerNode(config)
    held = node._own.table
    node.close()
    (snapshot,) = (tmp_path / "state").rglob("query-*.parquet")
    assert held.sha256 == table.sha256 == hashlib.sha256(snapshot.read_bytes()).hexdigest()
    assert [c.kind for c in held.columns] == ["number", "number"], "NUMERIC is read as a number, and no text is noted"
    assert [note.rule for note in held.reading] == ["days"]
    execute(uri, "CREATE TABLE other AS SELECT 1 AS id")
    assert read_table(bank.data.source, bank.data, "bank").sha256 == table.sha256
    assert [Path(p).name for p in _secret_in(tmp_path)] == ["uri"]


def test_ids_keep_their_digits(tmp_path: Path) -> None:
    spec = TableSpec(id=("long",), columns=("own",))
    table = read_table(_source(tmp_path, "SELECT long, own FROM loans"), spec, "p")
    assert b"4990000000000000000" in table.ids
    by_number = read_table(_source(tmp_path, "SELECT number::numeric AS n, own FROM loans"), TableSpec(id=("n",)), "p")
    assert b"499" in by_number.ids


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT * FROM nothing_here", "names a table that is not there"),
        ("SELECT no_such FROM loans", "names a column that is not there"),
        ("SELEC 1", "no valid SQL"),
        ("WITH gone AS (DELETE FROM loans RETURNING *) SELECT * FROM gone", "SQLSTATE 0A000"),
        ("SELECT nextval('counted')", "run read-only"),
        ("SELECT word::int FROM loans", "fails on some of its rows"),
        ("SELECT 1; DROP TABLE loans", "no valid SQL"),
        ("SELECT * FROM loans", "more than max_rows = 100 rows"),
    ],
)
def test_a_query_that_cannot_be_run_is_named_and_leaves_nothing(
    tmp_path: Path, uri: str, query: str, said: str
) -> None:
    execute(uri, "CREATE SEQUENCE IF NOT EXISTS counted")
    with pytest.raises(DataError, match=said) as error:
        at_hand(_source(tmp_path, query, most=100), "p")
    assert "k1" not in str(error.value)
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda uri: uri.replace(PASSWORD, PASSWORD + "x"), "refuses the password"),
        (lambda uri: uri.replace(f":{PASSWORD}", ""), "wants a password"),
        (lambda uri: uri.rsplit("/", 1)[0] + "/nothing", "no such database"),
        (lambda uri: uri.replace("127.0.0.1:", "127.0.0.1:1x"), "its database cannot be read"),
        (lambda uri: f"postgresql://owner:{PASSWORD}@127.0.0.1:1/x", "nothing answers at its address"),
        (lambda uri: f"postgresql://owner:{PASSWORD}@no-such-host.invalid/x", "host is not known"),
        (lambda uri: f"mysql://owner:{PASSWORD}@localhost/x", "does not begin with postgresql://"),
        (lambda uri: "", "has no variable PG_URI"),
    ],
)
def test_a_database_that_is_not_reached_is_named_without_its_uri(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, wrong, said: str
) -> None:
    monkeypatch.setenv("PG_URI", wrong(uri))
    with pytest.raises(UsageError, match=said) as error:
        at_hand(_source(tmp_path), "p")
    cause: BaseException | None = error.value
    while cause is not None:
        shown = cause.__suppress_context__ or cause.__context__ is None
        assert isinstance(cause, FedwarnError)
        assert PASSWORD not in repr(cause) + str(cause)
        cause = None if shown else cause.__context__


def test_a_user_without_rights_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("PG_URI", uri.replace(f"owner:{PASSWORD}", "reader:r3ader-pw"))
    with pytest.raises(DataError, match="may not read what the query selects"):
        at_hand(_source(tmp_path), "p")


def test_a_uri_that_is_written_out_is_refused_and_not_shown(tmp_path: Path) -> None:
    source = {"kind": "sql", "uri": f"postgresql://owner:{PASSWORD}@h/d", "query": "select 1"}
    job = {"name": "x", "data": {"source": source, "id": ["id"], "label": "y"}, "parties": {"bank": {}}}
    (tmp_path / "job.toml").write_text(tomli_w.dumps(job))
    with pytest.raises(UsageError, match='write uri = "env:NAME"') as error:
        load_job(tmp_path / "job.toml")
    assert error.value.__suppress_context__, "no traceback shows what pydantic was given"
    assert PASSWORD not in str(error.value) + repr(error.value)

"""A table that changes: published, refreshed, and scored without a partner; a new customer is looked up."""

import csv
from pathlib import Path

import duckdb
import pytest

from protocol.ledger import read_ledger
from tests.e2e.commands import ByHand, Ended, call, refused
from tests.e2e.test_bad_input import small

MODEL = "bank+telecom"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> ByHand:
    """A bank and a telecom operator, and a model of both."""
    folder = tmp_path_factory.mktemp("refresh")
    made = call("experiments", "new", "nodes", small(folder), "--out", folder / "run")
    assert made.code == 0, made
    hand = ByHand(folder / "run", tmp_path_factory.mktemp("nodes") / "run")
    with hand.serving():
        ended = hand.train()
    assert ended.code == 0, ended
    return hand


def score(hand: ByHand, out: Path, data: Path | None = None) -> Ended:
    model = hand.out / "models" / MODEL / "boosting"
    return hand.bank("score", "--model", model, "--data", data or table_of(hand, "bank"), "--out", out)


def table_of(hand: ByHand, party: str) -> Path:
    return hand.node(party) / "data.parquet"


def written(path: Path) -> dict[str, tuple[str, str]]:
    with path.open(encoding="utf-8") as file:
        return {row["id"]: (row["score"], row["parties_used"]) for row in csv.DictReader(file)}


def messages(hand: ByHand) -> int:
    reader = read_ledger(hand.node("bank") / "state/ledger.sqlite")
    try:
        return len(reader.entries())
    finally:
        reader.close()


def publish(hand: ByHand, name: str, select: str) -> dict[str, int]:
    """Publish what a query makes of the partner's table."""
    made, source = hand.node("telecom") / name, table_of(hand, "telecom")
    duckdb.sql(f"COPY ({select.format(source=source)}) TO '{made}' (FORMAT parquet)")
    ended = call("partner_node", "publish", made, "--config", hand.node("telecom") / "node.toml")
    assert ended.code == 0, ended
    found: dict[str, int] = ended.json
    return found


def test_a_month(trained: ByHand, tmp_path: Path) -> None:
    hand = trained
    with hand.serving():
        aligned = score(hand, tmp_path / "aligned.csv")
        assert aligned.code == 0, aligned
        first = hand.bank("refresh")
        assert first.code == 0, first
        one = first.json["partners"]["telecom"]
        assert one["changed"]
        assert one["evaluated"] == first.json["rows"]
        again = hand.bank("refresh").json["partners"]["telecom"]
        assert (again["changed"], again["evaluated"]) == (False, 0)
    before = messages(hand)
    kept = score(hand, tmp_path / "kept.csv")
    assert kept.code == 0, kept
    assert (tmp_path / "kept.csv").read_bytes() == (tmp_path / "aligned.csv").read_bytes()
    assert messages(hand) == before, "no partner was asked"

    turned = tmp_path / "turned.parquet"
    duckdb.sql(f"COPY (SELECT * FROM '{table_of(hand, 'bank')}' ORDER BY id DESC LIMIT 100) TO '{turned}'")
    assert score(hand, tmp_path / "turned.csv", turned).code == 0
    scores = written(tmp_path / "kept.csv")
    assert written(tmp_path / "turned.csv").items() <= scores.items()
    assert messages(hand) == before


def test_a_changed_table(trained: ByHand, tmp_path: Path) -> None:
    """After the first refresh of the test above: a version in which 80 rows change, 3 go, and one customer comes."""
    hand = trained
    held = duckdb.sql(f"SELECT id FROM '{table_of(hand, 'telecom')}' ORDER BY id").fetchall()
    gone, changed = [one for (one,) in held[:3]], [one for (one,) in held[3:83]]
    columns = [c for c in duckdb.sql(f"SELECT * FROM '{table_of(hand, 'telecom')}'").columns if c != "id"]
    assert score(hand, tmp_path / "before.csv").code == 0
    before = written(tmp_path / "before.csv")

    values = ", ".join(f"CASE WHEN id IN ({_texts(changed)}) THEN NULL ELSE {c} END AS {c}" for c in columns)
    newcomer = f"SELECT 'NEW1' AS id, {', '.join(columns)} FROM '{{source}}' WHERE id = '{changed[0]}'"
    july = f"SELECT id, {values} FROM '{{source}}' WHERE id NOT IN ({_texts(gone)}) UNION ALL {newcomer}"
    with hand.serving():
        made = publish(hand, "july.parquet", july)
        assert (made["number"], made["changed"]) == (2, 84)
        done = hand.bank("refresh")
        assert done.code == 0, done
        assert done.json["partners"]["telecom"]["changed"]
        assert done.json["partners"]["telecom"]["evaluated"] == 0
    assert score(hand, tmp_path / "after.csv").code == 0
    after = written(tmp_path / "after.csv")
    touched = set(gone) | set(changed)
    assert {i: s for i, s in after.items() if i not in touched} == {i: s for i, s in before.items() if i not in touched}
    assert any(after[i] != before[i] for i in changed if i in before)
    assert all(before[i][1] == "bank|telecom" and after[i][1] == "bank" for i in gone if i in before)
    assert any(i in before for i in gone)

    new = tmp_path / "new.csv"
    bank = table_of(hand, "bank")
    duckdb.sql(
        f"COPY (SELECT 'NEW1' AS id, * EXCLUDE (id) FROM '{bank}' WHERE id = '{changed[0]}') TO '{new}' (HEADER)"
    )
    refused(score(hand, tmp_path / "new-scores.csv", new), 6, "telecom", "--absent telecom=missing")
    with hand.serving():
        count = messages(hand)
        looked_up = score(hand, tmp_path / "new-scores.csv", new)
        assert looked_up.code == 0, looked_up
        assert messages(hand) - count == 4, "a greeting and a look-up, each with its answer"
    # The newcomer has the telecom columns that `changed[0]` had at first, and its bank columns.
    assert written(tmp_path / "new-scores.csv")["NEW1"] == before[changed[0]]
    assert score(hand, tmp_path / "again.csv", new).code == 0
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "new-scores.csv").read_bytes()


def _texts(ids: list[str]) -> str:
    return ", ".join(f"'{one}'" for one in ids)

"""Hand aggregates of events: what they are, that nothing of the future is in them, and what is refused."""

import datetime as dt
import math
import sys
from itertools import pairwise

import duckdb
import numpy as np
import pytest

from partner_node.encoders.encode import encode
from partner_node.encoders.keys import EventKeys, points_of
from partner_node.encoders.vocabulary import Vocabulary
from protocol.errors import DataError, UsageError
from tests.e2e.commands import call
from tests.partner_node.encoders.event_tables import drawn_events, joined, request, rows_of, written

POINTS = "2024-03-31,2024-08-15"


def _months_before(moment: dt.datetime, months: int) -> dt.datetime:
    month = moment.year * 12 + moment.month - 1 - months
    first = dt.datetime(month // 12, month % 12 + 1, 1)
    last = (first.replace(day=28) + dt.timedelta(days=4)).replace(day=1) - dt.timedelta(days=1)
    return moment.replace(year=first.year, month=first.month, day=min(moment.day, last.day))


def test_aggregates_are_those_of_a_plain_computation(tmp_path):
    columns = drawn_events(60)
    encode(request(written(tmp_path / "events.parquet", columns), tmp_path / "out.parquet", POINTS), "telecom")
    rows = rows_of(tmp_path / "out.parquet")
    assert len(rows) > 100
    happened = columns["happened"].astype("datetime64[us]").astype(object)
    for row in rows:
        mine = [
            k for k in range(len(happened)) if columns["customer"][k] == row["customer"] and happened[k] <= row["as_of"]
        ]
        for kind, name in ((None, "all"), ("call", "call"), ("top-up", "top-up")):
            some = [k for k in mine if kind is None or columns["what"][k] == kind]
            for window in (1, 3, 6, 12):
                inside = [k for k in some if happened[k] > _months_before(row["as_of"], window)]
                money = [columns["money"][k] for k in inside if not math.isnan(columns["money"][k])]
                assert row[f"{name} count {window}m"] == len(inside)
                assert row[f"{name} sum {window}m"] == pytest.approx(sum(money))
                mean = row[f"{name} mean {window}m"]
                assert mean == pytest.approx(sum(money) / len(money)) if money else mean is None
            last = row[f"{name} days since last"]
            since = min(((row["as_of"] - happened[k]).total_seconds() / 86_400 for k in some), default=None)
            assert last == pytest.approx(since) if since is not None else last is None
        times = sorted(happened[k] for k in mine)
        year = _months_before(row["as_of"], 12)
        gaps = [(b - a).total_seconds() / 86_400 for a, b in pairwise(times) if b > year]
        assert row["gap mean"] == pytest.approx(np.mean(gaps)) if gaps else row["gap mean"] is None
        assert row["gap deviation"] == pytest.approx(np.std(gaps), abs=1e-6) if gaps else row["gap deviation"] is None


def test_events_of_the_future_change_no_byte(tmp_path):
    known = drawn_events(200)
    past = known["happened"] <= np.datetime64("2024-06-30")
    known = {name: values[past] for name, values in known.items()}
    future = drawn_events(300, seed=2)
    future["happened"] = future["happened"] + np.timedelta64(730, "D")
    future["what"][:] = "default notice"
    for name, columns in (("known", known), ("planted", joined(future, known))):
        encode(request(written(tmp_path / f"{name}-events.parquet", columns), tmp_path / name, "2024-06-30"), "telecom")
    assert (tmp_path / "known").read_bytes() == (tmp_path / "planted").read_bytes()


def test_an_event_of_the_same_day_counts_only_if_it_has_no_hour(tmp_path):
    columns = {
        "customer": np.array(["a", "a", "b"], dtype=object),
        "happened": np.array(["2024-01-31", "2024-01-30", "2024-01-31T15:00:00"], dtype="datetime64[s]"),
        "what": np.array(["call"] * 3, dtype=object),
        "money": np.array([1.0, 2.0, 4.0]),
    }
    encode(request(written(tmp_path / "e.parquet", columns), tmp_path / "out.parquet", "2024-01-31"), "telecom")
    assert [(row["customer"], row["all sum 1m"]) for row in rows_of(tmp_path / "out.parquet")] == [("a", 3.0)]


def test_rare_types_are_merged_and_a_pinned_encoder_keeps_its_columns(tmp_path):
    columns = drawn_events(200)
    events = written(tmp_path / "e.parquet", columns)
    first = request(events, tmp_path / "jan.parquet", "2024-01-31", saved=tmp_path / "model")
    encoder, _ = encode(first, "telecom")
    assert set(encoder.described.vocabulary.kinds) == {"call", "roaming", "top-up"}
    assert not any("rare" in name or "other" in name for name in rows_of(tmp_path / "jan.parquet")[0])
    columns["what"][:1000] = "satellite"
    later = written(tmp_path / "later.parquet", columns)
    encode(request(later, tmp_path / "dec.parquet", "2024-12-31", model=tmp_path / "model"), "telecom")
    assert rows_of(tmp_path / "dec.parquet")[0].keys() == rows_of(tmp_path / "jan.parquet")[0].keys()


def test_types_that_differ_in_case_have_columns_of_their_own():
    assert Vocabulary(kinds=("Call", "call", "ALL"), cuts=()).names == ("other types", "Call", "call_1", "ALL_1")


def test_pairs_are_looked_at_each_at_its_own_date(tmp_path):
    columns = drawn_events(50)
    pairs = {
        "id0": np.array(["C00001", "C00002", "nobody"], dtype=object),
        "point": np.array(["2024-01-31", "2024-05-31", "2024-05-31"], dtype="datetime64[us]"),
    }
    asked = request(written(tmp_path / "e.parquet", columns), tmp_path / "out.parquet", POINTS, pairs=pairs)
    encode(asked, "telecom")
    found = {(row["customer"], str(row["as_of"])[:10]) for row in rows_of(tmp_path / "out.parquet")}
    assert found == {("C00001", "2024-01-31"), ("C00002", "2024-05-31")}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (EventKeys(("custmer",), "happened"), "'custmer' is not in"),
        (EventKeys(("customer",), "what"), "'what' of e.parquet is no date"),
        (EventKeys(("customer",), "happened", "what", "what"), "is no number"),
        (EventKeys(("customer",), "sometimes"), "1 events without an id or a date"),
    ],
)
def test_an_event_table_that_cannot_be_used_is_refused_by_what_is_wrong(tmp_path, keys, said):
    columns = drawn_events(50)
    columns["sometimes"] = columns["happened"].copy()
    columns["sometimes"][3] = np.datetime64("NaT")
    asked = request(written(tmp_path / "e.parquet", columns), tmp_path / "out.parquet", POINTS)
    with pytest.raises(DataError, match=said):
        encode(type(asked)(**{**asked.__dict__, "keys": keys}), "telecom")
    assert not (tmp_path / "out.parquet").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["e.parquet"]


def test_points_are_dates_or_a_grid():
    assert [str(p)[:10] for p in points_of("month:2024-01-31:2024-03-31", "p")] == [
        "2024-01-31",
        "2024-02-29",
        "2024-03-31",
    ]
    assert (
        points_of("month 2024-01-31 2024-03-31", "p").tolist() == points_of("month:2024-01-31:2024-03-31", "p").tolist()
    )
    assert [str(p)[:10] for p in points_of("2024-03-31, 2024-01-31", "p")] == ["2024-01-31", "2024-03-31"]
    for wrong in ("sometime", "month:2024-01-31", "year:x:y", "month:2024-03-31:2024-01-31"):
        with pytest.raises(UsageError):
            points_of(wrong, "p")


def test_the_command_says_what_it_lacks_without_torch_and_works_without_it_for_aggregates(tmp_path):
    events = written(tmp_path / "events.parquet", drawn_events(100))
    told = ("encode", events, "--id", "customer", "--time", "happened", "--type", "what", "--amount", "money")
    rest = ("--as-of", "2024-06-30", "--out", tmp_path / "out.parquet", "--json")
    hand = call("partner_node", *told, *rest, "--columns", 0)
    assert hand.code == 0
    assert hand.json["learned"] == 0
    assert hand.json["rows"] == len(rows_of(tmp_path / "out.parquet"))
    (tmp_path / "out.parquet").unlink()
    blocked = call("partner_node", *told, *rest, prelude="import sys; sys.modules['torch'] = None")
    assert blocked.code == 2
    assert "torch" in blocked.json["error"]["thing"]
    assert "--columns 0" in blocked.json["error"]["remedy"]
    assert not (tmp_path / "out.parquet").exists()


def test_nothing_imports_torch_before_it_is_needed():
    import partner_node.cli

    assert partner_node.cli.verbs
    names = [name for name in sys.modules if name.startswith("partner_node.encoders")]
    assert names
    assert all("torch" not in vars(sys.modules[name]) for name in names)


def test_columns_say_which_encoder_made_them_and_as_of_when(tmp_path):
    events = written(tmp_path / "events.parquet", drawn_events(100))
    encoder, _ = encode(request(events, tmp_path / "out.parquet", "2024-06-30"), "telecom")
    with duckdb.connect() as base:
        about = base.sql(f"SELECT key, value FROM parquet_kv_metadata('{tmp_path / 'out.parquet'}')").fetchall()
    assert {key.decode(): value.decode() for key, value in about} == {
        "snapshot": "2024-06-30",
        "encoder": encoder.sha256,
    }

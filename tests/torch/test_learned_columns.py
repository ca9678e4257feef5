"""Columns learned from events: the same bytes for one seed, nothing of the future, pinned weights, and order seen."""

import hashlib

import numpy as np
import pytest

from partner_node.encoders.encode import encode
from partner_node.encoders.model_folder import EventsDescribed, load
from protocol.draws import draw
from protocol.errors import DataError, IntegrityError
from tests.partner_node.encoders.event_tables import FIRST, drawn_events, joined, request, rows_of, written

AS_OF = "2024-06-30"


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    return written(tmp_path_factory.mktemp("events") / "events.parquet", drawn_events(1200, 15))


@pytest.fixture(scope="module")
def first(events):
    folder = events.parent
    encode(request(events, folder / "first.parquet", AS_OF, 4, saved=folder / "first"), "telecom")
    return folder


def learned(path):
    return np.array([[row[name] for name in row if name.startswith("learned")] for row in rows_of(path)])


def test_one_seed_gives_the_same_bytes_and_another_seed_others(first, events, tmp_path):
    for name, seed in (("again", 7), ("other", 8)):
        encode(request(events, tmp_path / f"{name}.parquet", AS_OF, 4, seed, saved=tmp_path / name), "telecom")
    assert (tmp_path / "again.parquet").read_bytes() == (first / "first.parquet").read_bytes()
    for file in ("encoder.json", "weights.safetensors"):
        assert (tmp_path / "again" / file).read_bytes() == (first / "first" / file).read_bytes()
        assert (tmp_path / "other" / file).read_bytes() != (first / "first" / file).read_bytes()


def test_events_of_the_future_change_no_byte_of_columns_or_weights(first, tmp_path):
    known, future = drawn_events(1200, 15), drawn_events(1200, 15, seed=5)
    future["happened"] = future["happened"] + np.timedelta64(730, "D")
    planted = written(tmp_path / "planted.parquet", joined(future, known))
    encode(request(planted, tmp_path / "columns.parquet", AS_OF, 4, saved=tmp_path / "encoder"), "telecom")
    assert (tmp_path / "columns.parquet").read_bytes() == (first / "first.parquet").read_bytes()
    weights = "weights.safetensors"
    assert (tmp_path / "encoder" / weights).read_bytes() == (first / "first" / weights).read_bytes()


def test_an_encoder_knows_nothing_of_what_came_after_the_first_point(first, events, tmp_path):
    encode(request(events, tmp_path / "two.parquet", f"{AS_OF},2024-12-31", 4, saved=tmp_path / "two"), "telecom")
    weights = "weights.safetensors"
    assert (tmp_path / "two" / weights).read_bytes() == (first / "first" / weights).read_bytes()


def test_learned_columns_do_not_repeat_each_other(first):
    columns = learned(first / "first.parquet")
    assert columns.shape[1] == 4
    assert np.allclose(columns.std(axis=0), 1, atol=0.05)
    assert np.abs(np.corrcoef(columns, rowvar=False) - np.eye(4)).max() < 0.05


def test_the_next_month_is_encoded_with_the_pinned_weights(first, events, tmp_path):
    encoder, _ = encode(request(events, tmp_path / "july.parquet", "2024-07-31", model=first / "first"), "telecom")
    assert encoder.described.fitted_until == AS_OF
    again, _ = encode(request(events, tmp_path / "june.parquet", AS_OF, model=first / "first"), "telecom")
    assert again.sha256 == encoder.sha256
    assert (tmp_path / "june.parquet").read_bytes() == (first / "first.parquet").read_bytes()
    assert learned(tmp_path / "july.parquet").shape[1] == 4


def test_changed_weights_are_refused(first, tmp_path):
    (tmp_path / "encoder.json").write_bytes((first / "first" / "encoder.json").read_bytes())
    content = bytearray((first / "first" / "weights.safetensors").read_bytes())
    known = load(first / "first", EventsDescribed, "telecom").described
    assert hashlib.sha256(content).hexdigest() == known.weights_sha256
    content[-1] ^= 1
    (tmp_path / "weights.safetensors").write_bytes(content)
    with pytest.raises(IntegrityError, match="SHA-256"):
        load(tmp_path, EventsDescribed, "telecom")


def test_reasons_name_the_aggregates_that_a_column_goes_with(first):
    described = load(first / "first", EventsDescribed, "telecom").described
    names = rows_of(first / "first.parquet")[0].keys()
    assert len(described.reasons) == 4
    for found in described.reasons:
        assert len(found) == 3
        assert {name for name, _ in found} <= names
        sizes = [abs(value) for _, value in found]
        assert sizes == sorted(sizes, reverse=True)
    assert abs(described.reasons[0][0][1]) > 0.3


def test_few_customers_are_not_fitted_on(tmp_path):
    few = written(tmp_path / "few.parquet", drawn_events(999))
    with pytest.raises(DataError, match=r"999 customers .* needs at least 1,000"):
        encode(request(few, tmp_path / "out.parquet", "2024-12-31", 4), "telecom")


def test_order_that_no_aggregate_sees_is_in_the_learned_columns(tmp_path):
    """Half of the customers take turns at calls and top-ups, the others do two of each: the same counts and gaps."""
    customers, each = 1600, 32
    drawn = draw(3, "order")
    turns = np.arange(customers) % 2 == 0
    four = np.where(turns[:, None], ["call", "top-up"] * 2, ["call", "call", "top-up", "top-up"])
    steps = (np.arange(each) * 24 + drawn.integers(0, 12, (customers, each))).astype("timedelta64[D]")
    columns = {
        "customer": np.array([f"C{k:05d}" for k in np.repeat(np.arange(customers), each)], dtype=object),
        "happened": (np.datetime64(FIRST, "s") + steps).ravel(),
        "what": np.tile(four, (1, each // 4)).ravel().astype(object),
        "money": np.round(drawn.gamma(2.0, 30.0, customers * each), 2),
    }
    # Four events of either type at the end, in drawn order, so that the last one says nothing.
    shuffled = columns["what"].reshape(customers, each)
    for row in shuffled:
        row[-8:] = drawn.permutation(["call", "top-up"] * 4)
    path = written(tmp_path / "order.parquet", columns)
    encode(request(path, tmp_path / "out.parquet", "2025-06-30", 8, steps=400), "telecom")
    rows = rows_of(tmp_path / "out.parquet")
    marked = np.array([int(row["customer"][1:]) % 2 == 0 for row in rows])

    fitted, tested = np.arange(len(rows)) % 4 < 2, np.arange(len(rows)) % 4 >= 2

    def best(names):
        values = np.nan_to_num(np.array([[row[name] or 0 for name in names] for row in rows], dtype=float))
        x = np.c_[(values - values.mean(axis=0)) / (values.std(axis=0) + 1e-9), np.ones(len(rows))]
        weights = np.linalg.lstsq(x[fitted], marked[fitted] * 2.0 - 1, rcond=None)[0]
        return float(np.mean((x[tested] @ weights > 0) == marked[tested]))

    hand = [name for name in rows[0] if name not in ("customer", "as_of") and not name.startswith("learned")]
    assert best(hand) < 0.65
    assert best([name for name in rows[0] if name.startswith("learned")]) > 0.9

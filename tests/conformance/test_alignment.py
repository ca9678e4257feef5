"""Alignment equals the intersection, in both settings, and tells no more than it should."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bank_node.partners.alignment as bank_half
import protocol.algorithms.alignment as contract
from bank_node.partners.alignment import DatedRows, align, align_in_parts
from partner_node.algorithms.alignment import AlignmentAnswerer, DatedRecords, dated_records
from protocol.algorithms import group
from protocol.algorithms.alignment import (
    BankAlignment,
    BlindedIds,
    Dated,
    Matched,
    OwnIds,
    OwnIdsQuery,
    PartnerAlignment,
    Positions,
    Start,
    TwiceBlinded,
    load,
    name,
    save,
)
from protocol.errors import DataError, IntegrityError, PeerError
from protocol.messages import decode, encode
from protocol.role import drive
from protocol.table import Table
from protocol.table.dates import EXACT, Grid
from protocol.table.ids import normalise_ids
from tests.hostile.raw import unchecked


class Hall:
    """Partners in one process; keeps every message that passed."""

    def __init__(self, tables: dict[str, list[bytes]], setting: str, id_columns: int = 1) -> None:
        self.kept: dict[str, PartnerAlignment] = {}
        self.wire: list = []
        self.answerers = {
            p: AlignmentAnswerer(p, "bank", setting, id_columns, ids, lambda a, p=p: self.kept.update({p: a}))
            for p, ids in tables.items()
        }

    def exchange(self, requests):
        self.wire += requests.values()
        replies = {p: self.answerers[p].handle(decode(m.KIND, encode(m))) for p, m in requests.items()}
        self.wire += replies.values()
        return replies

    def align(self, ids: list[bytes], setting: str) -> dict[str, BankAlignment]:
        return drive(align("bank", list(self.answerers), ids, 1, setting, lambda done, total: None), self.exchange)


names = st.lists(st.text(min_size=1, max_size=6).map(str.encode), min_size=1, max_size=25, unique=True)


@settings(max_examples=30, deadline=None)
@given(bank=names, tables=st.lists(names, min_size=1, max_size=3), setting=st.sampled_from(["one-sided", "shared"]))
def test_alignment_is_the_intersection(bank, tables, setting):
    hall = Hall({f"p{k}": table for k, table in enumerate(tables)}, setting)
    if any(not set(bank) & set(table) for table in tables):
        with pytest.raises(DataError, match="none of the bank's rows"):
            hall.align(bank, setting)
        return
    for party, ours in hall.align(bank, setting).items():
        theirs, table = hall.kept[party], hall.answerers[party].ids
        assert ours.alignment == theirs.alignment
        assert len(theirs.order) == ours.rows
        assert {x for x, at in zip(bank, ours.positions, strict=True) if at >= 0} == set(bank) & set(table)
        for x, at in zip(bank, ours.positions, strict=True):
            assert at < 0 or table[theirs.order[at]] == x
        assert theirs.matches == ours.matches == len(set(bank) & set(table))
        if setting == "one-sided":
            assert sorted(theirs.order) == list(range(len(table)))


@settings(max_examples=20, deadline=None)
@given(bank=names, table=names, setting=st.sampled_from(["one-sided", "shared"]), part=st.sampled_from([4, 8192]))
def test_both_sides_keep_the_same_row_keys(bank, table, setting, part):
    """The partner of every row, the bank of the rows it matched; whether or not its rows are read part by part."""
    bank, table = [*bank, b"\0both"], [*table, b"\0both"]
    hall = Hall({"p": table}, setting)
    parts = iter([bank[at : at + part] for at in range(0, len(bank), part)])
    script = align_in_parts("bank", ["p"], parts, len(bank), 1, setting, lambda *_: None)
    for ours in (lambda: hall.align(bank, setting)["p"], lambda: drive(script, hall.exchange)["p"]):
        aligned, theirs = ours(), hall.kept["p"]
        if setting == "shared":
            assert aligned.row_keys is theirs.row_keys is None
            assert aligned.keys.size == theirs.keys.size == 0
            continue
        assert len({key.tobytes() for key in theirs.keys}) == len(table)
        assert np.array_equal(aligned.keys, theirs.keys[aligned.row_keys.places])
        assert np.array_equal(aligned.row_keys.places, aligned.positions[aligned.positions >= 0])


def test_row_keys_are_in_no_message_and_no_repr():
    hall = Hall({"p": [b"1", b"2"]}, "one-sided")
    ours = hall.align([b"1", b"2"], "one-sided")["p"]
    wire = b"".join(encode(message) for message in hall.wire)
    for kept in (ours, hall.kept["p"]):
        assert not any(key.tobytes() in wire for key in kept.keys)
        assert "keys" not in repr(kept).replace("RowKeys", "")
        assert "keys=" not in repr(kept.row_keys)
        assert "places=" not in repr(kept.row_keys)


def test_the_partner_multiplies_once_for_tags_and_keys(monkeypatch):
    ids, computed = [b"%d" % k for k in range(30)], []
    plain = group.secrets_of_ids
    monkeypatch.setattr(group, "secrets_of_ids", lambda some, scalar: computed.extend(some) or plain(some, scalar))
    Hall({"p": ids}, "one-sided").align(ids[5:], "one-sided")
    assert sorted(computed) == sorted(ids)


def test_a_partner_is_not_told_who_matched_unless_shared():
    ids = [b"%d" % k for k in range(40)]
    for setting in ("one-sided", "shared"):
        hall = Hall({"p": [*ids[10:], b"x"]}, setting)
        hall.align(ids, setting)
        assert any(isinstance(m, Positions) for m in hall.wire) == (setting == "shared")


def test_secrets_and_orders_are_fresh():
    ids = [b"%d" % k for k in range(40)]
    halls = [Hall({"p": ids}, "one-sided") for _ in range(2)]
    for hall in halls:
        hall.align(ids, "one-sided")
        assert hall.answerers["p"].state.secret == b""
    for kind in (BlindedIds, OwnIds):
        first, second = (
            {
                p.tobytes()
                for m in hall.wire
                if isinstance(m, kind)
                for p in (m.points if kind is BlindedIds else m.tags)
            }
            for hall in halls
        )
        assert not first & second
    assert (halls[0].kept["p"].order != halls[1].kept["p"].order).any()


@settings(max_examples=15, deadline=None)
@given(bank=names, table=names, setting=st.sampled_from(["one-sided", "shared"]), random=st.randoms())
def test_the_order_of_a_file_changes_no_match(bank, table, setting, random):
    bank, table = [*bank, b"\0both"], [*table, b"\0both"]
    found = []
    for ours, theirs in ((bank, table), (random.sample(bank, len(bank)), random.sample(table, len(table)))):
        hall = Hall({"p": theirs}, setting)
        positions = hall.align(ours, setting)["p"].positions
        order = hall.kept["p"].order
        found.append({(x, theirs[order[at]]) for x, at in zip(ours, positions, strict=True) if at >= 0})
    assert found[0] == found[1] == {(x, x) for x in set(bank) & set(table)}


def test_ids_of_several_columns_and_scripts_align():
    first, second = ["张三", "a|b", "ＡＢ", "007"], [1, 2, 3, 4]
    bank = normalise_ids([first, second], "bank", "loans.csv")
    partner = normalise_ids([["AB ", "a", "张三"], ["3.0", "b|2", " 1"]], "p", "calls.csv")
    ours = Hall({"p": partner}, "one-sided").align(bank, "one-sided")["p"]
    assert (ours.positions >= 0).tolist() == [True, False, True, False]


def test_more_ids_than_one_exchange_carries(monkeypatch):
    for part in (bank_half, contract):
        monkeypatch.setattr(part, "PART", 64)
    ids, table = [b"%d" % k for k in range(300)], [b"%d" % k for k in range(100, 500)]
    hall = Hall({"p": table, "few": table[:3]}, "shared")
    told: list[tuple[int, int]] = []
    drive(align("bank", ["p", "few"], ids, 1, "shared", lambda *at: told.append(at)), hall.exchange)
    assert sum(isinstance(m, BlindedIds) for m in hall.wire) == 2 * 5
    assert sum(isinstance(m, OwnIds) for m in hall.wire) == 7 + 1
    assert told == sorted(told)
    assert told[-1] == (2 * 300 + 400 + 3,) * 2
    assert (hall.kept["p"].matches, hall.kept["few"].matches) == (200, 3)


def test_no_partner_can_link_its_wire_to_another_partners():
    """Under one secret or one order for two partners, they could tell together which ids they share."""
    ids = [b"%d" % k for k in range(40)]
    halls = Hall({"p": ids, "q": ids}, "one-sided")
    halls.align(ids, "one-sided")
    blinded = [m.points.tobytes() for m in halls.wire if isinstance(m, BlindedIds)]
    own = [{p.tobytes() for p in m.tags} for m in halls.wire if isinstance(m, OwnIds)]
    assert len({p for b in blinded for p in group.as_keys(np.frombuffer(b, np.uint8).reshape(-1, 32))}) == 80
    assert not own[0] & own[1]


def test_all_that_a_one_sided_partner_hears_is_two_counts():
    """Every message to it, field by field: nothing but the opening, points, ranges over its own rows, a number."""
    ids = [b"%d" % k for k in range(40)]
    hall = Hall({"p": [*ids[10:], b"x"]}, "one-sided")
    hall.align(ids, "one-sided")
    heard = [m for m in hall.wire if type(m) in (Start, BlindedIds, OwnIdsQuery, Matched, Positions)]
    assert [type(m) for m in heard] == [Start, BlindedIds, OwnIdsQuery, Matched]
    assert (heard[0].rows, heard[2].first, heard[2].count, heard[3].matches) == (40, 0, 31, 30)
    kept = hall.kept["p"]
    assert set(kept.__dict__) == {"alignment", "bank", "setting", "bank_rows", "matches", "order", "keys", "data"}
    assert sorted(kept.order) == list(range(31))  # every row of its table, matched or not


def test_the_shared_order_is_one_for_all_partners_and_not_the_files():
    ids = [b"%03d" % k for k in range(200)]
    hall = Hall({"p": ids[:150], "q": ids[100:]}, "shared")
    ours = hall.align(ids, "shared")
    both = range(100, 150)
    assert [ours["p"].positions[k] for k in both] == [ours["q"].positions[k] for k in both]
    assert sorted(np.maximum(ours["p"].positions, ours["q"].positions)) == list(range(200))
    assert list(ours["p"].positions[:150]) != sorted(ours["p"].positions[:150])


@pytest.mark.parametrize("setting", ["one-sided", "shared"])
def test_a_partner_goes_on_from_its_state_alone(setting):
    """Another worker takes over after every message, with nothing but the state."""
    ids = [b"%d" % k for k in range(30)]
    hall = Hall({"p": ids[10:]}, setting)

    def exchange(requests):
        replies = hall.exchange(requests)
        hall.answerers["p"] = replace(hall.answerers["p"])
        return replies

    ours = drive(align("bank", ["p"], ids, 1, setting, lambda done, total: None), exchange)["p"]
    if setting == "one-sided":
        assert np.array_equal(ours.keys, hall.kept["p"].keys[ours.positions[10:]])
    assert [ids[10:][k] for k in hall.kept["p"].order[ours.positions[10:]]] == ids[10:]


def begun(setting: str = "one-sided", rows: int = 2) -> tuple[AlignmentAnswerer, list[PartnerAlignment]]:
    """A partner of three rows in an alignment with a bank that declared `rows`."""
    kept: list[PartnerAlignment] = []
    partner = AlignmentAnswerer("p", "bank", setting, 1, [b"1", b"2", b"3"], kept.append)
    partner.handle(Start(setting=setting, id_columns=1, rows=rows, nonce=bytes(32)))
    return partner, kept


def test_a_bank_cannot_ask_for_more_ids_than_it_declared():
    partner, _ = begun(rows=2)
    two = BlindedIds(points=group.hash_to_group([b"a", b"b"]))
    assert len(partner.handle(two).points) == 2
    with pytest.raises(IntegrityError, match="bank: sent more ids than it declared"):
        partner.handle(BlindedIds(points=two.points[:1]))


@pytest.mark.parametrize("bad", [bytes(32), b"\xff" * 32])
def test_a_bank_that_sends_no_point_is_named(bad):
    partner, _ = begun()
    with pytest.raises(IntegrityError, match="bank: sent what is no blinded id"):
        partner.handle(BlindedIds(points=np.frombuffer(bad, np.uint8).reshape(1, 32)))


@pytest.mark.parametrize(
    ("setting", "message", "error"),
    [
        ("one-sided", Positions(order=np.array([0])), PeerError),
        ("shared", Matched(matches=1), PeerError),
        ("one-sided", Matched(matches=0), IntegrityError),
        ("one-sided", Matched(matches=3), IntegrityError),
        ("shared", Positions(order=np.array([-1, -1])), IntegrityError),
        ("shared", Positions(order=np.array([0, 0])), IntegrityError),
        ("shared", Positions(order=np.array([0, 3])), IntegrityError),
        ("shared", unchecked(Positions(order=np.array([0, 1])), order=np.array([0, -99])), IntegrityError),
        ("shared", Positions(order=np.array([0, 1, -1])), IntegrityError),
        ("shared", unchecked(Positions(order=np.array([0, 1])), order=np.array([[0, 1]])), IntegrityError),
        ("one-sided", OwnIdsQuery(first=2, count=2), IntegrityError),
        ("one-sided", OwnIdsQuery(first=-1, count=1), IntegrityError),
    ],
)  # fmt: skip
def test_impossible_messages_are_refused_and_nothing_is_kept(setting, message, error):
    partner, kept = begun(setting)
    with pytest.raises(error, match=r"^bank: "):
        partner.handle(message)
    assert not kept


def test_nothing_goes_on_that_was_not_begun_or_is_over():
    partner, kept = begun()
    partner.handle(BlindedIds(points=group.hash_to_group([b"1", b"4"])))
    partner.handle(Matched(matches=1))
    assert len(kept) == 1
    for message in (BlindedIds(points=group.hash_to_group([b"1"])), Matched(matches=1)):
        with pytest.raises(PeerError, match="not begun"):
            partner.handle(message)


def bent(hall: Hall, kind: type, change: Callable) -> None:
    """From now on partner p changes its replies of one kind."""
    plain = hall.answerers["p"].handle

    def handle(message):
        reply = plain(message)
        return change(reply) if isinstance(reply, kind) else reply

    hall.answerers["p"].handle = handle


NO_POINT = np.zeros((1, 32), np.uint8)


@pytest.mark.parametrize(
    ("kind", "change", "sentence"),
    [
        (TwiceBlinded, lambda m: TwiceBlinded(points=m.points[1:]), "no blinded id"),
        (TwiceBlinded, lambda m: TwiceBlinded(points=np.concatenate((NO_POINT, m.points[1:]))), "no blinded id"),
        (TwiceBlinded, lambda m: TwiceBlinded(points=np.concatenate((m.points[1:2], m.points[1:]))), "id twice"),
        (OwnIds, lambda m: OwnIds(tags=m.tags[1:]), "no blinded id"),
        (OwnIds, lambda m: unchecked(m, tags=m.tags[:, :8]), "no blinded id"),
        (OwnIds, lambda m: OwnIds(tags=np.concatenate((m.tags[1:2], m.tags[1:]))), "id twice"),
    ],
)
def test_a_partner_that_answers_what_cannot_be_is_named(kind, change, sentence):
    hall = Hall({"p": [b"1", b"2", b"3"]}, "one-sided")
    bent(hall, kind, change)
    with pytest.raises(IntegrityError, match=rf"^p: .*{sentence}"):
        hall.align([b"1", b"2", b"3"], "one-sided")


def test_both_sides_must_mean_the_same_parties():
    hall = Hall({"p": [b"1"]}, "one-sided")
    hall.answerers["p"].bank = "another"
    with pytest.raises(PeerError, match="p: names the alignment otherwise"):
        hall.align([b"1"], "one-sided")


def test_a_partner_without_rows_is_named():
    with pytest.raises(DataError, match="p: has no rows"):
        Hall({"p": []}, "one-sided").align([b"1"], "one-sided")


def test_settings_must_agree():
    with pytest.raises(PeerError, match="set to 'one-sided'"):
        Hall({"p": [b"1"]}, "one-sided").align([b"1"], "shared")
    with pytest.raises(DataError, match="ids of 1 columns, p of 2"):
        Hall({"p": [b"1"]}, "one-sided", id_columns=2).align([b"1"], "one-sided")


GRID = "month 2023-01-31 2023-12-31"


@pytest.mark.parametrize(
    ("asked", "ours", "error", "sentence"),
    [
        (GRID, "", DataError, "p: has columns without a date"),
        ("", GRID, DataError, "bank: asks for rows without dates, and p keeps dated records"),
        (GRID, "week 2023-01-31 2023-12-31", PeerError, "bank: has its points in time at 'month .* p at 'week "),
        ("exact dates", GRID, PeerError, "bank: has its points in time at 'exact dates'"),
    ],
)
def test_both_sides_have_dates_alike_or_none(asked, ours, error, sentence):
    hall = Hall({"p": [b"1"]}, "one-sided")
    hall.answerers["p"].dated = DatedRecords(ours, record=np.array([0])) if ours else None
    script = align("bank", ["p"], [b"1"], 1, "one-sided", lambda done, total: None, asked)
    with pytest.raises(error, match=sentence):
        drive(script, hall.exchange)


def test_with_shared_alignment_each_row_gets_the_latest_record_not_after_its_date():
    """Two partners; the row space is common, and a row is held where there was a record by its date."""
    hall = Hall({"p": [b"a", b"b"], "q": [b"c", b"b"]}, "shared")
    days = lambda *values: np.array(values, dtype="datetime64[us]")  # noqa: E731
    known = days("2023-01-10", "2023-02-10", "2023-03-10")
    hall.answerers["p"].dated = DatedRecords(EXACT, entity=np.array([0, 0, 1]), as_of=known)
    hall.answerers["q"].dated = DatedRecords(EXACT, entity=np.array([0, 1, 1]), as_of=known)
    rows = DatedRows(
        np.array([0, 0, 0, 1, 2, 3]),
        days("2023-01-09", "2023-01-10", "2023-05-01", "2023-02-20", "2023-01-31", "2023-12-31").astype(np.int64),
    )
    script = align("bank", ["p", "q"], [b"a", b"b", b"c", b"d"], 1, "shared", lambda *_: None, EXACT, rows)
    ours = drive(script, hall.exchange)
    used = {p: [int(hall.kept[p].order[at]) if at >= 0 else -1 for at in ours[p].positions] for p in hall.answerers}
    assert used == {"p": [-1, 0, 1, -1, -1, -1], "q": [-1, -1, -1, 1, 0, -1]}
    assert ours["p"].rows == ours["q"].rows == 5
    assert (hall.kept["p"].matches, hall.kept["q"].matches) == (2, 2)


@pytest.mark.parametrize(
    ("order", "as_of"), [([0, 1], [0]), ([5], [0]), ([-2], [0]), ([[0]], [[0]])]
)  # fmt: skip
def test_impossible_dates_are_refused(order, as_of):
    partner, kept = begun("shared")
    partner.dated = DatedRecords(EXACT, entity=np.array([0]), as_of=np.array(["1970-01-01"], dtype="datetime64[us]"))
    with pytest.raises(IntegrityError, match=r"^bank: sent impossible positions"):
        partner.handle(
            unchecked(Dated(order=np.array([0]), as_of=np.array([0])), order=np.array(order), as_of=np.array(as_of))
        )
    with pytest.raises(PeerError):
        partner.handle(Positions(order=np.array([0])))
    assert not kept


def test_one_date_that_lies_far_off_is_no_grid_of_a_million_points():
    as_of = np.array(["2024-01-01", "9999-12-31"] * 200, dtype="datetime64[us]")
    table = Table("telecom", [b"%d" % k for k in range(400)], (), as_of=as_of, entities=[b"%d" % k for k in range(400)])
    with pytest.raises(DataError, match="400 ids at 95712 points in time from 2024-01-01 to 9999-12-31") as caught:
        dated_records(table, Grid("month", date(2024, 1, 1), date(9999, 12, 31)))
    assert "correct dates that lie far off" in str(caught.value)


def test_alignments_are_kept(tmp_path):
    hall = Hall({"p": [b"1", b"2"]}, "one-sided")
    ours = hall.align([b"2", b"3"], "one-sided")["p"]
    for kind, value in ((BankAlignment, ours), (PartnerAlignment, hall.kept["p"])):
        save(value, tmp_path / "a.npz")
        back = load(kind, tmp_path / "a.npz", "p")
        assert all(np.array_equal(back.__dict__[k], v) for k, v in value.__dict__.items())
        assert (tmp_path / "a.npz").stat().st_mode & 0o077 == 0
    with pytest.raises(DataError, match="no alignment"):
        load(BankAlignment, tmp_path / "none.npz", "p")


def test_the_name_of_an_alignment_is_as_documented():
    parts = (b"fedwarn.v1 alignment", b"shared", b"bank", b"telecom", b"\1" * 32, b"\2" * 32)
    expected = sha256(b"".join(len(p).to_bytes(8, "little") + p for p in parts)).hexdigest()
    assert name("shared", "bank", "telecom", b"\1" * 32, b"\2" * 32) == expected

"""Alignment equals the intersection, in both settings, and tells no more than it should."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_node.algorithms.alignment import align
from partner_node.algorithms.alignment import AlignmentAnswerer
from protocol import group
from protocol.algorithms.alignment import BankAlignment, BlindedIds, OwnIds, PartnerAlignment, Positions, load, save
from protocol.errors import DataError, IntegrityError, PeerError
from protocol.messages import decode, encode
from protocol.role import drive


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
        first, second = ({p.tobytes() for m in hall.wire if isinstance(m, kind) for p in m.points} for hall in halls)
        assert not first & second
    assert (halls[0].kept["p"].order != halls[1].kept["p"].order).any()


def test_what_is_no_point_is_refused():
    hall = Hall({"p": [b"1"]}, "one-sided")
    hall.align([b"1"], "one-sided")
    for bad in (np.zeros((1, 32), np.uint8), np.full((1, 32), 255, np.uint8)):
        with pytest.raises(ValueError, match="not a point"):
            group.raised(bad, group.random_scalar())
    hall = Hall({"p": [b"1"]}, "one-sided")
    plain = hall.answerers["p"].handle

    def bent(message):
        reply = plain(message)
        return OwnIds(points=reply.points[:0]) if isinstance(reply, OwnIds) else reply

    hall.answerers["p"].handle = bent
    with pytest.raises(IntegrityError, match="p: answered with what is no blinded id"):
        hall.align([b"1"], "one-sided")


def test_settings_must_agree():
    with pytest.raises(PeerError, match="set to 'one-sided'"):
        Hall({"p": [b"1"]}, "one-sided").align([b"1"], "shared")
    with pytest.raises(DataError, match="ids of 1 columns, p of 2"):
        Hall({"p": [b"1"]}, "one-sided", id_columns=2).align([b"1"], "one-sided")


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

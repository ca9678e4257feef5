"""Books: a copy is noticed by any later signed state, a forged claim by nobody, and an anchor needs no peer."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.algorithms.agreement import SignedState
from protocol.errors import RefusedError, UsageError
from protocol.he.streams import fresh_key
from protocol.node import books as module
from protocol.node.books import EPOCH, TABLE, Books, authentic, later
from protocol.node.store import open_database, transaction

KEY = b"k" * 32


@contextmanager
def opened(path: Path, anchor: Path | None = None, key: bytes = KEY, *, lost: bool = False) -> Iterator[Books]:
    with closing(open_database(path, "telecom", TABLE)) as base:
        yield Books(base, "telecom", key, anchor, lost)


def commit(path: Path, anchor: Path | None = None, count: int = 1) -> None:
    """Commit records, as budgets do."""
    with opened(path, anchor) as books:
        for _ in range(count):
            with transaction(books.base):
                books.advance(fresh_key())
            books.write_anchor()


def signed(path: Path, anchor: Path | None = None) -> SignedState:
    with opened(path, anchor) as books:
        state = books.sign()
    assert state is not None
    return state


def recovered(path: Path, anchor: Path | None = None) -> int:
    with opened(path, anchor) as books:
        with transaction(books.base):
            counter = books.recover()
        books.write_anchor()
    return counter


def copied(path: Path, to: Path) -> Path:
    """A copy of the file, as a backup would have it."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)
    return to


def refused(path: Path, *claims: SignedState, anchor: Path | None = None) -> bool:
    """Whether the node answers nothing once it has seen the claims, and still does not after a restart."""
    with opened(path, anchor) as books:
        for claim in claims:
            books.show(claim)
    with opened(path, anchor) as books:
        if not books.behind:
            books.require_current()
            return False
        with pytest.raises(
            RefusedError, match=r"^telecom: its state folder is an older copy, or was lost: .*; let telec"
        ):
            books.require_current()
        assert books.sign() is None
    return True


STEPS = st.lists(st.sampled_from(["commit", "greet", "copy", "recover"]), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(STEPS, STEPS)
def test_a_restored_copy_is_noticed_whenever_the_peer_has_a_state_that_it_lacks(lived, after):
    """The copy lives on by itself, and may have passed the counter that the peer has seen."""
    with TemporaryDirectory() as folder:
        path, copy = Path(folder) / "books.sqlite", Path(folder) / "copy.sqlite"
        seen, at_copy, floor = None, None, 0
        commit(path)
        copied(path, copy)
        for step in lived:
            if step == "commit":
                commit(path)
            elif step == "greet":
                seen = later(seen, signed(path), "telecom")
            elif step == "copy":
                copied(path, copy)
                at_copy = seen
            else:
                recovered(path)
        for step in after:
            if step == "commit":
                commit(copy)
            elif step == "greet":
                signed(copy)
            elif step == "recover":
                floor = recovered(copy)
        assert not refused(path, *([seen] if seen else [])), "the node that was never restored goes on"
        if seen is None:
            return
        assert refused(copy, seen) == (seen != at_copy and seen.counter >= floor)


def test_two_copies_that_greet_alike_sign_different_states(tmp_path):
    path = tmp_path / "books.sqlite"
    commit(path)
    copy = copied(path, tmp_path / "copy.sqlite")
    first, second = signed(path), signed(copy)
    assert first.counter == second.counter
    assert first.root != second.root
    assert refused(copy, first)


def _forgeries(true: SignedState) -> list[SignedState]:
    with TemporaryDirectory() as folder:
        other = Path(folder) / "books.sqlite"
        with opened(other, key=b"x" * 32) as books:
            foreign = books.sign()
    assert foreign is not None
    change = msgspec.structs.replace
    return [
        change(true, counter=true.counter + 5),
        change(true, root="f" * 64),
        change(true, signature=bytes(64)),
        change(true, key=bytes(32)),
        change(true, party="bureau"),
        change(foreign, counter=1 << 61),
        foreign,
        change(foreign, key=true.key),
        change(foreign, signature=true.signature, counter=true.counter + 1),
    ]


def test_a_claim_that_this_node_did_not_sign_counts_for_nothing_and_is_logged(tmp_path, caplog):
    path = tmp_path / "books.sqlite"
    commit(path, count=3)
    forgeries = _forgeries(signed(path))
    with caplog.at_level(logging.WARNING):
        assert not refused(path, *forgeries)
    assert len(caplog.records) == len(forgeries)
    assert {record.getMessage() for record in caplog.records} == {
        "telecom was shown a state of its books that it has not signed, and ignores it"
    }
    before = signed(path)
    for forged in forgeries[:6]:
        assert not authentic(forged, "telecom")
        assert later(before, forged, "telecom") == before, "nor does a peer keep it"


def test_a_peer_keeps_the_later_state_of_one_key_and_any_of_another(tmp_path):
    path = tmp_path / "books.sqlite"
    first, second = signed(path), signed(path)
    assert later(first, second, "telecom") == second
    assert later(second, first, "telecom") == second
    assert later(second, None, "telecom") == second
    with opened(tmp_path / "new.sqlite", key=b"n" * 32) as books:
        anew = books.sign()
    assert later(second, anew, "telecom") == anew


def test_the_anchor_notices_a_copy_without_any_peer_and_is_not_lowered_by_it(tmp_path):
    path, anchor = tmp_path / "books.sqlite", tmp_path / "disk" / "anchor"
    anchor.parent.mkdir()
    commit(path, anchor, 2)
    copy = copied(path, tmp_path / "copy.sqlite")
    commit(path, anchor, 3)
    said = anchor.read_text()
    assert said.split()[0] == "5"
    assert not refused(path, anchor=anchor)
    assert refused(copy, anchor=anchor)
    commit(copy, anchor, 1)
    assert anchor.read_text() == said
    assert recovered(copy, anchor) == EPOCH
    assert not refused(copy, anchor=anchor)
    assert refused(path, anchor=anchor), "of two copies one alone goes on"


def test_an_anchor_that_is_gone_foreign_or_damaged_is_named(tmp_path):
    path, anchor = tmp_path / "books.sqlite", tmp_path / "anchor"
    commit(path, anchor)
    anchor.unlink()
    assert refused(path, anchor=anchor), "a disk that is not mounted"
    recovered(path, anchor)
    assert not refused(path, anchor=anchor)
    whole = anchor.read_text()
    for damaged in ("", "x", whole.replace("telecom", "bureau"), whole[:70], "\0\xff"):
        anchor.write_text(damaged)
        with pytest.raises(UsageError, match="the anchor anchor is not its own, or is damaged"), opened(path, anchor):
            pass
    anchor.write_text(whole)
    elsewhere = tmp_path / "other" / "anchor"
    elsewhere.parent.mkdir()
    commit(path, elsewhere)
    assert not refused(path, anchor=elsewhere), "an anchor may be moved"


def test_an_anchor_that_cannot_be_written_lets_nothing_leave(tmp_path):
    anchor = tmp_path / "no folder" / "anchor"
    with opened(tmp_path / "books.sqlite", anchor) as books, pytest.raises(UsageError, match="its anchor cannot be wr"):
        books.sign()


def test_new_books_where_there_were_books_before_are_behind(tmp_path):
    with opened(tmp_path / "books.sqlite", lost=True) as books, pytest.raises(RefusedError, match="books are missing"):
        books.require_current()
    assert recovered(tmp_path / "books.sqlite") == EPOCH
    with opened(tmp_path / "books.sqlite", lost=True) as books:
        books.require_current()


def test_a_recovered_node_is_above_all_that_it_signed_before(tmp_path):
    """Also above states that nobody has told it of: its signed states are not taken for another copy's."""
    path = tmp_path / "books.sqlite"
    commit(path)
    copy = copied(path, tmp_path / "copy.sqlite")
    seen = [signed(path) for _ in range(5)]
    assert refused(copy, seen[0])
    recovered(copy)
    assert not refused(copy, *seen), "claims of the lost time are settled"
    now = signed(copy)
    assert later(seen[-1], now, "telecom") == now
    again = copied(path, tmp_path / "again.sqlite")
    recovered(again)
    assert refused(again, now), "a second recovery of one copy is another epoch of the same number"


def test_what_was_signed_long_ago_is_forgotten_and_settled(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_SIGNED", 3)
    path = tmp_path / "books.sqlite"
    states = [signed(path) for _ in range(6)]
    with opened(path) as books:
        assert books.base.execute("SELECT count(*) FROM signed").fetchone() == (3,)
    assert not refused(path, *states)


def test_a_commit_is_on_the_disk_when_it_returns_and_a_failed_one_is_rolled_back(tmp_path):
    with closing(open_database(tmp_path / "a.sqlite", "telecom", TABLE)) as base:
        assert base.execute("PRAGMA synchronous").fetchone() == (2,)
        assert base.execute("PRAGMA secure_delete").fetchone() == (1,)
        assert base.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        base.executescript(
            "PRAGMA foreign_keys = ON; CREATE TABLE a (x PRIMARY KEY);"
            "CREATE TABLE b (x REFERENCES a DEFERRABLE INITIALLY DEFERRED);"
        )
        with pytest.raises(sqlite3.IntegrityError), transaction(base):
            base.execute("INSERT INTO b VALUES (1)")  # fails at COMMIT
        assert not base.in_transaction
        with transaction(base):
            base.execute("INSERT INTO a VALUES (1)")
        assert base.execute("SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)").fetchone() == (1, 0)
    with closing(open_database(tmp_path / "b.sqlite", "telecom", "", durable=False)) as base:
        assert base.execute("PRAGMA synchronous").fetchone() == (1,)

"""What a node must not forget: added once, within a limit, and still there after a restart."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from protocol.errors import RefusedError, UsageError
from protocol.store import Store


def test_an_amount_is_added_once_a_key(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.sqlite", "telecom")
    assert store.add_once("equations", "tree 1", 2) == 2
    assert store.add_once("equations", "tree 1", 2) == 2
    assert store.add_once("equations", "tree 2", 3) == 5
    assert store.total("equations") == 5
    assert store.total("other") == 0


def test_the_limit_holds_and_the_callers_error_is_raised(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.sqlite", "telecom")
    spent = RefusedError("telecom", "the budget is spent", "train fewer trees")
    store.add_once("b", "1", 9, limit=10, error=spent)
    with pytest.raises(RefusedError, match="budget is spent"):
        store.add_once("b", "2", 2, limit=10, error=spent)
    assert store.add_once("b", "1", 9, limit=10) == 9, "a repeat is free"
    assert store.add_once("b", "2", 1, limit=10) == 10, "exactly the limit fits, and nothing was added before"
    with pytest.raises(UsageError):
        store.add_once("b", "3", 1, limit=10)


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.sqlite", "telecom")
    store.add_once("b", "1", 4)
    store.put("agreed", b"\x00\x01")
    store.put("agreed", b"\x02")
    store.close()
    again = Store(tmp_path / "s.sqlite", "telecom")
    assert (again.total("b"), again.get("agreed"), again.get("none")) == (4, b"\x02", None)
    assert (tmp_path / "s.sqlite").stat().st_mode & 0o777 == 0o600


def test_two_connections_and_many_threads_never_pass_the_limit(tmp_path: Path) -> None:
    stores = [Store(tmp_path / "s.sqlite", "telecom") for _ in range(2)]

    def add(k: int) -> bool:
        try:
            stores[k % 2].add_once("b", str(k), 1, limit=25)
        except UsageError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(add, range(60))) == 25
    assert stores[0].total("b") == stores[1].total("b") == 25


def test_a_file_that_is_no_database_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    path.write_bytes(b"not a database, and long enough to be read as one" * 40)
    with pytest.raises(UsageError, match=r"telecom: s\.sqlite cannot be used"):
        Store(path, "telecom")

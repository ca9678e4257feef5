"""Hints in parts and in files: the same rows, the same sums."""

from pathlib import Path

import numpy as np
import pytest

from protocol.errors import IntegrityError
from protocol.he.base import OneHot
from protocol.he.blind import evaluator as blind
from protocol.he.blind import stored_hint
from protocol.he.blind.secret_kit import BlindSecretKit
from protocol.he.blind.stored_hint import StoredHint, write_parts
from tests.protocol.he.products import MASTER, SEED, Product, one_hot, product

PARTS = (range(0, 3), range(3, 4), range(4, 9), range(9, 14))
"""Of 14 rows; they begin and end inside of columns."""


@pytest.fixture
def matrix() -> OneHot:
    return one_hot(5000, [4, 7, 3], np.arange(0, 5000, 2))


def test_rows_of_a_hint_are_the_same_in_whatever_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, matrix: OneHot
) -> None:
    partner = product(tmp_path, matrix).evaluator
    whole = partner.hint()
    for part in (*PARTS, range(14), range(13, 14)):
        assert (partner.hint(part) == whole[part.start : part.stop]).all()
    monkeypatch.setattr(blind, "_ROWS", 5)
    assert (partner.hint() == whole).all()


def test_a_stored_hint_opens_the_same_sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, matrix: OneHot) -> None:
    made = product(tmp_path, matrix)
    monkeypatch.setattr(stored_hint, "_ROWS", 4)
    path = tmp_path / "hint.rows"
    assert write_parts(path, (made.evaluator.hint(part) for part in PARTS)) == 14
    assert path.stat().st_mode & 0o777 == 0o600
    stored = StoredHint(path, "telecom", 14)
    kit = BlindSecretKit("telecom", MASTER, SEED, stored, matrix.n)
    vectors = np.random.default_rng(1).integers(-1000, 1000, (3, matrix.n))
    for columns in ([0, 1, 2], [2, 0], [1]):
        labels = [f"{k}/{columns}" for k in range(3)]
        assert (
            Product(kit, made.evaluator, made.budgets)(vectors, labels, columns) == made(vectors, labels, columns)
        ).all()
    path.write_bytes(path.read_bytes()[:-8])
    sealed = kit.seal(vectors[:1], ["cut"])
    with pytest.raises(IntegrityError, match="cut short"):
        kit.open(sealed, np.array([13]), np.zeros((1, 1), dtype=np.uint64))
    path.unlink()
    with pytest.raises(IntegrityError, match="gone"):
        kit.open(sealed, np.array([13]), np.zeros((1, 1), dtype=np.uint64))
    with pytest.raises(ValueError, match="does not exist"):
        kit.open(sealed, np.array([14]), np.zeros((1, 1), dtype=np.uint64))


def test_nothing_is_left_of_a_hint_that_broke_off(tmp_path: Path) -> None:
    def parts():  # type: ignore[no-untyped-def]
        yield np.zeros((2, 4), dtype=np.uint64)
        raise IntegrityError("telecom", "is gone", "try again")

    with pytest.raises(IntegrityError):
        write_parts(tmp_path / "hint.rows", parts())
    assert not list(tmp_path.iterdir())

"""Matrices of whole numbers: what they are, what they refuse, and that every engine multiplies them exactly."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partner_node.policy.budgets import Budgets
from protocol.errors import IntegrityError, RefusedError
from protocol.he import engines
from protocol.he.base import MAX_PRODUCT, MAX_VALUE, Cleartext, Integers
from protocol.he.integers import CHUNK, SUM_BITS, require_room, sum_words16
from tests.protocol.he.products import MASTER, PARTNER_KEY, SEED, answer
from tests.protocol.he.wide_products import all_pairs, integers, written_integers

ENGINES = ["blind", "plaintext"]


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_every_engine_opens_to_the_product(data: st.DataObject) -> None:
    n = data.draw(st.sampled_from([1, 2, 37, 600, 8191, 8193]))
    columns, batch = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    held = np.flatnonzero(rng.random(n) < data.draw(st.sampled_from([0.0, 0.5, 1.0])))
    matrix = integers(n, columns, held, rng)
    rows = np.array(data.draw(st.permutations(range(matrix.rows_count)))[: data.draw(st.integers(1, 6))])
    reach = (2**SUM_BITS - 1) // MAX_PRODUCT // n
    vectors = rng.integers(-reach, reach + 1, (batch, n))
    labels = [f"job/{k}" for k in range(batch)]
    wanted = vectors.astype(object) @ written_integers(matrix)[rows].T.astype(object)
    with TemporaryDirectory() as folder:
        for engine in ENGINES:
            budgets = Budgets(Path(folder) / f"{engine}.sqlite", "telecom")
            partner = engines.integer_evaluator(engine, "bank", PARTNER_KEY, matrix, SEED, budgets)
            kit = engines.integer_kit(engine, "telecom", MASTER, SEED, partner.hint(), n)
            sealed = kit.seal(vectors, labels)
            opened = kit.open(sealed, rows, answer(partner, sealed.body, labels, rows))
            assert (opened == wanted).all()
            budgets.close()


def test_blas_is_exact_at_the_largest_words_and_values() -> None:
    """Every product is 65535·2^24 and all add up: a chunk's sum is the largest that there is, and below 2^53."""
    n = CHUNK + 3
    matrix = Integers(np.full((n, 1), MAX_VALUE, dtype=np.int16), np.array([[0, 0], [0, -1]]), n, np.arange(n))
    words = np.full((2, n, 1), 0xFFFF, dtype=np.uint16)
    words[1, ::2] = 0xFFFE
    exact = [[int(row.sum()) * MAX_VALUE**2, int(row.sum()) * MAX_VALUE] for row in words[..., 0].astype(np.int64)]
    assert sum_words16(matrix, np.arange(2), words)[:, 0].tolist() == exact
    assert 0xFFFF * MAX_PRODUCT * CHUNK < 2**53


def test_the_norms_are_those_of_the_rows() -> None:
    rng = np.random.default_rng(3)
    matrix = integers(20_000, 3, np.arange(0, 20_000, 2), rng)
    exact = (written_integers(matrix).astype(object) ** 2).sum(axis=1)
    assert matrix.norms == pytest.approx(exact.astype(float), rel=1e-12)


def test_values_and_rows_out_of_range_are_bugs_of_the_caller() -> None:
    positions = np.arange(2)
    for value in (MAX_VALUE + 1, -MAX_VALUE - 1, -(2**15)):
        with pytest.raises(ValueError, match="larger than 4096"):
            Integers(np.full((2, 1), value, dtype=np.int16), np.array([[0, -1]]), 2, positions)
    for row in ([1, -1], [-1, 0], [0, 1], [0, -2]):
        with pytest.raises(ValueError, match="does not exist"):
            Integers(np.zeros((2, 1), dtype=np.int32), np.array([row]), 2, positions)


def test_the_digest_names_all_that_it_is() -> None:
    values, rows, positions = np.arange(6, dtype=np.int16).reshape(3, 2), all_pairs(2), np.arange(3)
    base = Integers(values, rows, 4, positions)
    others = [
        Integers(values + np.int16(1), rows, 4, positions),
        Integers(values, rows[:-1], 4, positions),
        Integers(values, rows, 5, positions),
        Integers(values, rows, 4, positions + 1),
    ]
    assert len({base.digest, *(other.digest for other in others)}) == 5
    assert Integers(values.astype(np.int32), rows, 4, positions).digest == base.digest


def test_a_plan_that_can_overflow_is_refused_before_anything_is_sent() -> None:
    kit = engines.integer_kit("plaintext", "telecom", MASTER, SEED, np.zeros((1, 0, 10), dtype=np.uint8), 4)
    vectors = np.full((1, 4), 1 << (SUM_BITS - 2 - 24), dtype=np.int64)
    with pytest.raises(RefusedError, match="telecom: its sums over these vectors do not fit 62 bits"):
        kit.seal(vectors, ["label"])
    kit.seal(vectors - 1, ["label"])
    kit.seal(vectors, ["label"], MAX_VALUE)
    with pytest.raises(RefusedError):
        require_room("telecom", np.full((1, 4), -(2**63), dtype=np.int64), 1)


@pytest.mark.parametrize("rows", [[6], [-1], [0, 0]])
@pytest.mark.parametrize("engine", ENGINES)
def test_rows_that_do_not_exist_are_refused(engine: str, rows: list[int], tmp_path: Path) -> None:
    matrix = integers(4, 2, np.arange(4), np.random.default_rng(1))
    budgets = Budgets(tmp_path / "budgets.sqlite", "telecom")
    partner = engines.integer_evaluator(engine, "bank", PARTNER_KEY, matrix, SEED, budgets)
    kit = engines.integer_kit(engine, "telecom", MASTER, SEED, partner.hint(), 4)
    body = kit.seal(np.zeros((1, 4), dtype=np.int64), ["label"]).body
    with pytest.raises(IntegrityError, match="sums that do not exist"):
        answer(partner, body, ["label"], np.array(rows))


def test_plaintext_names_a_query_and_refuses_another_length(tmp_path: Path) -> None:
    matrix = integers(4, 2, np.arange(4), np.random.default_rng(1))
    partner = engines.integer_evaluator(
        "plaintext", "bank", PARTNER_KEY, matrix, SEED, Budgets(tmp_path / "b.sqlite", "telecom")
    )
    body = Cleartext(values=np.ones((1, 4), dtype=np.int64))
    names = [
        partner.check(one, ["label"], np.array([0])).names for one in (body, body, Cleartext(values=body.values + 1))
    ]
    assert names[0] == names[1] != names[2]
    with pytest.raises(IntegrityError, match="another length"):
        answer(partner, Cleartext(values=np.zeros((1, 3), dtype=np.int64)), ["label"], np.array([0]))

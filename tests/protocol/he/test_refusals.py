"""What is refused, and that nothing was computed or spent before it was."""

from pathlib import Path

import numpy as np
import pytest

from partner_node.policy.budgets import FLOOD_BUDGET, Budgets
from protocol.errors import FedwarnError, IntegrityError, RefusedError, UsageError
from protocol.he import engines
from protocol.he.base import Ciphertext, Cleartext, OneHot
from protocol.he.blind.evaluator import BlindEvaluator
from protocol.he.blind.secret_kit import BlindSecretKit
from protocol.he.parameters import FLOOD_BUDGET_LOG2, MAX_ROWS, N
from protocol.he.plaintext import PlaintextEvaluator
from tests.hostile.raw import unchecked
from tests.protocol.he.products import MASTER, PARTNER_KEY, SEED, Product, answer, one_hot, product

ROWS, HELD, SIZES = 300, 200, [2, 3, 4]


@pytest.fixture
def made(tmp_path: Path) -> Product:
    return product(tmp_path, one_hot(ROWS, SIZES, np.arange(HELD)))


def _noise(rows: int, value: int = 0) -> np.ndarray:
    return np.full((1, rows), value, dtype=np.int64)


def _query(made: Product, value: int = 1, label: str = "label") -> Ciphertext:
    body = made.kit.seal(np.full((1, ROWS), value, dtype=np.int64), [label]).body
    assert isinstance(body, Ciphertext)
    return body


def _broken(body: Ciphertext, how: str) -> Ciphertext | Cleartext:
    match how:
        case "short":
            return Ciphertext(high=body.high[:, 1:], low=body.low[:, 1:])
        case "long":
            return Ciphertext(high=np.pad(body.high, ((0, 0), (0, 1))), low=np.pad(body.low, ((0, 0), (0, 1), (0, 0))))
        case "residue of more than q":
            return unchecked(body, low=np.pad(body.low, ((0, 0), (0, 0), (0, 1))))
        case "two vectors, one label":
            return Ciphertext(high=np.repeat(body.high, 2, axis=0), low=np.repeat(body.low, 2, axis=0))
        case "halves of different length":
            return unchecked(body, low=body.low[:, 1:])
    return Cleartext(values=np.zeros((1, ROWS), dtype=np.int64))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("short", "another length"),
        ("long", "another length"),
        ("residue of more than q", "another length"),
        ("two vectors, one label", "another length"),
        ("halves of different length", "another length"),
        ("of engine plaintext", "another engine"),
    ],
)
def test_a_malformed_query_is_refused_before_any_work(
    made: Product, how: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = _broken(_query(made), how)
    monkeypatch.setattr("protocol.he.blind.evaluator.sum_words", lambda *_: pytest.fail("work was done"))
    with pytest.raises(IntegrityError, match=said):
        answer(made.evaluator, body, ["label"], [0], _noise(2))
    assert made.budgets.flood_spent(made.evaluator.hint_id) == 0


@pytest.mark.parametrize("columns", [[3], [-1], [0, 0]])
@pytest.mark.parametrize("engine", ["blind", "plaintext"])
def test_columns_that_do_not_exist_are_refused(made: Product, columns: list[int], engine: str) -> None:
    """The compiled loops do not check bounds: this is where it is done."""
    plain = PlaintextEvaluator("bank", PARTNER_KEY, made.evaluator.matrix)
    body = _query(made) if engine == "blind" else Cleartext(values=np.zeros((1, ROWS), dtype=np.int64))
    with pytest.raises(IntegrityError, match="columns that do not exist"):
        answer(made.evaluator if engine == "blind" else plain, body, ["label"], columns, _noise(4))


def test_plaintext_refuses_what_is_not_its_own(made: Product) -> None:
    plain = PlaintextEvaluator("bank", PARTNER_KEY, made.evaluator.matrix)
    with pytest.raises(IntegrityError, match="another engine"):
        answer(plain, _query(made), ["label"], [0], _noise(2))
    with pytest.raises(IntegrityError, match="another length"):
        answer(plain, Cleartext(values=np.zeros((1, 2), dtype=np.int64)), ["label"], [0], _noise(2))


def test_a_seed_serves_one_matrix_also_after_a_restart(made: Product, tmp_path: Path) -> None:
    """Two hints under one seed would show the difference of their matrices."""
    BlindEvaluator("bank", PARTNER_KEY, made.evaluator.matrix, SEED, made.budgets)
    made.budgets.close()
    again = Budgets(tmp_path / "budgets.sqlite", "telecom")
    with pytest.raises(IntegrityError, match="one seed for two matrices"):
        BlindEvaluator("bank", PARTNER_KEY, one_hot(ROWS, [2, 3, 5]), SEED, again)


def test_a_query_has_one_name_and_a_cost_by_its_formula(made: Product) -> None:
    """The partner's budgets know a question by its name, and spend of the hint's flooding what it costs."""
    body = _query(made)
    query = made.evaluator.check(body, ["label"], [0, 2])
    assert query.cost == 10.5 * (2 * HELD + 6 * 2 * N)  # two columns of 200 held rows; six rows of the matrix
    assert query.names == made.evaluator.check(body, ["label"], [1]).names
    assert query.names != made.evaluator.check(_query(made, 2), ["label"], [0, 2]).names
    assert query.hint == made.evaluator.hint_id


def test_a_spent_flood_budget_refuses_by_name_and_survives_a_restart(made: Product, tmp_path: Path) -> None:
    assert FLOOD_BUDGET == 2.0**FLOOD_BUDGET_LOG2
    hint_id = made.evaluator.hint_id
    made.budgets.spend_flood(hint_id, FLOOD_BUDGET - 1.0)
    with pytest.raises(RefusedError, match="flood budget"):
        made.budgets.spend_flood(hint_id, 2.0)
    made.budgets.close()
    again = Budgets(tmp_path / "budgets.sqlite", "telecom")
    assert again.flood_spent(hint_id) == FLOOD_BUDGET - 1.0
    assert again.flood_spent(b"another hint") == 0


def test_an_answer_of_another_shape_is_not_opened(made: Product) -> None:
    sealed = made.kit.seal(np.zeros((1, ROWS), dtype=np.int64), ["label"])
    for shape in ((1, 3), (2, 2)):
        with pytest.raises(IntegrityError, match="another number of sums"):
            made.kit.open(sealed, np.arange(2), np.zeros(shape, dtype=np.uint64))


@pytest.mark.parametrize("shape", [(9, N - 1), (N,)])
def test_a_hint_of_another_shape_is_not_taken(shape: tuple[int, ...]) -> None:
    with pytest.raises(IntegrityError, match="hint of another shape"):
        BlindSecretKit("telecom", MASTER, SEED, np.zeros(shape, dtype=np.uint64), ROWS)


def test_more_rows_than_one_hint_holds_are_refused(tmp_path: Path) -> None:
    wide = OneHot(np.zeros((1, 1), dtype=np.uint8), np.array([1]), MAX_ROWS + 1, np.array([0]))
    with pytest.raises(RefusedError, match="more rows"):
        BlindEvaluator("bank", PARTNER_KEY, wide, SEED, Budgets(tmp_path / "b.sqlite", "telecom"))
    with pytest.raises(RefusedError, match="more rows"):
        BlindSecretKit("telecom", MASTER, SEED, np.zeros((1, N), dtype=np.uint64), MAX_ROWS + 1)


@pytest.mark.parametrize("engine", ["blind", "plaintext"])
def test_a_vector_of_another_length_is_a_bug_of_the_caller(made: Product, engine: str) -> None:
    kit = engines.secret_kit(engine, "telecom", MASTER, SEED, made.kit.hint, ROWS)
    for shape in ((1, ROWS - 1), (2, ROWS)):
        with pytest.raises(ValueError, match="one vector of the row space's length"):
            kit.seal(np.zeros(shape, dtype=np.int64), ["label"])


def test_an_unknown_engine_is_named(made: Product) -> None:
    with pytest.raises(UsageError, match=r"telecom: has no engine 'clear'; choose one of blind"):
        engines.secret_kit("clear", "telecom", MASTER, SEED, made.kit.hint, ROWS)
    with pytest.raises(UsageError, match="bank: has no engine"):
        engines.evaluator("clear", "bank", PARTNER_KEY, made.evaluator.matrix, SEED, made.budgets)


def test_no_refusal_holds_a_key(made: Product) -> None:
    with pytest.raises(FedwarnError) as raised:
        answer(made.evaluator, _broken(_query(made), "short"), ["label"], [0], _noise(2))
    assert PARTNER_KEY.decode() not in str(raised.value) + repr(raised.value)

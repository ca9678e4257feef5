"""The blind product over whole numbers: against the big-integer one, at its ends, what repeats, what is refused."""

from dataclasses import replace
from itertools import product as tuples
from math import log2, sqrt
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

from partner_node.policy.budgets import FLOOD_BUDGET, Budgets
from protocol.errors import IntegrityError, RefusedError
from protocol.he import parameters
from protocol.he.base import MAX_PRODUCT, MAX_VALUE, Cleartext, Integers
from protocol.he.blind.public import public_seed
from protocol.he.blind.wide_evaluator import WideEvaluator
from protocol.he.blind.wide_flooding import WIDE_FLOOD_BITS, centred_words, flood_cost, wide_flooding
from protocol.he.blind.wide_kit import WideSecretKit
from protocol.he.blind.wide_ring import CUT_WORDS, DELTA_WORDS, MAX_INTEGER_ROWS, WORD_BITS, WORDS, N
from protocol.he.integers import IntegerBody, WideCiphertext
from protocol.he.noise import high_bits
from protocol.he.parameters import ETA, INTEGERS
from protocol.he.plan import signed
from protocol.messages import I64
from tests.hostile.raw import unchecked
from tests.protocol.he import wide_reference
from tests.protocol.he.products import MASTER, PARTNER_KEY, SEED, answer
from tests.protocol.he.wide_products import WideProduct, integers, wide_product, written_integers

ROWS = 300
ALL = np.arange(5)
TOP = 2**62 - 2**9
"""The largest float64 below 2^62: sums are bounded in float64."""


@pytest.fixture(scope="module")
def hint(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    return wide_product(tmp_path_factory.mktemp("hint"), _matrix()).kit.hint


@pytest.fixture
def made(tmp_path: Path, hint: np.ndarray) -> WideProduct:
    return wide_product(tmp_path, _matrix(), hint=hint)


def _matrix() -> Integers:
    return integers(ROWS, 2, np.arange(0, ROWS, 2), np.random.default_rng(4))


def _vector(value: int = 1) -> I64:
    return np.full((1, ROWS), value, dtype=np.int64)


def _query(made: WideProduct, value: int = 1, label: str = "label") -> WideCiphertext:
    body = made.kit.seal(_vector(value), [label]).body
    assert isinstance(body, WideCiphertext)
    return body


def _whole(octets: np.ndarray) -> list[int]:
    return [int.from_bytes(residue.tobytes(), "little") for residue in octets]


def test_every_word_agrees_with_the_big_integers(tmp_path: Path) -> None:
    n = N + 5
    held, rng = np.flatnonzero(np.arange(n) % 5), np.random.default_rng(7)
    matrix = replace(integers(n, 2, held, rng), rows=np.array([[0, 1]]))
    ours, rows = wide_product(tmp_path, matrix), np.arange(1)
    bank = wide_reference.Bank(MASTER, SEED, n)
    partner = wide_reference.Partner(PARTNER_KEY, SEED, written_integers(matrix).tolist(), matrix.digest)
    vector = np.arange(n, dtype=np.int64) * 977 % 4001 - 2000

    whole = partner.hint()
    assert [_whole(row) for row in ours.kit.hint] == [[v >> wide_reference.CUT for v in row] for row in whole]
    sealed = ours.kit.seal(vector[None], ["label"])
    assert isinstance(sealed.body, WideCiphertext)
    query = bank.seal(vector.tolist(), "label")
    assert _whole(sealed.body.residues[0]) == query
    given, beta = answer(ours.evaluator, sealed.body, ["label"], rows), partner.answer(query, "label")
    assert _whole(given[0]) == [value >> wide_reference.CUT for value in beta]
    opened = ours.kit.open(sealed, rows, given)[0].tolist()
    assert opened == wide_reference.open_whole(beta, whole, bank.secret(vector.tolist(), "label"))
    assert opened == (written_integers(matrix) @ vector).tolist()


@pytest.mark.parametrize("sign", [1, -1])
def test_the_cut_costs_nothing_at_the_heaviest_secrets(
    tmp_path: Path, hint: np.ndarray, sign: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answer and hint lose 128 bits: with s all +1 or all -1 the losses add up, and the sums open all the same."""
    monkeypatch.setattr("protocol.he.blind.wide_kit.ternary", lambda _key, count: np.full(count, sign, dtype=np.int8))
    made, vector = wide_product(tmp_path, _matrix(), hint=hint), _vector(123456789)
    assert (made(vector, ["label"])[0] == written_integers(_matrix()) @ vector[0]).all()


FLOODS = {"none": 0, "least": -(3 << (WIDE_FLOOD_BITS - 1)), "largest": (3 << (WIDE_FLOOD_BITS - 1)) - 3}


def _flood(value: int) -> object:
    words = [(value >> (WORD_BITS * k)) & 0xFFFF for k in range(7)] + [value >> (WORD_BITS * 7)]
    return lambda _key, rows: np.repeat(np.array(words, dtype=np.int64)[:, None], rows, axis=1)


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("total", [TOP, -TOP, 0, -1])
def test_the_ends_of_the_plan_open_under_the_least_and_the_largest_flooding(
    tmp_path: Path, hint: np.ndarray, flood: str, total: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One entry of M is 1, and the sum of its row at the end of the plan; another is the largest."""
    values = np.array([[1, 0], [0, MAX_VALUE]], dtype=np.int16)
    matrix = Integers(values, np.array([[0, -1], [1, 1]]), ROWS, np.arange(2))
    made = wide_product(tmp_path, matrix)
    monkeypatch.setattr("protocol.he.blind.wide_evaluator.wide_flooding", _flood(FLOODS[flood]))
    one, two, rest = np.zeros((1, ROWS), dtype=np.int64), np.zeros((1, ROWS), dtype=np.int64), int(total / MAX_PRODUCT)
    one[0, 0], two[0, 1] = total, rest
    sealed = made.kit.seal(one, ["one"], 1)
    assert made.kit.open(sealed, ALL[:1], answer(made.evaluator, sealed.body, ["one"], ALL[:1])).tolist() == [[total]]
    assert made(two, ["two"]).tolist() == [[0, rest * MAX_PRODUCT]]


def test_one_step_beyond_the_flooding_would_not_open(made: WideProduct, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above has teeth: an error of half of Delta and more moves the sum."""
    beyond = np.zeros((8, 5), dtype=np.int64)
    beyond[7] = (1 << (143 - 112)) + (1 << 29)
    monkeypatch.setattr("protocol.he.blind.wide_evaluator.wide_flooding", lambda _key, _rows: beyond)
    assert (made(_vector(0), ["beyond"])[0] == 1).all()


def test_the_widths_fit_together() -> None:
    """Flooding, every error at its largest and the cuts stay below Delta/2; 64 bits of plaintext stand above Delta."""
    delta_log2 = DELTA_WORDS * WORD_BITS
    flood = 3 << (WIDE_FLOOD_BITS - 1)
    errors = ETA * (MAX_INTEGER_ROWS * MAX_PRODUCT + 2 * N)
    cut = (N + 1) << (CUT_WORDS * WORD_BITS)
    assert flood + errors + cut < 1 << (delta_log2 - 1)
    assert WORDS * WORD_BITS == INTEGERS.log2_q == delta_log2 + 64
    assert INTEGERS.n == N
    parameters.require_allowed(INTEGERS)


def test_the_largest_matrix_needs_less_flooding_than_there_is() -> None:
    """Pinsker over all answers, as for the one-hot ring: distance <= sqrt(I S) / 2 W with W = 2^width."""
    rows, answers = 30 + 465, 2**22
    squared_norm = rows * MAX_INTEGER_ROWS * float(MAX_PRODUCT) ** 2
    spent = 10.5 * (squared_norm + rows * 2 * N) * answers
    needed = 39 + log2(sqrt(4.562 * spent))
    assert needed == pytest.approx(92.3, abs=0.1)
    assert needed <= WIDE_FLOOD_BITS
    distance = log2(sqrt(4.562 * spent)) - WIDE_FLOOD_BITS - 1
    assert distance < -75
    # The ledger's unit makes the same budget mean the same distance.
    whole = flood_cost(np.full(rows, MAX_INTEGER_ROWS * float(MAX_PRODUCT) ** 2)) * answers
    assert log2(sqrt(4.562 * whole)) - parameters.FLOOD_BITS - 1 == pytest.approx(distance)
    assert whole < FLOOD_BUDGET


def test_the_flooding_is_three_uniform_integers() -> None:
    """Exactly, for one word cut to the triples of its ends; and its bits are uniform at every depth."""
    ends = [0, 1, 0xFFFE, 0xFFFF]
    drawn = np.array(list(tuples(ends, repeat=3)), dtype="<u2").view(np.uint8).reshape(-1, 3, 2)
    assert centred_words(drawn)[0].tolist() == [sum(t) - 3 * (1 << 15) for t in tuples(ends, repeat=3)]
    words = wide_flooding(b"k" * 32, 30_000)
    values = [sum(int(word) << (WORD_BITS * k) for k, word in enumerate(column)) for column in words.T]
    for shift in (0, 8, 60, 112):
        counts = np.bincount(np.array([(value >> shift) & 255 for value in values]), minlength=256)
        assert chisquare(counts).pvalue > 1e-4
    scaled = np.array([value / 2**WIDE_FLOOD_BITS for value in values])
    assert scaled.std() == pytest.approx(0.5, abs=0.01)
    assert scaled.mean() == pytest.approx(0.0, abs=0.015)
    assert max(abs(value) for value in values) <= 3 << (WIDE_FLOOD_BITS - 1)
    assert (wide_flooding(b"k" * 32, 5) == words[:, :5]).all()


def test_a_repeat_gives_the_same_bytes_alone_or_in_a_batch(made: WideProduct) -> None:
    first, second = _query(made, 5), _query(made, 5)
    assert first.residues.tobytes() == second.residues.tobytes()
    alone = answer(made.evaluator, first, ["label"], ALL)
    assert (answer(made.evaluator, second, ["label"], ALL) == alone).all()
    batch = made.kit.seal(np.concatenate([_vector(4), _vector(5)]), ["other", "label"])
    assert (answer(made.evaluator, batch.body, ["other", "label"], ALL)[1] == alone[0]).all()
    made.budgets.close()
    restarted = replace(made.evaluator, guard=Budgets(made.budgets_path, "telecom"))
    assert (answer(restarted, first, ["label"], ALL) == alone).all()


@pytest.mark.parametrize("change", ["vector", "label", "seed", "master"])
def test_another_vector_label_seed_or_master_gives_another_secret(made: WideProduct, change: str) -> None:
    """Two vectors under one s would show their difference: the key depends on the vector itself."""
    seed, master = (b"S" * 32 if change == "seed" else SEED), (b"M" * 32 if change == "master" else MASTER)
    other = WideSecretKit("telecom", master, seed, made.kit.hint, ROWS)
    first = made.kit.seal(_vector(1), ["x"])
    second = other.seal(_vector(2 if change == "vector" else 1), ["y" if change == "label" else "x"])
    assert 0.3 < (first.secrets == second.secrets).mean() < 0.37  # unrelated trits agree in a third


def test_another_query_or_label_is_flooded_anew(made: WideProduct, monkeypatch: pytest.MonkeyPatch) -> None:
    """E that depends on b alone would cancel between two b' and give the partner's rho away."""
    keys: list[bytes] = []

    def noted(key: bytes, rows: int) -> I64:
        keys.append(key)
        return wide_flooding(key, rows)

    monkeypatch.setattr("protocol.he.blind.wide_evaluator.wide_flooding", noted)
    body = _query(made)
    changed = body.residues.copy()
    changed[0, -1, 0] ^= 1
    asked = (("a", body.residues), ("b", body.residues), ("c", changed), ("a", body.residues))
    for label, residues in asked:
        answer(made.evaluator, WideCiphertext(residues=residues), [label], ALL)
    assert keys[0] == keys[3]
    assert len({*keys}) == 3


def test_the_masks_of_the_hint_are_full_and_differ_by_row_seed_and_matrix(tmp_path: Path) -> None:
    """A row of zeros must still look uniform: rho' of full width, else the bank could test guesses of a row."""
    empty = integers(100, 1, np.zeros(0, dtype=np.int64), np.random.default_rng(1))
    made = wide_product(tmp_path / "1", empty)
    assert abs(np.unpackbits(made.kit.hint).mean() - 0.5) < 0.005
    again = wide_product(tmp_path / "2", empty, seed=b"t" * 32).kit.hint
    other = wide_product(tmp_path / "3", replace(empty, n=101)).kit.hint
    for first, second in ((made.kit.hint[0], made.kit.hint[1]), (made.kit.hint, again), (made.kit.hint, other)):
        assert (first != second).any(axis=-1).all()


def _broken(body: WideCiphertext, how: str) -> IntegerBody:
    match how:
        case "short":
            return WideCiphertext(residues=body.residues[:, 1:])
        case "long":
            return WideCiphertext(residues=np.pad(body.residues, ((0, 0), (0, 1), (0, 0))))
        case "residue of more than q":
            return unchecked(body, residues=np.pad(body.residues, ((0, 0), (0, 0), (0, 1))))
        case "two vectors, one label":
            return WideCiphertext(residues=np.repeat(body.residues, 2, axis=0))
    return Cleartext(values=_vector())


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("short", "another length"),
        ("long", "another length"),
        ("residue of more than q", "another length"),
        ("two vectors, one label", "another length"),
        ("of engine plaintext", "another engine"),
    ],
)
def test_a_malformed_query_is_refused_before_any_work(
    made: WideProduct, how: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protocol.he.blind.wide_evaluator.sum_words16", lambda *_: pytest.fail("work was done"))
    with pytest.raises(IntegrityError, match=said) as raised:
        answer(made.evaluator, _broken(_query(made), how), ["label"], ALL)
    assert made.budgets.flood_spent(made.evaluator.hint_id) == 0
    assert PARTNER_KEY.decode() not in str(raised.value) + repr(raised.value)


def test_a_seed_serves_one_matrix(made: WideProduct) -> None:
    WideEvaluator("bank", PARTNER_KEY, _matrix(), SEED, made.budgets)
    with pytest.raises(IntegrityError, match="one seed for two matrices"):
        WideEvaluator("bank", PARTNER_KEY, replace(_matrix(), rows=_matrix().rows[:2]), SEED, made.budgets)


def test_what_a_query_costs_is_its_formula(made: WideProduct) -> None:
    norms = (written_integers(_matrix()).astype(float) ** 2).sum(axis=1)
    query = made.evaluator.check(_query(made), ["label"], ALL[1:3])
    assert query.cost == pytest.approx(10.5 * (norms[1] + norms[2] + 4 * N) * 2.0**-136, rel=1e-12)
    assert query.hint == made.evaluator.hint_id


def test_what_is_added_above_the_sums_comes_out_above_them(made: WideProduct) -> None:
    """Random bits above those that a query declared leave the sum itself as it was."""
    sealed, rows = made.kit.seal(_vector(), ["label"]), ALL[:2]
    exact = made.kit.open(sealed, rows, answer(made.evaluator, sealed.body, ["label"], rows))
    above = high_bits(b"k" * 32, b"query", 50, 2, 64)[None]
    opened = made.kit.open(sealed, rows, answer(made.evaluator, sealed.body, ["label"], rows, above))
    assert (opened != exact).any()
    assert (signed(opened, 50) == exact).all()


def test_hints_and_answers_of_another_shape_are_not_taken(made: WideProduct) -> None:
    for shape in ((9, N - 1, 10), (9, N, 8), (9, N)):
        with pytest.raises(IntegrityError, match="hint of another shape"):
            WideSecretKit("telecom", MASTER, SEED, np.zeros(shape, dtype=np.uint8), ROWS)
    sealed = made.kit.seal(_vector(), ["label"])
    for shape in ((1, 3, 10), (2, 2, 10), (1, 2, 8)):
        with pytest.raises(IntegrityError, match="another number of sums"):
            made.kit.open(sealed, ALL[:2], np.zeros(shape, dtype=np.uint8))
    with pytest.raises(ValueError, match="one vector of the row space's length"):
        made.kit.seal(_vector()[:, 1:], ["label"])


def test_more_rows_than_one_hint_holds_are_refused(made: WideProduct) -> None:
    with pytest.raises(RefusedError, match="more rows"):
        WideEvaluator("bank", PARTNER_KEY, replace(_matrix(), n=MAX_INTEGER_ROWS + 1), SEED, made.budgets)
    with pytest.raises(RefusedError, match="more rows"):
        WideSecretKit("telecom", MASTER, SEED, made.kit.hint, MAX_INTEGER_ROWS + 1)


def test_the_seed_is_the_ring_s_own() -> None:
    nonces = [b"1" * 32, b"2" * 32]
    seed = public_seed("alignment", ["bank", "telecom"], nonces, INTEGERS)
    assert seed == wide_reference.public_seed("alignment", ["bank", "telecom"], nonces)
    assert seed != public_seed("alignment", ["bank", "telecom"], nonces)


def test_no_secret_stands_in_a_repr(made: WideProduct) -> None:
    shown = repr(made.kit) + repr(made.evaluator) + repr(made.kit.seal(_vector(3), ["repr"]))
    assert repr(MASTER)[2:-1] not in shown
    assert repr(PARTNER_KEY)[2:-1] not in shown
    assert "array" not in shown

"""The fast implementation against the big-integer one, bit for bit, and the reference against its own text."""

from pathlib import Path

import numpy as np
import pytest

from tests.protocol.he import reference
from tests.protocol.he.products import MASTER, PARTNER_KEY, SEED, answer, one_hot, product, written_out


def _whole(high: np.ndarray, low: np.ndarray) -> list[int]:
    return [int(h) << 40 | int.from_bytes(octets.tobytes(), "little") for h, octets in zip(high, low, strict=True)]


def test_the_reference_product_is_the_schoolbook_one() -> None:
    a = [(k * k * 12345678901234567890123) % reference.Q for k in range(reference.N)]
    b = [0] * reference.N
    b[0], b[1], b[reference.N - 1] = -1, 1, 1
    got = reference.product(a, b)
    for t in (0, 1, 2, 77, reference.N - 1):
        before = a[t - 1] if t else -a[-1]
        after = -a[t + 1] if t + 1 < reference.N else a[0]
        assert got[t] == -a[t] + before + after


def test_the_adjoint_sums_columns_of_the_negacyclic_matrix() -> None:
    a, rows = list(range(5, 5 + reference.N)), (0, 1, 9, reference.N - 1)
    m = [1 if i in rows else 0 for i in range(reference.N)]
    got = reference.product(reference.adjoint(a), m)
    for t in (0, 3, 10, reference.N - 1):
        assert got[t] == sum(a[i - t] if i >= t else -a[reference.N + i - t] for i in rows)


@pytest.mark.parametrize("n", [3, reference.N, reference.N + 5])
def test_every_word_agrees(tmp_path: Path, n: int) -> None:
    matrix = one_hot(n, [2, 3], np.arange(n) if n == 3 else np.flatnonzero(np.arange(n) % 5))
    ours = product(tmp_path, matrix)
    bank = reference.Bank(MASTER, SEED, n)
    partner = reference.Partner(PARTNER_KEY, SEED, written_out(matrix).tolist(), matrix.digest)
    vector = (np.arange(n) * 977 % 4001 - 2000).astype(np.int64)

    hint = partner.hint()
    assert ours.kit.hint.tolist() == [[value >> 40 for value in row] for row in hint]
    sealed = ours.kit.seal(vector[None], ["label"])
    query = bank.seal(vector.tolist(), "label")
    assert _whole(sealed.body.high[0], sealed.body.low[0]) == query
    noise = np.array([[3, -3, 5, 0, -5]])
    given = answer(ours.evaluator, sealed.body, ["label"], [0, 1], noise)
    whole = partner.answer(query, "label", noise[0].tolist())
    assert given[0].tolist() == [value >> 40 for value in whole]
    opened = ours.kit.open(sealed, np.arange(5), given)[0]
    assert opened.tolist() == reference.open_whole(whole, hint, bank.secret(vector.tolist(), "label"))
    assert opened.tolist() == (written_out(matrix) @ vector + noise[0]).tolist()


@pytest.mark.parametrize("sign", [1, -1])
def test_the_cut_costs_nothing_at_the_heaviest_secrets(
    tmp_path: Path, sign: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answer and hint lose their low 40 bits: with s all +1 or all -1 the losses add up, and both decode alike."""
    secret = [sign] * reference.N
    monkeypatch.setattr("protocol.he.blind.secret_kit.ternary", lambda _key, _count: np.array(secret, dtype=np.int8))
    matrix = one_hot(50, [3])
    ours = product(tmp_path, matrix)
    vector = np.arange(50, dtype=np.int64) << 30
    sealed = ours.kit.seal(vector[None], ["label"])
    given = answer(ours.evaluator, sealed.body, ["label"], [0], np.zeros((1, 3), dtype=np.int64))
    partner = reference.Partner(PARTNER_KEY, SEED, written_out(matrix).tolist(), matrix.digest)
    query = reference.Bank(MASTER, SEED, 50).seal(vector.tolist(), "label", secret)
    full = reference.open_whole(partner.answer(query, "label", [0] * 3), partner.hint(), secret)
    assert ours.kit.open(sealed, np.arange(3), given)[0].tolist() == full == (written_out(matrix) @ vector).tolist()

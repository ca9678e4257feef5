"""The ring for whole numbers: its FFT is exact by the bound and on the worst inputs, its words carry as they should."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.he import ring
from protocol.he.base import MAX_PRODUCT, MAX_VALUE, Integers
from protocol.he.blind import wide_hint, wide_packing
from protocol.he.blind.wide_check import PRIME, random_root
from protocol.he.blind.wide_hint import BLOCKS_A_ROUND, PART_BITS, halves, masked_rows
from protocol.he.blind.wide_packing import WIDE_LIMBS, wide_limbs
from protocol.he.blind.wide_ring import (
    MAX_INTEGER_ROWS,
    WORD_BITS,
    WORDS,
    N,
    carried,
    centred,
    from_octets,
    public_words,
    to_octets,
)
from protocol.he.parameters import LIMB_BITS
from tests.protocol.he import reference, wide_reference
from tests.protocol.he.products import SEED
from tests.protocol.he.wide_products import integers

TOP = 1 << (WORD_BITS - 1)
LARGE = 1 << (PART_BITS - 1)
RNG = np.random.default_rng(5)


def _inputs(low: int, high: int) -> dict[str, np.ndarray]:
    """The inputs that come closest to breaking a float product, between two ends."""
    tone = np.rint(high * np.cos(np.pi * (2 * 511 + 1) * np.arange(N) / N)).astype(np.int64)
    return {
        "constant": np.full(N, low),
        "alternating": np.where(np.arange(N) % 2, high, low),
        "tone": tone,
        "random": RNG.integers(low, high + 1, N),
    }


WORD_INPUTS, PART_INPUTS = _inputs(-TOP, TOP - 1), _inputs(-LARGE, LARGE)


def _float_product(a: np.ndarray, m: np.ndarray) -> np.ndarray:
    """Before rounding."""
    points = ring.transform(a.astype(np.float64)) * ring.transform(m.astype(np.float64))
    folded = np.fft.ifft(points) * ring.untwist(N // 2)
    return np.concatenate((folded.real, folded.imag))


def test_the_bound_holds_for_a_round_of_blocks_and_would_not_for_limbs_of_26_bits() -> None:
    """Each product's bound once, and one rounding of each addition (Parseval)."""
    ones = N * float(LARGE) ** 2
    bound = ring.error_bound(WORD_BITS, N, ones)
    added = (BLOCKS_A_ROUND - 1) * 2.0**-53 * BLOCKS_A_ROUND * float(TOP) * LARGE * N
    assert bound == pytest.approx(0.021, abs=0.003)
    assert BLOCKS_A_ROUND * bound + added < 0.25
    assert ring.error_bound(26, N, ones) > 0.5
    assert ring.error_bound(LIMB_BITS, N) == pytest.approx(0.005, abs=0.001)  # a·s, s ternary


@pytest.mark.parametrize("word", WORD_INPUTS)
@pytest.mark.parametrize("part", PART_INPUTS)
def test_products_at_the_extremes(word: str, part: str) -> None:
    a, m = WORD_INPUTS[word], PART_INPUTS[part]
    exact = np.array(reference.product(a.tolist(), m.tolist(), 64))
    got = _float_product(a, m)
    assert (np.rint(got) == exact).all()
    assert np.abs(got - exact).max() <= ring.error_bound(WORD_BITS, N, N * LARGE**2)


@pytest.mark.parametrize("limb", ["constant", "alternating", "tone", "random"])
def test_products_with_secrets_at_the_extremes(limb: str) -> None:
    a, s = _inputs(-(1 << 25), (1 << 25) - 1)[limb], np.ones(N, dtype=np.int64)
    s[1::2] = -1 if limb == "alternating" else 1
    exact = np.array(reference.product(a.tolist(), s.tolist(), 64))
    assert np.abs(_float_product(a, s) - exact).max() <= ring.error_bound(LIMB_BITS, N)


@pytest.mark.parametrize("m", [1, N // 2, N - 7, N])
def test_packing_is_one_thing_in_both(m: int) -> None:
    rng = np.random.default_rng(m)
    public = ring.transform(rng.integers(-(2**25), 2**25, (WIDE_LIMBS, N)).astype(float))
    folded = np.fft.ifft(public * ring.transform(rng.integers(-1, 2, N).astype(float)))
    drawn, values = rng.integers(0, 2**64, m, dtype=np.uint64), rng.integers(-(2**62), 2**62, m)
    found = []
    for run in (wide_packing._pack, wide_packing._pack_numpy):
        out, points = np.zeros((m, WORDS), dtype="<u2"), folded.copy()
        run(points.view(np.float64).reshape(*points.shape, 2), wide_packing._UNTWIST, drawn, values, out)
        found.append(out.tolist())
    assert found[0] == found[1]


def test_a_sign_aligned_product_is_exact() -> None:
    """m takes the sign of each a at one coefficient: the largest sum that there is, N 2^27."""
    a = WORD_INPUTS["random"]
    m = LARGE * np.concatenate((np.sign(a[:1]), -np.sign(a[:0:-1])))
    exact = np.array(reference.product(a.tolist(), m.tolist(), 64))
    assert exact[0] == LARGE * np.abs(a).sum()
    assert (np.rint(_float_product(a, m)) == exact).all()


def test_a_round_of_extreme_blocks_is_exact() -> None:
    a, total = np.full(N, -TOP), np.zeros(N // 2, dtype=np.complex128)
    points = ring.transform(a.astype(float)).conj() * ring.transform(np.full(N, float(LARGE)))
    for _ in range(BLOCKS_A_ROUND):
        total += points
    exact = reference.product(reference.adjoint(a.tolist()), [LARGE] * N, 64)
    assert ring.untransform(total).tolist() == [BLOCKS_A_ROUND * value for value in exact]


def test_sums_stay_signed_words() -> None:
    """Of the answer: every row at its largest; of the hint: every block, the high part shifted."""
    answer = 0xFFFF * MAX_PRODUCT * MAX_INTEGER_ROWS + 0xFFFF * N + 3 * 0xFFFF
    blocks = MAX_INTEGER_ROWS // N
    hint = TOP * N * ((blocks * (LARGE // 2) << PART_BITS) + blocks * LARGE + 1) + 21
    assert max(answer, hint) < 1 << 62


@settings(deadline=None)
@given(st.lists(st.integers(-MAX_PRODUCT, MAX_PRODUCT), min_size=1, max_size=8))
def test_entries_are_their_two_parts(values: list[int]) -> None:
    low, high = np.array(halves(np.array([values], dtype=np.float64)))[0].astype(np.int64)
    assert (low + (high << PART_BITS)).tolist() == values
    assert np.abs(low).max() <= LARGE
    assert np.abs(high).max() <= LARGE // 2


EDGES = st.sampled_from([0, 1, TOP - 1, TOP, 1 << 128, (1 << 208) - 1, 1 << 207, (1 << 207) - 1])
RESIDUES = st.lists(EDGES | st.integers(0, (1 << 208) - 1), min_size=1, max_size=6)


@settings(deadline=None)
@given(RESIDUES)
def test_words_are_centred_and_go_back(values: list[int]) -> None:
    octets = np.frombuffer(b"".join(v.to_bytes(26, "little") for v in values), dtype=np.uint8).reshape(-1, 26)
    words = np.ascontiguousarray(from_octets(octets).T)
    middle = centred(words)
    assert ((middle >= -TOP) & (middle < TOP)).all()
    total = sum(middle[k].astype(object) << (WORD_BITS * k) for k in range(WORDS))
    assert [int(v) % wide_reference.Q for v in total] == values
    assert (to_octets(carried(middle)[0]) == octets).all()
    limbs = wide_limbs(words)
    assert ((limbs >= -(1 << 25)) & (limbs < 1 << 25)).all()
    total = sum(limbs[k].astype(object) << (LIMB_BITS * k) for k in range(WIDE_LIMBS))
    assert [int(v) % wide_reference.Q for v in total] == values


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-(2**62), 2**62), min_size=13, max_size=13), min_size=1, max_size=4))
def test_sums_of_words_become_residues_and_a_carry(values: list[list[int]]) -> None:
    words, carry = carried(np.array(values, dtype=np.int64).T)
    for k, sums in enumerate(values):
        low = sum(int(word) << (WORD_BITS * e) for e, word in enumerate(words[:, k]))
        assert low + (int(carry[k]) << 208) == sum(value << (WORD_BITS * e) for e, value in enumerate(sums))


def test_public_randomness_is_the_reference_s() -> None:
    want = wide_reference.public(SEED, 1)
    for block in range(2):
        words = public_words(SEED, block).astype(object)
        assert sum(words[k] << (WORD_BITS * k) for k in range(WORDS)).tolist() == want[block]


def test_a_root_is_one_and_evaluates_products() -> None:
    assert PRIME % (2 * N) == 1
    root, other = random_root(), random_root()
    assert (root.powers != other.powers).any()
    m, carry = RNG.integers(-MAX_PRODUCT, MAX_PRODUCT + 1, N), RNG.integers(-(2**47), 2**47, N)
    words = RNG.integers(0, 1 << 16, (WORDS, N))
    first = [sum(int(v) << (16 * w) for w, v in enumerate(line)) for line in root.powers[:2]]
    power = [pow(first[1], t, PRIME) for t in range(N)]
    assert first[0] == 1
    assert pow(first[1], N, PRIME) == PRIME - 1
    assert root.values(m[None].astype(np.float64)) == [sum(int(v) * p for v, p in zip(m, power, strict=True)) % PRIME]
    whole = [sum(int(w) << (16 * k) for k, w in enumerate(words[:, t])) + (int(carry[t]) << 208) for t in range(N)]
    assert root.value(words, carry) == sum(v * p for v, p in zip(whole, power, strict=True)) % PRIME


@pytest.mark.parametrize("where", [0, 1])
def test_a_wrong_product_never_leaves_the_partner(where: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One coefficient of one word off by one, in the low or in the high part."""
    matrix = integers(5, 1, np.arange(5), np.random.default_rng(2))
    masks = np.zeros((2, N), dtype=np.int8)
    right, calls = ring.untransform, iter(range(100))

    def wrong(points: np.ndarray) -> np.ndarray:
        out = right(points)
        if next(calls) == 1 + where:
            out[12, 77] += 1
        return out

    masked_rows(matrix, SEED, masks, masks)
    monkeypatch.setattr(wide_hint, "untransform", wrong)
    with pytest.raises(ArithmeticError, match="came out wrong"):
        masked_rows(matrix, SEED, masks, masks)


def test_the_hint_of_the_largest_entries_over_several_blocks_is_exact() -> None:
    """Ten blocks are two rounds; values at both ends, and their product."""
    n = 9 * N + 5
    values = np.where(np.arange(n) % 3 == 0, -MAX_VALUE, MAX_VALUE).astype(np.int16)[:, None]
    matrix = Integers(values, np.array([[0, -1], [0, 0]]), n, np.arange(n))
    nothing = np.zeros((2, N), dtype=np.int8)
    masked_rows(matrix, SEED, nothing, nothing)  # each row is held against the root

"""Keys and streams: against an HKDF of our own, and their distributions by chi-square."""

from collections.abc import Callable
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from protocol.he import streams
from tests.protocol.he import reference

KEY = bytes(range(32))
DRAWS = 300_000
WORST = 1e-4  # the key is fixed, so that a pass is a pass for good


def test_ternary_is_uniform() -> None:
    drawn = streams.ternary(KEY, DRAWS)
    assert chisquare(np.bincount(drawn + 1, minlength=3)).pvalue > WORST
    pairs = (drawn[:-1:2] + 1) * 3 + drawn[1::2] + 1
    assert chisquare(np.bincount(pairs, minlength=9)).pvalue > WORST


def test_errors_are_centred_binomial() -> None:
    drawn = streams.centred_binomial(KEY, DRAWS)
    assert np.abs(drawn).max() <= 21
    probability = np.array([comb(42, k) for k in range(43)]) / 2.0**42
    seen, wanted = np.bincount(drawn + 21, minlength=43), DRAWS * probability
    middle = wanted >= 20
    observed = np.append(seen[middle], seen[~middle].sum())
    assert chisquare(observed, np.append(wanted[middle], wanted[~middle].sum())).pvalue > WORST


def test_the_tests_can_fail() -> None:
    """Trits of bytes taken modulo 3 are biased by one part in 256, and that is seen."""
    biased = streams.expand(KEY, 40 * DRAWS).astype(np.int64) % 3
    assert chisquare(np.bincount(biased, minlength=3)).pvalue < WORST


@settings(deadline=None)
@given(st.integers(0, 9000))
def test_streams_are_the_reference_s_at_any_length(count: int) -> None:
    assert streams.ternary(KEY, count).tolist() == reference.ternary(KEY, count)


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_errors_and_words_are_the_reference_s(count: int) -> None:
    assert streams.centred_binomial(KEY, count).tolist() == reference.errors(KEY, count)
    assert streams.words(KEY, count).tolist() == reference.words(KEY, count)


def test_a_stream_may_be_entered_at_any_block() -> None:
    assert (streams.expand(KEY, 64, start=3) == streams.expand(KEY, 112)[48:]).all()


@settings(deadline=None)
@given(st.text(max_size=20), st.lists(st.binary(max_size=40), max_size=4))
def test_derived_keys_are_hkdf(purpose: str, context: list[bytes]) -> None:
    assert streams.derive(KEY, purpose, *context) == reference.derive(KEY, purpose, *context)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=6), max_size=4), st.lists(st.binary(max_size=6), max_size=4))
def test_digests_of_different_lists_differ(first: list[bytes], second: list[bytes]) -> None:
    assert (streams.digest(*first) == streams.digest(*second)) == (first == second)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=4), st.lists(st.binary(max_size=40), max_size=4))
def test_tags_are_gmac_and_tell_lists_apart(first: list[bytes], second: list[bytes]) -> None:
    found = [streams.tag(KEY, *parts) for parts in (first, second)]
    assert found == [reference.tag(KEY, *parts) for parts in (first, second)]
    assert (found[0] == found[1]) == (first == second)
    assert streams.tag(bytes(32), *first) != found[0]


@pytest.mark.parametrize("shape", [(0,), (3, 0, 5), (7,), (3, 5)])
def test_arrays_are_tagged_by_their_bytes(shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape), dtype=np.uint64).reshape(shape)
    assert streams.tag(KEY, values.data) == streams.tag(KEY, values.tobytes())


@pytest.mark.parametrize("change", [lambda k, p, c: (b"x" + k[1:], p, c), lambda k, p, c: (k, p + "'", c)])
def test_another_key_or_purpose_gives_another_stream(change: Callable[..., tuple[bytes, str, bytes]]) -> None:
    key, purpose, context = change(KEY, "rho", b"row")
    assert streams.derive(key, purpose, context) != streams.derive(KEY, "rho", b"row")


def test_a_permutation_is_one_and_never_the_same() -> None:
    first, second = streams.permutation(1000), streams.permutation(1000)
    assert sorted(first) == list(range(1000))
    assert (first != second).any()

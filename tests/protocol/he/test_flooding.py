"""The flooding has exactly the distribution of three uniform integers, down to its last bit."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import chisquare

from protocol.he.blind.flooding import centred_sum, flooding
from protocol.he.parameters import FLOOD_BITS


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_the_exact_distribution_at_small_widths(bits: int) -> None:
    """Every triple once: the counts are the threefold convolution of a uniform, centred. High bits do not count."""
    size = 1 << bits
    triples = np.array(list(product(range(size), repeat=3)), dtype=np.uint64)
    values, counts = np.unique(centred_sum(triples + np.uint64(size << 7), bits), return_counts=True)
    ones = np.ones(size, dtype=np.int64)
    assert counts.tolist() == np.convolve(np.convolve(ones, ones), ones).tolist()
    assert values.tolist() == list(range(-3 * size // 2, 3 * size // 2 - 2))


def test_its_ends() -> None:
    ends = np.array([[0, 0, 0], [2**64 - 1] * 3], dtype=np.uint64)
    assert centred_sum(ends, FLOOD_BITS).tolist() == [-3 << 59, (3 << 59) - 3]


@pytest.mark.parametrize("shift", [0, 20, 32, 40, 50])
def test_its_bits_are_uniform_at_every_depth(shift: int) -> None:
    """The lowest bits too, which a rounded float would leave bare, and those around the cut at 40."""
    drawn = flooding(b"k" * 32, 60_000)
    assert chisquare(np.bincount((drawn >> shift) & 255, minlength=256)).pvalue > 1e-4


def test_a_float_gaussian_would_be_caught() -> None:
    """The same test on rounded float64 noise of the same deviation: its low bits are zeros."""
    floats = np.random.default_rng(0).normal(0, 2.0**59, 60_000).astype(np.int64)
    assert chisquare(np.bincount(floats & 255, minlength=256)).pvalue < 1e-4


def test_its_deviation() -> None:
    drawn = flooding(b"k" * 32, 60_000).astype(np.float64) * 2.0**-60
    assert drawn.std() == pytest.approx(0.5, abs=0.01)
    assert drawn.mean() == pytest.approx(0.0, abs=0.01)


def test_a_row_s_flooding_does_not_depend_on_how_many_rows_there_are() -> None:
    assert (flooding(b"k" * 32, 5) == flooding(b"k" * 32, 9)[:5]).all()

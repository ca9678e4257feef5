"""Numbers of any size become thousandths of a deviation from their mean."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.algorithms.glm import LARGEST_VALUE, mean_and_deviation, standardised

USUAL = st.lists(st.floats(-1e100, 1e100).filter(lambda v: not v or abs(v) > 1e-100), min_size=1, max_size=50)


@settings(deadline=None)
@given(USUAL)
def test_of_usual_numbers_they_are_numpys_own(values):
    numbers = np.array(values)
    assert mean_and_deviation(numbers) == (float(numbers.mean()), float(numbers.std()))


@pytest.mark.parametrize("size", [1.7e308, 1e200, 1e-200])
def test_size_does_not_matter(size):
    numbers = np.sin(np.arange(100.0))
    found = standardised(numbers * size, *mean_and_deviation(numbers * size))
    usual = standardised(numbers, *mean_and_deviation(numbers))
    assert np.abs(found - usual).max() <= 1
    assert np.abs(found).max() > 1000


def test_the_smallest_and_the_largest_number_and_none_at_all():
    tiny, vast = np.array([5e-324] * 9 + [5e-323]), np.array([-1.7e308] * 9 + [1.7e308])
    assert standardised(tiny, *mean_and_deviation(tiny))[-1] > 2000
    assert standardised(vast, *mean_and_deviation(vast)).tolist() == [-333] * 9 + [LARGEST_VALUE]  # 3000, were it one
    assert standardised(vast, 0.0, 5e-324)[-1] == LARGEST_VALUE
    assert mean_and_deviation(np.empty(0)) == (0.0, 0.0)

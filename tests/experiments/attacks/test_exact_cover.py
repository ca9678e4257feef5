"""The best attack known on one vector's sums, against the meter's bound. Run with -s to see the readings."""

from math import ceil, log2

import pytest

from experiments.attacks.exact_cover import MOST_ROWS, exact_cover
from protocol.he.plan import NOISE_CUT, FieldBounds


@pytest.mark.parametrize("rows", [41, 60, 100])
def test_exact_cover_reads_more_rows_than_a_vector_has_bits(rows: int) -> None:
    """The positive control of the meter: 42 bits a bin and no noise, of which powers of two read 41 rows."""
    reading = exact_cover(rows, 16, 42, 0.0)
    print(reading)
    assert reading.complete
    assert reading.read <= reading.bound == pytest.approx((15 * 42 + 2) / 4)


def test_exact_cover_reads_thirty_rows_through_noise_where_powers_of_two_read_ten() -> None:
    """17 bits are what sums of 60,000 rows need of rows of 2^0; noise of 4 covers 6 of them."""
    bits, sigma = FieldBounds(0, 1).widest(60_000, 4.0), 4.0
    powers = bits - 1 - ceil(log2(2 * NOISE_CUT * sigma))
    reading = exact_cover(30, 16, bits, sigma)
    print(reading)
    assert (bits, powers) == (17, 10)
    assert reading.complete
    assert 3 * powers <= reading.read <= reading.bound <= 50


def test_exact_cover_reads_nothing_that_the_noise_hides() -> None:
    reading = exact_cover(12, 16, 5, 16.0)
    assert reading.bound < 1
    assert reading.read <= 3, "by chance, one of sixteen"


def test_exact_cover_refuses_rows_that_its_masks_cannot_hold() -> None:
    with pytest.raises(ValueError, match=f"{MOST_ROWS} rows a vector at most"):
        exact_cover(MOST_ROWS + 1, 16, 42, 0.0)

"""Which columns a linear model takes when none are named."""

import numpy as np
import pytest

from bank_node.family.columns import bin_own
from bank_node.linear.columns import encode_bank
from protocol.algorithms.binning import Cutting
from protocol.algorithms.glm_parameters import GlmParams
from protocol.errors import UsageError
from protocol.table import Column, Table

N = 400
DRAWS = np.random.default_rng(7)
CODES = DRAWS.integers(0, 9, N).astype(np.int32)
LABEL = (DRAWS.random(N) < 0.15 + 0.08 * CODES).astype(np.float64)
TOWN = Column("town", "category", codes=CODES, categories=tuple("abcdefghi"))
NUMBERS = [Column(f"x{k}", "number", numbers=LABEL * (k + 1) / 4 + DRAWS.normal(size=N)) for k in range(3)]
TABLE = Table("bank", [b"%d" % k for k in range(N)], (TOWN, *NUMBERS), label=LABEL)
TRAIN = np.ones(N, dtype=np.bool_)


@pytest.mark.parametrize(("most", "towns"), [(4, 0), (10, 8), (20, 8)])
def test_a_category_of_more_bins_than_fit_is_passed_over(most, towns):
    """By bins it is one of the strongest; as numbers it would be eight columns."""
    params = GlmParams(encoding="numeric", max_columns=most, min_iv=0.0)
    terms = encode_bank(TABLE, bin_own(TABLE, Cutting(16), TRAIN), params, TRAIN).terms
    assert sum(term.column == "town" for term in terms) == towns
    assert len(terms) <= most


def test_columns_that_are_named_are_never_passed_over():
    params = GlmParams(encoding="numeric", max_columns=4, columns={"bank": ("town", "x0")})
    with pytest.raises(UsageError, match="would have 9 of its columns"):
        encode_bank(TABLE, bin_own(TABLE, Cutting(16), TRAIN), params, TRAIN)

"""A score that shows fewer columns than the contract admits is refused, however its coefficients hide that."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partner_node.columns_shown import columns_shown, require_shown
from protocol.contract import Contract
from protocol.errors import RefusedError

NAMES = ("a", "b", "c", "d", "e")
VALUES = np.random.default_rng(1).integers(-900, 900, (300, 5)).astype(np.int32)
VALUES[:, 4] = VALUES[:, 3]  # a copy of the fourth column
ONE = 10**6

TRICKS = {
    "zeros": ((ONE, 0, 0, 0, 0), 1),
    "one unit of a millionth beside a large one": ((1000 * ONE, 1, 1, 1, 1), 1),
    "next to nothing beside others": ((ONE, ONE, 0, 1, 0), 2),
    "a copy": ((ONE, ONE, 0, ONE, -2 * ONE), 3),
    "honest": ((ONE, -ONE // 3, ONE // 7, 2 * ONE, 0), 4),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_columns_that_count(trick):
    coefficients, expected = TRICKS[trick]
    assert columns_shown(NAMES, VALUES, coefficients) == expected
    contract = Contract(min_glm_columns=expected)
    require_shown("telecom", contract, NAMES, VALUES, coefficients)
    with pytest.raises(RefusedError, match=f"{expected} of its columns count.*min_glm_columns"):
        require_shown(
            "telecom", contract.model_copy(update={"min_glm_columns": expected + 1}), NAMES, VALUES, coefficients
        )


def test_scores_that_are_all_alike_show_no_column():
    alike = [(0, 0, 0, 0, 0), (20, -20, 10, 0, 5)]  # a column with no part in the model; parts that rounding swallows
    for coefficients in alike:
        require_shown("telecom", Contract(), NAMES, VALUES, coefficients)
        with pytest.raises(RefusedError, match="of its columns count"):  # the others' scores would stand alone
            require_shown("telecom", Contract(), NAMES, VALUES, coefficients, hiding=True)
    with pytest.raises(RefusedError, match="of its columns count"):
        require_shown("telecom", Contract(), NAMES, VALUES, (6000, 0, 0, 0, 0))  # 0 or 1 hundredth, by one column


def test_a_column_laid_out_twice_counts_once_and_not_at_all_where_its_terms_cancel():
    names = ("a", "a", "b")
    values = np.column_stack((VALUES[:, 0], VALUES[:, 0], VALUES[:, 1]))
    assert columns_shown(names, values, (ONE, ONE, ONE)) == 2
    assert columns_shown(names, values, (ONE, -ONE, ONE)) == 1


@settings(max_examples=40, deadline=None)
@given(data=st.data(), scale=st.integers(1, 900))
def test_the_count_is_that_of_the_columns_given_a_part_whatever_the_scale(data, scale):
    used = data.draw(st.sets(st.integers(0, 3)))
    coefficients = [scale * ONE * (1 + k) * (k in used) for k in range(5)]
    assert columns_shown(NAMES, VALUES, coefficients) == len(used)

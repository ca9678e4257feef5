"""A column of a design has one meaning: what it is worth, or flags of bins of its own."""

import pytest

from partner_node.algorithms.glm import _require_one_meaning
from protocol.algorithms.glm import VALUE, DesignColumn
from protocol.errors import IntegrityError

ADMITTED = {
    "weights of evidence": [(0, (5, -7, 9)), (1, (5, -7, 9))],
    "levels of a category": [(0, (0, VALUE, 0, 0)), (0, (0, 0, VALUE, VALUE))],
    "a number and a flag where it is missing": [(0, ()), (0, (0, 0, VALUE))],
    "a flag of rows that are not held": [(0, ()), (0, (0, 0, 0)), (0, (0, 0, VALUE))],
}
REFUSED = {
    "digits": [(0, (5, -7, 9)), (0, (0, 7, 14))],
    "flags that overlap": [(0, (VALUE, VALUE, 0)), (0, (0, VALUE, VALUE))],
    "a number and weights of its bins": [(0, ()), (0, (5, -7, 9))],
    "a flag and weights of its bins": [(0, (VALUE, 0, 0)), (0, (5, -7, 9))],
}


@pytest.mark.parametrize("case", ADMITTED)
def test_one_meaning_is_admitted(case):
    _require_one_meaning("bank", [DesignColumn(*one) for one in ADMITTED[case]])


@pytest.mark.parametrize("case", REFUSED)
def test_several_meanings_are_refused(case):
    with pytest.raises(IntegrityError, match="bank: laid out one column several times with different values; list"):
        _require_one_meaning("bank", [DesignColumn(*one) for one in REFUSED[case]])

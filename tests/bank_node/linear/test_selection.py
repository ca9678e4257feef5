"""Choosing columns from a fit's first sums: figures against plain least squares, and each check by itself."""

from statistics import NormalDist

import numpy as np
import pytest

from bank_node.linear.information_matrix import independent
from bank_node.linear.selection import Choice, Columns, _Chooser, choose
from protocol.job import Selection

N, PARTIES = 400, np.array([0, 0, 1, 1, 1, 2])


def sums(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Information and slope at the constant model of a linear regression, and the label's variance."""
    full = np.column_stack((np.ones(len(x)), x))
    return full.T @ full, full.T @ (y - y.mean()), float(((y - y.mean()) ** 2).sum() / (len(y) - 1))


def chosen(x: np.ndarray, y: np.ndarray, least=(0, 0, 0), by_woe=True, **settings) -> Choice:
    matrix, slope, dispersion = sums(x, y)
    free = independent(matrix)[1:]
    parties = PARTIES[: x.shape[1]]
    return choose(matrix, slope, free, dispersion, Columns(parties, least, by_woe), Selection(**settings))


def data(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((N, 6)) @ (np.eye(6) + 0.3 * rng.standard_normal((6, 6)))
    return x, -x @ np.array([1.0, 0.0, 0.6, 0.0, 0.3, 0.05]) + rng.standard_normal(N)


def rest(x: np.ndarray, y: np.ndarray) -> float:
    """Sum of squares that columns and a constant leave."""
    full = np.column_stack((np.ones(len(y)), x))
    return float(((y - full @ np.linalg.lstsq(full, y, rcond=None)[0]) ** 2).sum())


@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_least_squares(seed):
    x, y = data(seed)
    matrix, slope, dispersion = sums(x, y)
    chooser = _Chooser(matrix, slope, Columns(PARTIES, (0, 0, 0), True), Selection(), dispersion)
    for given in ([], [1], [0, 4, 5]):
        for j in (2, 3):
            plain = (rest(x[:, given], y) - rest(x[:, [*given, j]], y)) / dispersion
            assert chooser._gain(j, given) == pytest.approx(plain, rel=1e-8)
    found = chosen(x, y)
    for j in range(6):
        others = [k for k in range(6) if k != j]
        assert found.inflation[j] == pytest.approx(N * x[:, j].var() / rest(x[:, others], x[:, j]), rel=1e-8)
        near = found.beside[j]
        assert found.correlation[j] == pytest.approx(np.corrcoef(x[:, j], x[:, near])[0, 1], rel=1e-8)
        assert {PARTIES[j], PARTIES[near]} != {1, 2}  # of two partners nothing is told


def test_forward_takes_what_adds_most_while_it_is_significant():
    x, y = data()
    _, _, dispersion = sums(x, y)
    expected: list[int] = []
    while len(expected) < 6:
        before, offered = rest(x[:, expected], y), [j for j in range(6) if j not in expected]
        gains = {j: (before - rest(x[:, [*expected, j]], y)) / dispersion for j in offered}
        best = max(gains, key=gains.__getitem__)
        if 2 * (1 - NormalDist().cdf(gains[best] ** 0.5)) >= 0.05:
            break
        expected.append(best)
    for method in ("forward", "stepwise"):
        found = chosen(x, y, method=method)
        assert {j for j in range(6) if found.kept[j]} == set(expected)
        assert {r for r in found.reasons if r} <= {method}


def test_a_column_like_a_stronger_one_leaves_and_a_copy_is_collinear():
    x, y = data()
    x[:, 3] = x[:, 2] + 0.1 * x[:, 3]
    weaker = 2 if abs(np.corrcoef(x[:, 2], y)[0, 1]) < abs(np.corrcoef(x[:, 3], y)[0, 1]) else 3
    assert [j for j in range(6) if chosen(x, y, max_correlation=0.9).reasons[j] == "correlation"] == [weaker]
    assert chosen(x, y, max_inflation=5.0).reasons.count("inflation") == 1
    x[:, 3] = x[:, 2]
    assert chosen(x, y).reasons == ["", "", "", "collinear", "", ""]


def test_no_column_is_left_whose_points_would_rise_with_risk():
    x, y = data()
    y = y + 2 * x[:, 4]
    assert chosen(x, y, signs=True).reasons[4] == "sign"
    assert chosen(x, y, signs=True, by_woe=False).kept.all()


def test_a_partner_keeps_as_many_columns_as_its_contract_asks_for_or_none():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((N, 6))
    y = -x[:, 0] - x[:, 2] + rng.standard_normal(N)
    alone = chosen(x, y, method="forward", p_enter=1e-6)
    assert [j for j in range(6) if alone.kept[j]] == [0, 2]
    three = chosen(x, y, least=(0, 3, 3), method="forward", p_enter=1e-6)
    assert [j for j in range(6) if three.kept[j]] == [0, 2, 3, 4]

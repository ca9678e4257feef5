"""DeLong against its definition by all pairs, and against the truth by simulation."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_node.metrics.delong import delong


def _by_pairs(label: np.ndarray, scores: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """DeLong et al. 1988, equations 3 to 6, comparing every bad with every good."""
    wins = [np.sign(s[label == 1][:, None] - s[label == 0][None, :]) / 2 + 0.5 for s in scores]
    bads, goods = np.stack([w.mean(axis=1) for w in wins]), np.stack([w.mean(axis=0) for w in wins])
    covariance = np.atleast_2d(np.cov(bads)) / bads.shape[1] + np.atleast_2d(np.cov(goods)) / goods.shape[1]
    return np.array([w.mean() for w in wins]), covariance


@given(st.integers(0, 2**32 - 1), st.integers(4, 60), st.integers(1, 4), st.sampled_from([3, 1000]))
@settings(max_examples=60, deadline=None)
def test_midranks_equal_all_pairs(seed: int, rows: int, rungs: int, values: int) -> None:
    rng = np.random.default_rng(seed)
    label = np.r_[[0, 0, 1, 1], rng.integers(0, 2, rows - 4)].astype(np.uint8)
    scores = [rng.integers(0, values, rows) / values for _ in range(rungs)]
    auc, covariance = delong(label, scores)
    expected_auc, expected_covariance = _by_pairs(label, scores)
    assert auc == pytest.approx(expected_auc, abs=1e-12)
    assert covariance == pytest.approx(expected_covariance, abs=1e-12)


@pytest.mark.parametrize(("auc", "share_of_bads"), [(0.7, 0.2), (0.64, 0.5), (0.8, 0.15)])
def test_intervals_cover_the_known_auc(auc: float, share_of_bads: float) -> None:
    """500 binormal samples of 400 rows: the 95% intervals hold the true AUC in 93 to 97% of them."""
    rng = np.random.default_rng(11)
    distance, hits = NormalDist().inv_cdf(auc) * 2**0.5, 0
    for _ in range(500):
        label = (rng.random(400) < share_of_bads).astype(np.uint8)
        found, covariance = delong(label, [rng.standard_normal(400) + distance * label])
        hits += abs(found[0] - auc) <= 1.959964 * covariance[0, 0] ** 0.5
    assert 0.93 <= hits / 500 <= 0.97


def test_paired_intervals_cover_the_known_difference() -> None:
    """Two scores that share their noise: pairing must neither widen nor narrow the interval of the difference."""
    rng = np.random.default_rng(12)
    low, high = 0.65, 0.70
    near, far = (NormalDist().inv_cdf(auc) * 2**0.5 for auc in (low, high))
    hits, widths = 0, []
    for _ in range(500):
        label = (rng.random(400) < 0.2).astype(np.uint8)
        shared, first, second = rng.standard_normal((3, 400))
        scores = [0.9**0.5 * shared + 0.1**0.5 * own + d * label for own, d in ((first, near), (second, far))]
        auc, covariance = delong(label, scores)
        deviation = (covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]) ** 0.5
        hits += abs(auc[1] - auc[0] - (high - low)) <= 1.959964 * deviation
        widths.append(deviation / (covariance[0, 0] + covariance[1, 1]) ** 0.5)
    assert 0.93 <= hits / 500 <= 0.97
    assert np.mean(widths) < 0.5

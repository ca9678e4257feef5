"""Every metric against scikit-learn and SciPy to 1e-12, ties and weights included."""

from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from sklearn.metrics import average_precision_score, brier_score_loss, precision_score, recall_score, roc_auc_score

from bank_node.metrics.ranking import Ranking, alerts, evaluate, metric_names

RATES = [0.01, 0.05, 0.1, 0.5]


def _metrics(label: np.ndarray, score: np.ndarray, weight: np.ndarray | None = None) -> dict[str, float]:
    whole = weight is None
    weights = np.ones(len(label)) if weight is None else weight
    found = evaluate(Ranking.of(label, score), weights[None, :], RATES, whole)
    return {name: float(value[0]) for name, value in found.items()}


@st.composite
def samples(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Labels of both classes; scores of few values (many ties) or of many."""
    size = draw(st.integers(2, 120))
    label = np.array(draw(st.lists(st.integers(0, 1), min_size=size, max_size=size)), dtype=np.uint8)
    label[draw(st.integers(0, size - 1))] ^= label.min() == label.max()
    values = draw(st.sampled_from([3, 10, 10**6]))
    score = np.array(draw(st.lists(st.integers(0, values), min_size=size, max_size=size))) / values
    return label, score


@pytest.mark.filterwarnings("ignore::RuntimeWarning:scipy")
@given(samples())
@settings(max_examples=150, deadline=None)
def test_metrics_equal_scikit_learn(sample: tuple[np.ndarray, np.ndarray]) -> None:
    label, score = sample
    ours = _metrics(label, score)
    assert ours["auc"] == pytest.approx(roc_auc_score(label, score), rel=0, abs=1e-12)
    assert ours["gini"] == pytest.approx(2 * roc_auc_score(label, score) - 1, rel=0, abs=1e-12)
    assert ours["ks"] == pytest.approx(ks_2samp(score[label == 1], score[label == 0]).statistic, rel=0, abs=1e-12)
    assert ours["pr_auc"] == pytest.approx(average_precision_score(label, score), rel=0, abs=1e-12)
    assert ours["brier"] == pytest.approx(brier_score_loss(label, score), rel=0, abs=1e-12)
    for rate in RATES:
        alerted = np.zeros(len(label), dtype=int)
        alerted[sorted(range(len(label)), key=lambda i: (-score[i], i))[: max(1, floor(rate * len(label) + 1e-9))]] = 1
        precision = precision_score(label, alerted)
        assert ours[f"precision@{rate}"] == pytest.approx(precision, rel=0, abs=1e-12)
        assert ours[f"recall@{rate}"] == pytest.approx(recall_score(label, alerted), rel=0, abs=1e-12)
        assert ours[f"lift@{rate}"] == pytest.approx(precision / label.mean(), rel=0, abs=1e-12)


@given(samples(), st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None)
def test_weighted_metrics_equal_scikit_learn(sample: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    label, score = sample
    weight = np.random.default_rng(seed).uniform(0.1, 5, len(label))
    ours = _metrics(label, score, weight)
    assert ours["auc"] == pytest.approx(roc_auc_score(label, score, sample_weight=weight), abs=1e-9)
    assert ours["pr_auc"] == pytest.approx(average_precision_score(label, score, sample_weight=weight), abs=1e-9)
    assert ours["brier"] == pytest.approx(brier_score_loss(label, score, sample_weight=weight), abs=1e-9)


@given(samples(), st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None)
def test_a_weight_is_a_number_of_copies(sample: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    """What the bootstrap rests on: integer weights give the metrics of the sample with its rows repeated."""
    label, score = sample
    copies = np.random.default_rng(seed).integers(0, 4, len(label))
    copies[[int(label.argmax()), int(label.argmin())]] += 1
    found = evaluate(Ranking.of(label, score), copies[None, :].astype(float), RATES, whole=True)
    repeated = _metrics(np.repeat(label, copies), np.repeat(score, copies))
    assert {name: float(value[0]) for name, value in found.items()} == pytest.approx(repeated, abs=1e-12)


def test_one_class_has_no_metrics() -> None:
    found = evaluate(Ranking.of(np.array([1, 0], np.uint8), np.array([0.2, 0.1])), np.array([[1.0, 0.0]]), RATES, True)
    assert list(found) == metric_names(RATES)
    assert all(np.isnan(value).all() for value in found.values())


@pytest.mark.parametrize(
    ("rate", "rows", "expected"), [(0.05, 20_000, 1000), (0.05, 1019, 50), (0.07, 100, 7), (0.01, 30, 1), (0.1, 30, 3)]
)
def test_number_of_alerts(rate: float, rows: int, expected: int) -> None:
    assert alerts(rate, rows) == expected

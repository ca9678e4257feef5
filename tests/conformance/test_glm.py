"""Fits over several parties' columns equal statsmodels' on the table joined."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from statsmodels.stats.outliers_influence import variance_inflation_factor

from bank_node.algorithms.inference import above, figures_of
from experiments.glm_laboratory import GlmLaboratory
from experiments.laboratory import OPEN
from protocol.algorithms.glm import CrossQuery
from protocol.algorithms.glm_parameters import GlmParams
from tests.laboratory import some_columns

EXACT = OPEN.model_copy(update={"score_decimals": 9})
FAMILIES = {"logistic": sm.families.Binomial(), "linear": sm.families.Gaussian(), "poisson": sm.families.Poisson()}


def laboratory(folder: Path, seed: int, n: int, partners: tuple[str, ...], family="logistic", contract=EXACT):
    """A bank and partners whose columns all tell something of the label, and of each other."""
    rng = np.random.default_rng(seed)
    tables = {name: some_columns(rng, n + 9, 4, 0.1) for name in partners}
    positions = {p: np.where(rng.random(n) < 0.85, rng.permutation(n + 9)[:n], -1) for p in partners}
    bank = some_columns(rng, n, 3, 0.1)
    told = [np.nan_to_num(c.numbers, nan=4.0) / 4 - 1 for c in bank]
    for name, columns in tables.items():
        for column in columns[:3]:
            column.numbers[positions[name][positions[name] >= 0]] += 3 * told[0][positions[name] >= 0]
            told.append(
                np.where(positions[name] >= 0, np.nan_to_num(column.numbers, nan=4.0)[positions[name]] / 6 - 1, 0)
            )
    eta = sum(weight * x for weight, x in zip(np.linspace(0.6, -0.5, len(told)), told, strict=True))
    y = {
        "logistic": lambda: (rng.random(n) < 1 / (1 + np.exp(0.7 - eta))).astype(float),
        "linear": lambda: 300 + 50 * eta + rng.normal(0, 40, n),
        "poisson": lambda: rng.poisson(np.exp(0.3 + eta)).astype(float),
    }[family]()
    return GlmLaboratory(y, bank, tables, positions, folder, contract)


def reference(lab: GlmLaboratory, family: str, train, weights=None):
    """The same model by statsmodels, and its variance inflation factors."""
    x = lab.joined()[train]
    fitted = sm.GLM(lab.y[train], x, family=FAMILIES[family], freq_weights=weights).fit(tol=1e-12)
    return fitted, [variance_inflation_factor(x, j) for j in range(1, x.shape[1])]


def check_against(fitted, params: GlmParams, theirs, inflation) -> None:
    """Coefficients to 1e-4 (of the margin's unit), p-values to 3 decimals, errors and variance inflation to 1%."""
    ours = figures_of(fitted, params)
    unit = fitted.model.scale
    assert [f.coefficient for f in ours] == pytest.approx(theirs.params, abs=1e-4 * unit)
    assert [f.error for f in ours] == pytest.approx(theirs.bse, rel=1e-3)
    assert [f.p for f in ours] == pytest.approx(theirs.pvalues, abs=5e-4)
    assert [f.inflation for f in ours[1:]] == pytest.approx(inflation, rel=1e-2)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(300, 900), family=st.sampled_from(sorted(FAMILIES)))
def test_one_partner_is_statsmodels_with_errors_p_values_and_inflation(seed, n, family):
    with TemporaryDirectory() as folder:
        lab = laboratory(Path(folder), seed, n, ("telecom",), family)
        train = np.random.default_rng(seed).random(n) < 0.8
        params = GlmParams(family=family, max_bin=4, min_iv=0)
        fitted = lab.fit(params, train)
        assert fitted.converged
        assert fitted.steps <= 10
        check_against(fitted, params, *reference(lab, family, train))


def test_weights_and_numbers_in_place_of_weight_of_evidence(tmp_path):
    lab = laboratory(tmp_path, 3, 700, ("telecom",))
    lab.weights = np.random.default_rng(3).integers(1, 4, 700).astype(float)
    params, train = GlmParams(encoding="numeric"), np.arange(700) < 600
    fitted = lab.fit(params, train)
    theirs, _ = reference(lab, "logistic", train, lab.weights[train])
    assert [f.coefficient for f in figures_of(fitted, params)] == pytest.approx(theirs.params, abs=1e-4)
    assert [f.p for f in figures_of(fitted, params)] == pytest.approx(theirs.pvalues, abs=5e-4)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_two_partners_reach_the_same_fixed_point_without_the_block_between_them(tmp_path, family):
    lab = laboratory(tmp_path, 5, 2000, ("bureau", "telecom"), family)
    params = GlmParams(family=family, max_bin=4, min_iv=0)
    fitted = lab.fit(params)
    theirs, _ = reference(lab, family, np.ones(2000, dtype=bool))
    ours = figures_of(fitted, params)
    assert fitted.converged
    assert fitted.steps <= 12
    assert [f.coefficient for f in ours] == pytest.approx(theirs.params, abs=1e-4 * fitted.model.scale)
    assert all(f.p is None for f in ours)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_fit_is_the_same_to_the_last_bit_under_encryption(tmp_path, family):
    found = []
    for engine in ("blind", "plaintext"):
        lab = laboratory(tmp_path / engine, 11, 400, ("bureau", "telecom"), family, OPEN)
        lab.engine = engine
        fitted = lab.fit(GlmParams(family=family, max_bin=4, min_iv=0), np.arange(400) < 330)
        found.append((fitted.model.sha256, fitted.margin.tobytes(), fitted.curvature.joint.tobytes(), fitted.steps))
        assert np.abs(fitted.parts[1:]).max() > 0
    assert len(set(found)) == 1


def test_many_vectors_go_in_several_queries(tmp_path, monkeypatch):
    """Two a query in place of all: the same fit, by the same labels, and each vector is asked once."""
    fits = []
    for most in (1 << 27, 2 * 26 * 409 + 1):
        monkeypatch.setattr("protocol.algorithms.glm.QUERY_BYTES", most)
        lab = laboratory(tmp_path / f"{most}", 12, 400, ("bureau", "telecom"), contract=OPEN)
        messages, ask = [], lab.exchange
        lab.exchange = lambda requests: (messages.extend(requests.values()), ask(requests))[1]  # noqa: B023
        fitted = lab.fit(GlmParams(max_bin=4, min_iv=0))
        labels = [
            label for m in messages if isinstance(m, CrossQuery) for label in (*m.labels, m.weight_label) if label
        ]
        assert len(set(labels)) == len(labels) == 2 * fitted.queries
        fits.append((fitted.model.sha256, fitted.curvature.joint.tolist(), sorted(labels), len(messages)))
    assert fits[0][:3] == fits[1][:3]
    assert fits[1][3] > fits[0][3]


@settings(max_examples=30, deadline=None)
@given(x=st.floats(0, 200), degrees=st.integers(1, 60))
def test_tails_of_chi_square(x, degrees):
    assert above(x, degrees) == pytest.approx(float(chi2.sf(x, degrees)), rel=1e-9, abs=1e-300)

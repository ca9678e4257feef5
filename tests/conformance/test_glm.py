"""Fits over several parties' columns equal statsmodels' on the table joined."""

from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from sklearn.linear_model import ElasticNet
from statsmodels.stats.outliers_influence import variance_inflation_factor

from bank_node.linear import release_leakage as telling
from bank_node.linear.glm_families import Family
from bank_node.linear.inference import above, figures_of
from bank_node.linear.partial_scores import opened_scores
from bank_node.linear.release_leakage import Columns, told_rows
from experiments.laboratory import JOB, OPEN
from experiments.laboratory.glm import GlmLaboratory
from experiments.verify.elastic_net import elastic_net
from protocol.algorithms.glm import Coefficients, CrossQuery, PartialScores, rounded
from protocol.algorithms.glm_parameters import GlmParams
from protocol.algorithms.runs import Label
from protocol.errors import DataError, IntegrityError, RefusedError
from tests.laboratory import some_columns

PARAMS = GlmParams(max_bin=4, min_iv=0)
EXACT = OPEN.model_copy(update={"score_decimals": 9})
WITHOUT_LEAST = EXACT.model_copy(update={"min_glm_columns": 0})
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
        asked = [m for m in messages if isinstance(m, CrossQuery)]
        vectors = [(m.design, m.label.tree, m.label.round, m.label.node + k) for m in asked for k in range(m.vectors)]
        weights = [(m.design, m.label.tree, m.label.round) for m in asked if m.weight is not None]
        assert len({(m.design, m.label.text) for m in asked}) == len(asked)
        assert len(set(vectors)) == len(vectors)
        assert len(vectors) + len(set(weights)) == 2 * fitted.queries
        fits.append((fitted.model.sha256, fitted.curvature.joint.tolist(), sorted(vectors), len(messages)))
    assert fits[0][:3] == fits[1][:3]
    assert fits[1][3] > fits[0][3]


@settings(max_examples=30, deadline=None)
@given(x=st.floats(0, 200), degrees=st.integers(1, 60))
def test_tails_of_chi_square(x, degrees):
    assert above(x, degrees) == pytest.approx(float(chi2.sf(x, degrees)), rel=1e-9, abs=1e-300)


def test_rounded_scores_move_coefficients_by_less_than_a_hundredth_of_an_error(tmp_path):
    lab = laboratory(tmp_path, 9, 3000, ("bureau", "telecom"), contract=OPEN)
    fitted = lab.fit(PARAMS)
    theirs, _ = reference(lab, "logistic", np.ones(3000, dtype=bool))
    assert fitted.model.decimals == {"bureau": 2, "telecom": 2}
    apart = np.array([f.coefficient for f in figures_of(fitted, PARAMS)]) - theirs.params
    assert np.abs(apart / theirs.bse).max() < 0.01


def test_a_penalty_is_that_of_plain_newton_steps(tmp_path):
    lab = laboratory(tmp_path, 4, 800, ("telecom",))
    params = GlmParams(max_bin=4, min_iv=0, reg_lambda=5.0)
    ours = [f.coefficient for f in figures_of(lab.fit(params), params)]
    x, ridge, beta = lab.joined(), 5.0 * np.eye(lab.joined().shape[1]), np.zeros(lab.joined().shape[1])
    ridge[0, 0] = 0
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ beta))
        beta += np.linalg.solve(x.T @ (x * (p * (1 - p))[:, None]) + ridge, x.T @ (lab.y - p) - ridge @ beta)
    assert ours == pytest.approx(beta, abs=1e-5)


def net(lab: GlmLaboratory, params: GlmParams, scale: float, weights):
    """The same elastic net by scikit-learn or statsmodels; coefficients and labels in units of `scale`."""
    x, y, alpha = lab.joined(), lab.y / scale, params.reg_alpha / scale
    both = params.reg_lambda + alpha
    if params.family == "linear":
        model = ElasticNet(alpha=both / weights.sum(), l1_ratio=alpha / both, tol=1e-12, max_iter=100_000)
        model.fit(x[:, 1:], y, sample_weight=weights)
        return np.array([model.intercept_, *model.coef_])
    penalty = np.full(x.shape[1], both / len(y))
    penalty[0] = 0
    model = sm.GLM(y, x, family=FAMILIES[params.family], freq_weights=weights)
    return model.fit_regularized(alpha=penalty, L1_wt=alpha / both, cnvrg_tol=1e-13, maxiter=2000).params


@pytest.mark.parametrize(("family", "alpha"), [("logistic", 9.0), ("linear", 2500.0), ("poisson", 60.0)])
@pytest.mark.parametrize("ridge", [0.0, 3.0])
def test_an_elastic_net_is_that_of_scikit_learn_or_statsmodels(tmp_path, family, alpha, ridge):
    """Coefficients to 1e-5, and the same ones are exactly 0."""
    lab = laboratory(tmp_path, 6, 500, ("telecom",), family, WITHOUT_LEAST)
    lab.weights = np.random.default_rng(6).integers(1, 4, 500).astype(float)
    params = GlmParams(family=family, max_bin=4, min_iv=0, reg_alpha=alpha, reg_lambda=ridge)
    fitted = lab.fit(params)
    ours, scale = figures_of(fitted, params), fitted.model.scale
    theirs = net(lab, params, scale, lab.weights)
    assert fitted.converged
    assert [f.coefficient / scale for f in ours] == pytest.approx(theirs, abs=1e-5)
    assert [f.coefficient == 0 for f in ours] == [f.left_out == "lasso" for f in ours]
    assert 0 < sum(f.coefficient == 0 for f in ours) < len(ours) - 2
    assert all(f.error is None and f.p is None for f in ours)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_two_partners_and_the_other_families_end_where_the_penalised_likelihood_does(tmp_path, family):
    lab = laboratory(tmp_path, 6, 2000, ("bureau", "telecom"), family, WITHOUT_LEAST)
    alpha = {"logistic": 7.0, "linear": 900.0, "poisson": 25.0}[family]
    params = GlmParams(family=family, max_bin=4, min_iv=0, reg_alpha=alpha, reg_lambda=2.0, max_iter=30)
    fitted = lab.fit(params)
    scale = fitted.model.scale
    y = Family(family, lab.y / scale, np.ones(2000))
    theirs = elastic_net(lab.joined(), y, params.reg_lambda, params.reg_alpha / scale)
    ours = np.array([f.coefficient for f in figures_of(fitted, params)]) / scale
    assert fitted.converged
    assert 6 < np.count_nonzero(ours) < len(ours)
    assert ours == pytest.approx(theirs, abs=1e-4)
    assert (ours == 0).tolist() == (theirs == 0).tolist()


def test_a_partner_left_with_too_few_columns_is_kept_out_and_not_asked_for_scores(tmp_path):
    """The other columns are as they are without it."""
    lab = laboratory(tmp_path, 6, 2000, ("bureau", "telecom"))
    params = GlmParams(max_bin=4, min_iv=0, reg_alpha=4.0, max_iter=30)
    lab.contract = WITHOUT_LEAST
    free = lab.fit(params).model
    assert [np.count_nonzero([t.coefficient for t in free.of(p)]) for p in lab.partners] == [2, 4]
    lab.folder, lab.contract = tmp_path / "few", EXACT
    fitted = lab.fit(params)
    assert fitted.converged
    assert {f.left_out for f in figures_of(fitted, params) if f.party == "bureau"} == {"few"}
    assert not fitted.model.asks("bureau")
    assert not any("bureau" in release.coefficients for release in fitted.released)
    others = [j for j, f in enumerate(figures_of(fitted, params)) if f.party != "bureau"]
    theirs = elastic_net(lab.joined()[:, others], Family("logistic", lab.y, np.ones(2000)), 0.0, 4.0)
    assert [figures_of(fitted, params)[j].coefficient for j in others] == pytest.approx(theirs, abs=1e-4)


def test_a_partner_with_a_column_too_few_once_collinear_ones_are_out_is_kept_out(tmp_path):
    lab = laboratory(tmp_path, 6, 900, ("telecom",))
    lab.partners["telecom"][3].numbers[:] = lab.partners["telecom"][0].numbers
    fitted = lab.fit(PARAMS)
    assert {f.left_out for f in figures_of(fitted, PARAMS) if f.party == "telecom"} == {"few"}
    assert not any("telecom" in release.coefficients for release in fitted.released)
    assert all(f.p is not None for f in figures_of(fitted, PARAMS) if f.party == "bank")


def test_a_partner_whose_columns_rounding_swallows_is_kept_out(tmp_path):
    lab = laboratory(tmp_path, 6, 900, ("telecom",), contract=EXACT.model_copy(update={"score_decimals": 0}))
    fitted = lab.fit(PARAMS)
    ours = figures_of(fitted, PARAMS)
    own = [j for j, f in enumerate(ours) if f.party == "bank"]
    theirs = sm.GLM(lab.y, lab.joined()[:, own], family=FAMILIES["logistic"]).fit(tol=1e-12)
    assert {f.left_out for f in ours if f.party == "telecom"} == {"few"}
    assert np.abs(np.array([ours[j].coefficient for j in own]) - theirs.params).max() < 0.1 * theirs.bse.min()
    assert [ours[j].error for j in own] == pytest.approx(theirs.bse, rel=1e-2)


def test_a_column_that_others_tell_stays_at_nothing_and_is_named(tmp_path):
    lab = laboratory(tmp_path, 6, 900, ("telecom",), contract=EXACT.model_copy(update={"min_glm_columns": 3}))
    twice = lab.partners["telecom"][0]
    lab.partners["telecom"][3].numbers[:] = twice.numbers
    fitted = lab.fit(PARAMS)
    ours = figures_of(fitted, PARAMS)
    (told,) = [f for f in ours if f.collinear]
    assert (told.party, told.coefficient, told.error, told.p, told.inflation) == ("telecom", 0.0, None, None, None)
    kept = [j for j, f in enumerate(ours) if not f.collinear]
    theirs = sm.GLM(lab.y, lab.joined()[:, kept], family=FAMILIES["logistic"]).fit(tol=1e-12)
    assert [ours[j].coefficient for j in kept] == pytest.approx(theirs.params, abs=1e-4)
    assert all(np.isfinite([ours[j].error, ours[j].p]).all() for j in kept)


def test_a_label_told_without_error_is_said_so_and_fitted_under_a_penalty(tmp_path):
    lab = laboratory(tmp_path, 7, 600, ("telecom",))
    lab.y[:] = np.nan_to_num(lab.bank[0].numbers, nan=0.0) > 4
    with pytest.raises(DataError, match="told without error"):
        lab.fit(GlmParams(max_bin=9, max_iter=50))
    for penalty in ({"reg_lambda": 1.0}, {"reg_alpha": 1.0}):
        lab.folder = tmp_path / next(iter(penalty))
        fitted = lab.fit(GlmParams(max_bin=9, **penalty))
        assert all(np.isfinite([f.coefficient, f.error]).all() for f in figures_of(fitted, PARAMS))


def test_bins_without_bads_and_constant_columns_leave_no_gap(tmp_path):
    lab = laboratory(tmp_path, 8, 600, ("telecom",))
    lab.y[np.nan_to_num(lab.partners["telecom"][0].numbers[lab.positions["telecom"]], nan=-1) > 8] = 0
    lab.bank[1].numbers[:] = 3.0
    fitted = lab.fit(PARAMS)
    assert [f.column for f in figures_of(fitted, PARAMS) if f.collinear] == ["x1"]
    assert np.isfinite(fitted.margin).all()
    assert all(np.isfinite([f.coefficient, f.error, f.p]).all() for f in figures_of(fitted, PARAMS) if not f.collinear)


REFUSED = {
    "too few columns": ({"min_glm_columns": 5}, "4 of its columns would show single ones"),
    "too many": ({"max_glm_columns": 3}, "passes 3"),
    "no release left": ({"score_releases": 2}, "2 of 2 releases"),
    "no equation left": ({"max_equations_share": 0.02}, "equations are released"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_contract_forbids_is_refused_by_its_clause(tmp_path, case):
    clauses, sentence = REFUSED[case]
    lab = laboratory(tmp_path, 2, 400, ("telecom",), contract=EXACT.model_copy(update=clauses))
    with pytest.raises(RefusedError, match=sentence) as caught:
        lab.fit(PARAMS)
    assert next(iter(clauses)) in str(caught.value)


def _release(lab: GlmLaboratory, tree: int, values: tuple[int, ...], decimals: int) -> Coefficients:
    """A release that the fit has not asked for."""
    label = Label("release", JOB, lab.designs["telecom"].run, tree=tree)
    return Coefficients(design="telecom", label=label, values=values, decimals=decimals)


def test_scores_are_cut_and_so_tell_no_more_than_so_many_values(tmp_path):
    lab = laboratory(tmp_path, 2, 400, ("telecom",), contract=EXACT.model_copy(update={"score_decimals": 2}))
    lab.fit(PARAMS)
    size = lab.designs["telecom"].size
    sent = _release(lab, 50, (50 * 10**6,) * size, 2)
    scores = opened_scores(lab.designs["telecom"], sent, lab.fits["telecom"].handle(sent))
    assert (int(scores.min()), int(scores.max())) == (-800, 800)


def test_the_same_scores_again_are_free_and_others_are_refused_past_the_limit(tmp_path):
    lab = laboratory(tmp_path, 2, 400, ("telecom",))
    lab.fit(PARAMS)
    telecom = lab.fits["telecom"]
    telecom.layout.contract = EXACT.model_copy(update={"score_releases": 0})
    last = lab.designs["telecom"]
    sent = _release(lab, 50, (10**6,) * last.size, 3)
    with pytest.raises(RefusedError, match="score_releases"):
        telecom.handle(sent)
    telecom.layout.contract = EXACT.model_copy(update={"score_releases": 100, "score_decimals": 3})
    once, again = telecom.handle(sent), telecom.handle(sent)
    assert (once.scores == again.scores).all()
    with pytest.raises(RefusedError, match="score_decimals"):
        telecom.handle(_release(lab, 51, (10**6,) * last.size, 4))
    with pytest.raises(IntegrityError, match="cannot be"):
        telecom.handle(_release(lab, 51, (1, 2), 3))


def test_scores_that_coefficients_cannot_give_are_found(tmp_path):
    lab = laboratory(tmp_path, 2, 400, ("telecom",))
    lab.fit(PARAMS)
    view, sent = lab.designs["telecom"], _release(lab, 50, (1000, 900, 800, 700), 9)
    honest = lab.fits["telecom"].handle(sent)
    opened_scores(view, sent, honest)
    for scores, decimals in ((honest.scores[1:], 9), (honest.scores, 3), (honest.scores + 10**9, 9)):
        with pytest.raises(IntegrityError, match=r"cannot be|of another form than the alignment of 409 rows"):
            opened_scores(view, sent, PartialScores(decimals=decimals, scores=scores, nonce=honest.nonce))
    with pytest.raises(IntegrityError, match="of another form"):
        opened_scores(view, sent, PartialScores(decimals=9, scores=honest.scores))


def share_told(values, coefficients, scores, decimals) -> float:
    """Share of the rows whose bins one partner tells. scores: in 10^-decimals of each release, shape (T, rows)."""
    one = Columns(values, coefficients, np.array(decimals))
    return float(told_rows([one], scores * one.steps[:, None]).mean())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), columns=st.integers(1, 4), releases=st.integers(1, 3), decimals=st.integers(0, 4))
def test_rows_told_are_those_that_no_other_bins_explain(seed, columns, releases, decimals):
    rng = np.random.default_rng(seed)
    values = [rng.integers(-900, 900, rng.integers(1, 5)).tolist() for _ in range(columns)]
    coefficients = rng.integers(-2 * 10**6, 2 * 10**6, (releases, columns))
    combinations = list(product(*(sorted(set(v)) for v in values)))
    rows = [combinations[k] for k in rng.integers(0, len(combinations), 25)]
    places = [decimals] * releases
    shown = {c: tuple(rounded(coefficients @ np.array(c), decimals).tolist()) for c in combinations}
    alone = [sum(other == shown[row] for other in shown.values()) == 1 for row in rows]
    scores = np.array([shown[row] for row in rows]).T
    assert share_told(values, coefficients, scores, places) == pytest.approx(np.mean(alone))


def test_the_estimate_is_near_the_count_where_both_can_be_had(monkeypatch):
    """Six columns of eight bins, the case of the literature: nearly all rows at 6 decimals, few at 3."""
    rng = np.random.default_rng(1)
    values = [rng.integers(-600, 600, 8).tolist() for _ in range(6)]
    coefficients = np.stack([c := rng.integers(-1_200_000, -600_000, 6), c + rng.integers(-30_000, 30_000, 6)])
    rows = np.stack([np.array(v)[rng.integers(0, 8, 4000)] for v in values], axis=1)
    found = {}
    for decimals in (3, 4, 6):
        scores = rounded(rows @ coefficients.T, decimals).T
        counted = share_told(values, coefficients, scores, [decimals] * 2)
        monkeypatch.setattr(telling, "_MOST", 0)
        found[decimals] = counted, share_told(values, coefficients, scores, [decimals] * 2)
        monkeypatch.undo()
    assert found[3][0] < 0.4 < 0.95 < found[6][0]
    assert all(abs(counted - estimated) < 0.15 for counted, estimated in found.values())

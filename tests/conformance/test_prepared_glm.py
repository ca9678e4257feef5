"""Fits over columns prepared as declared, and with offsets, equal scikit-learn's and statsmodels' on a joined table."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OneHotEncoder, RobustScaler, StandardScaler

from bank_node.linear.glm_families import Family
from bank_node.linear.inference import figures_of
from bank_node.models.offset import Offset
from experiments.laboratory import OPEN
from experiments.laboratory.glm import GlmLaboratory
from protocol.algorithms.glm import VALUE
from protocol.algorithms.glm_parameters import GlmParams
from protocol.errors import DataError, RefusedError
from protocol.settings.preparation import Preparation
from protocol.table import Column

EXACT = OPEN.model_copy(update={"score_decimals": 9, "min_glm_columns": 1})
FAMILIES = {"logistic": sm.families.Binomial(), "linear": sm.families.Gaussian(), "poisson": sm.families.Poisson()}
SCALERS = {"standard": StandardScaler, "robust": RobustScaler, "min-max": MinMaxScaler}
CALLS = Preparation(
    clip="bounds", limits=(0.0, 30.0), transform="log1p", scale="min-max", impute="constant", constant=2
)


def amounts(rng: np.random.Generator, n: int, name: str) -> Column:
    values = np.round(rng.lognormal(2.0, 0.8, n), 2)
    values[rng.random(n) < 0.15] = np.nan
    return Column(name, "number", numbers=values)


def laboratory(folder: Path, seed: int, n: int, family: str, job: Preparation) -> GlmLaboratory:
    """A bank with an amount and a town, a partner with calls (prepared in its own way) and a spend."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(6, n, p=[0.3, 0.25, 0.2, 0.1, 0.1, 0.05]).astype(np.int32)
    town = Column("town", "category", codes=codes, categories=tuple("abcdef"))
    bank = [amounts(rng, n, "income"), town]
    partner = [amounts(rng, n + 11, "calls"), amounts(rng, n + 11, "spend")]
    positions = np.where(rng.random(n) < 0.85, rng.permutation(n + 11)[:n], -1)
    told = np.nan_to_num(np.log(bank[0].numbers), nan=2.0) - 2
    told = told + np.where(positions >= 0, np.nan_to_num(np.log(partner[0].numbers[positions]), nan=2.0) - 2, 0.3)
    eta = 0.5 * told + 0.3 * (codes == 2) - 0.2
    y = {
        "logistic": lambda: (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float),
        "linear": lambda: 40 + 9 * eta + rng.normal(0, 4, n),
        "poisson": lambda: rng.poisson(np.exp(eta)).astype(float),
    }[family]()
    lab = GlmLaboratory(y, bank, {"telecom": partner}, {"telecom": positions}, folder, EXACT)
    lab.preparation = job
    lab.prepare = {"telecom": {"calls": CALLS}, "bank": {"town": Preparation(levels=3, reference="b")}}
    return lab


def by_sklearn(values: np.ndarray, fitted_on: np.ndarray, job: Preparation) -> np.ndarray:
    """One column through the job's steps."""
    low, high = np.nanquantile(values[fitted_on], job.limits or (0.01, 0.99))
    clip = FunctionTransformer(lambda x: np.clip(x, low, high) if job.clip == "quantiles" else x)
    steps = make_pipeline(clip, SCALERS[job.scale or "standard"](), SimpleImputer(strategy=job.impute or "mean"))
    return steps.fit(values[fitted_on, None]).transform(values[:, None])[:, 0]


def joined(lab: GlmLaboratory, train: np.ndarray) -> dict[str, np.ndarray]:
    """Every column by what it is, prepared by scikit-learn: the bank's on the rows fitted on, the partner's on all."""
    at, job = lab.positions["telecom"], lab.preparation
    calls, spend = (column.numbers for column in lab.partners["telecom"])
    held = at >= 0
    logarithm = np.log1p(np.clip(np.where(np.isnan(calls), 2.0, calls), 0, 30))
    there = np.log1p(np.clip(calls[~np.isnan(calls)], 0, 30))
    minmax = MinMaxScaler().fit(there[:, None]).transform(logarithm[:, None])[:, 0]
    found = {"income": by_sklearn(lab.bank[0].numbers, train, job)}
    rest = np.where(np.isin(lab.bank[1].codes, (0, 1, 2)), lab.bank[1].codes, 9)
    towns = OneHotEncoder(drop=[1], sparse_output=False).fit_transform(rest[:, None])
    found |= {f"town {k}": towns[:, k] for k in range(towns.shape[1])}
    found["calls"] = np.where(held, minmax[at], 0)
    found["spend"] = np.where(held, by_sklearn(spend, np.ones(len(spend), bool), job)[at], 0)
    if job.indicator:
        gone = lambda x: MissingIndicator(features="all").fit_transform(x[:, None])[:, 0].astype(float)  # noqa: E731
        found |= {"income missing": gone(lab.bank[0].numbers), "calls missing": held * gone(calls)[at]}
        found |= {"spend missing": held * gone(spend)[at], "not held": (~held).astype(float)}
    return found


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    family=st.sampled_from(sorted(FAMILIES)),
    impute=st.sampled_from(["mean", "median"]),
    scale=st.sampled_from(sorted(SCALERS)),
    clip=st.sampled_from(["none", "quantiles"]),
    indicator=st.booleans(),
)
def test_a_prepared_fit_is_that_of_scikit_learn_and_statsmodels(seed, family, impute, scale, clip, indicator):
    job = Preparation(impute=impute, scale=scale, clip=clip, indicator=indicator)
    with TemporaryDirectory() as folder:
        lab = laboratory(Path(folder), seed, 700, family, job)
        train = np.random.default_rng(seed).random(700) < 0.8
        params = GlmParams(family=family, encoding="numeric", min_iv=0, max_bin=7)
        fitted = lab.fit(params, train)
        ours, theirs = lab.joined(), joined(lab, train)
        used = set()
        for column in ours.T[1:]:  # each of ours is one of theirs, rounded to thousandths and cut at 4.095
            same = [name for name, x in theirs.items() if np.abs(column - np.clip(x, -4.095, 4.095)).max() <= 0.5001e-3]
            assert len(same) == 1
            used |= set(same)
        assert used == set(theirs)
        x = ours[train]
        reference = sm.GLM(lab.y[train], x, family=FAMILIES[family]).fit(tol=1e-12)
        found = figures_of(fitted, params)
        assert [f.coefficient for f in found] == pytest.approx(reference.params, abs=1e-4 * fitted.model.scale)
        assert [f.p for f in found] == pytest.approx(reference.pvalues, abs=5e-4)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), family=st.sampled_from(sorted(FAMILIES)), log=st.booleans())
def test_a_fit_with_an_offset_is_that_of_statsmodels(seed, family, log):
    with TemporaryDirectory() as folder:
        lab = laboratory(Path(folder), seed, 600, family, Preparation())
        rng = np.random.default_rng(seed)
        numbers = rng.integers(1, 13, 600).astype(float) if log else rng.normal(0.5, 0.6, 600)
        added = np.log(numbers) if log else numbers
        if family == "poisson":
            lab.y = rng.poisson(np.exp(added - 0.5)).astype(float)
        lab.offset = Offset("months", log), numbers
        params, train = GlmParams(family=family, encoding="numeric", min_iv=0), rng.random(600) < 0.8
        fitted = lab.fit(params, train)
        x = lab.joined()
        theirs = sm.GLM(lab.y[train], x[train], family=FAMILIES[family], offset=added[train]).fit(tol=1e-12)
        found = figures_of(fitted, params)
        scale = fitted.model.scale
        assert [f.coefficient for f in found] == pytest.approx(theirs.params, abs=1e-4 * scale)
        assert [f.p for f in found] == pytest.approx(theirs.pvalues, abs=5e-4)
        assert fitted.deviance * scale**2 == pytest.approx(theirs.deviance, rel=1e-6)
        assert fitted.null_deviance * scale**2 == pytest.approx(theirs.null_deviance, rel=1e-6)
        assert fitted.margin == pytest.approx(x @ [f.coefficient for f in found] + added, abs=1e-6 * scale)
        own = lab.encoded.values / VALUE @ [f.coefficient for f in found[1 : 1 + lab.encoded.values.shape[1]]]
        told = {c.name: c for c in (*lab.bank, Column("months", "number", numbers=numbers))}
        score = fitted.model.margin(fitted.model.own_score(told, 600))
        assert score == pytest.approx(found[0].coefficient + own + added, abs=1e-6 * scale)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), family=st.sampled_from(sorted(FAMILIES)))
def test_the_constant_model_beside_an_offset_balances(seed, family):
    rng = np.random.default_rng(seed)
    labels = np.append(rng.integers(0, 2, 40), [0, 1]).astype(float)
    model = Family(family, labels, rng.random(42) + 0.1, rng.normal(0, 2, 42))
    assert abs(model.residual(model.constant()).sum()) < 1e-9


@pytest.mark.parametrize(("numbers", "log"), [([1.0, np.nan], False), ([1.0, 0.0], True), ([1.0, 1e30], False)])
def test_an_offset_that_cannot_be_added_is_refused(numbers, log, tmp_path):
    lab = laboratory(tmp_path, 1, 60, "poisson", Preparation())
    lab.offset = Offset("months", log), np.resize(numbers, 60)
    with pytest.raises(DataError, match="column 'months', an offset"):
        lab.fit(GlmParams(family="poisson", encoding="numeric"))


def test_a_partner_does_not_say_which_of_its_columns_cannot_be_prepared(tmp_path):
    lab = laboratory(tmp_path, 1, 200, "linear", Preparation(scale="none"))
    lab.prepare = {"bank": {"income": Preparation(scale="standard")}}
    with pytest.raises(DataError, match="telecom: a column of the model is not scaled") as error:
        lab.fit(GlmParams(family="linear"))
    assert not any(name in str(error.value) for name in ("calls", "spend"))


def test_levels_that_do_not_fit_leave_a_partner_without_columns(tmp_path):
    lab = laboratory(tmp_path, 1, 300, "linear", Preparation(indicator=True))
    codes = np.resize(lab.bank[1].codes, 311)
    lab.partners["telecom"] = [Column("town", "category", codes=codes, categories=tuple("abcdef"))]
    with pytest.raises(RefusedError, match="a glm of 0 of its columns"):
        lab.fit(GlmParams(family="linear", max_columns=4))


def test_a_column_that_clipping_leaves_with_one_value_tells_nothing(tmp_path):
    lab = laboratory(tmp_path, 1, 300, "linear", Preparation())
    one = Preparation(clip="bounds", limits=(500.0, 501.0))
    lab.prepare = {"bank": {"income": one}, "telecom": {"spend": one}}
    params = GlmParams(family="linear")
    found = figures_of(lab.fit(params), params)
    assert "income" not in [term.column for term in lab.encoded.terms]
    assert [f.coefficient for f in found if f.collinear] == [0.0]
    assert np.isfinite([f.coefficient for f in found]).all()

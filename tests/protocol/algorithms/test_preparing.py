"""Preparation equals scikit-learn's on the same columns, and repeats itself on any other table."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import ValidationError
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, RobustScaler, StandardScaler

from protocol.algorithms.binning import CategoryRule, apply_rule, fit_category
from protocol.algorithms.glm import LARGEST_VALUE, VALUE, of_bins, standardised
from protocol.algorithms.preparing import columns_of_levels, encoded, fit_prepared, level_of_bins, scaled
from protocol.errors import DataError
from protocol.settings.preparation import USUAL, Preparation, Treatment, kinds_of
from protocol.table import Column

SCALERS = {"standard": StandardScaler(), "robust": RobustScaler(), "min-max": MinMaxScaler()}
IMPUTERS = {"mean": "mean", "median": "median", "most-frequent": "most_frequent", "constant": "constant"}
LOGARITHMS = {"none": lambda x: x, "log1p": np.log1p, "signed-log": lambda x: np.sign(x) * np.log1p(np.abs(x))}
TREATMENTS = st.builds(
    Treatment,
    impute=st.sampled_from(sorted(IMPUTERS)),
    constant=st.floats(0, 5),
    clip=st.sampled_from(["none", "quantiles", "deviations", "bounds"]),
    transform=st.sampled_from(sorted(LOGARITHMS)),
    scale=st.sampled_from(sorted(SCALERS)),
)
LIMITS = {"none": (0.0, 0.0), "quantiles": (0.05, 0.9), "deviations": (-1.5, 2.0), "bounds": (0.5, 40.0)}


def drawn(seed: int, n: int) -> np.ndarray:
    """Skewed amounts, some alike, some missing."""
    rng = np.random.default_rng(seed)
    values = np.round(rng.lognormal(1.5, 1.2, n), 1)
    values[rng.random(n) < 0.2] = np.nan
    return values


def by_sklearn(values: np.ndarray, treatment: Treatment) -> np.ndarray:
    """Clip, transform, scale, impute: scalers pass over what is missing, and imputing commutes with scaling."""
    there, (low, high) = values[~np.isnan(values)], treatment.limits
    if treatment.clip == "quantiles":
        low, high = np.nanpercentile(values, [100 * low, 100 * high])
    elif treatment.clip == "deviations":
        low, high = there.mean() + low * there.std(), there.mean() + high * there.std()
    clip = (lambda x: x) if treatment.clip == "none" else (lambda x: np.clip(x, low, high))
    through = lambda x: LOGARITHMS[treatment.transform](clip(x))[:, None]  # noqa: E731
    scaler = SCALERS[treatment.scale].fit(through(values))
    filler = float(scaler.transform(through(np.array([treatment.constant])))[0, 0])
    imputer = SimpleImputer(strategy=IMPUTERS[treatment.impute], fill_value=filler)
    return np.asarray(imputer.fit_transform(scaler.transform(through(values)))[:, 0])


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(12, 200), treatment=TREATMENTS)
def test_numbers_are_those_of_scikit_learn(seed, n, treatment):
    treatment = replace(treatment, limits=LIMITS[treatment.clip])
    values = drawn(seed, n)
    try:
        found = fit_prepared(values, treatment, "bank", "column 'x'")
    except DataError:
        assert treatment.impute == "constant"
        return
    spread = np.nanpercentile(values, [25, 75])
    assume(not found.constant and spread[0] < spread[1] and found.low != found.high)
    low, high = (-np.inf, np.inf) if found.high is None else (found.low, found.high)
    clipped = np.clip(values[~np.isnan(values)], low, high)
    assume(np.percentile(clipped, 25) < np.percentile(clipped, 75))
    theirs = by_sklearn(values, treatment)
    assert scaled(found, values) == pytest.approx(theirs, rel=1e-9, abs=1e-9)
    assert np.abs(encoded(found, values) - np.clip(theirs, -4.095, 4.095) * VALUE).max() <= 0.5 + 1e-6


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 300))
def test_the_usual_treatment_is_what_it_was(seed, n):
    values = drawn(seed, n)
    there = values[~np.isnan(values)]
    assume(len(there) and there.std() > 0)
    found = fit_prepared(values, USUAL, "bank", "column 'x'")
    assert (encoded(found, values) == standardised(values, float(there.mean()), float(there.std()))).all()


@settings(max_examples=80, deadline=None)
@given(
    values=st.lists(st.one_of(st.none(), st.floats(-1e300, 1e300)), min_size=1, max_size=30),
    later=st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=30),
    treatment=TREATMENTS,
)
def test_any_value_becomes_a_whole_number_that_fits_or_is_refused(values, later, treatment):
    treatment = replace(treatment, limits=LIMITS[treatment.clip])
    numbers = np.array([np.nan if v is None else v for v in values])
    try:
        found = fit_prepared(numbers, treatment, "bank", "column 'x'")
    except DataError:
        return
    assert np.isfinite([found.filler, found.centre, found.spread]).all()
    assert found.spread > 0
    with np.errstate(over="ignore"):
        assert np.abs(encoded(found, np.array(later))).max() <= LARGEST_VALUE


@pytest.mark.parametrize(
    ("values", "own", "said"),
    [
        ([0.0, 9.5], {"scale": "none"}, "is not scaled, and has values beyond 4.095"),
        ([0.0, 1.0], {"impute": "constant", "constant": 99.0}, "lies further out than 4.095 of its scale"),
        ([-1.0, 3.0], {"transform": "log1p"}, "without a log1p"),
        ([0.5, 3.0], {"transform": "log1p", "impute": "constant", "constant": -2.0}, "without a log1p"),
        ([-1e200, 1e200], {"scale": "robust", "clip": "deviations"}, "too large to have a spread"),
        ([-1e200, 1e200], {"impute": "median", "indicator": True}, "too large to have a spread"),
    ],
)
def test_what_cannot_fit_is_refused_in_a_sentence(values, own, said):
    with pytest.raises(DataError, match=said) as error:
        fit_prepared(np.array(values), Preparation(**own).treatment(), "bank", "column 'x'")
    assert not any(f"{value:g}" in error.value.thing for value in values if abs(value) > 1)  # no value is told


def test_a_column_that_is_all_missing_or_one_value_after_clipping_has_numbers_too():
    for values in ([np.nan, np.nan], [3.0, 3.0, 3.0], [0.0, 0.0, 0.0, 50.0]):
        own = Preparation(clip="bounds", limits=(0.0, 0.0 + 1e-9), scale="robust")
        found = fit_prepared(np.array(values), own.treatment(), "bank", "column 'x'")
        assert np.isfinite(scaled(found, np.array([np.nan, -1.0, 7.0]))).all()
    found = fit_prepared(np.array([5.0, 5.0, np.nan]), Preparation(scale="min-max").treatment(), "bank", "x")
    assert found.constant
    assert (encoded(found, np.array([5.0, np.nan])) == 0).all()


@settings(max_examples=60, deadline=None)
@given(
    codes=st.lists(st.integers(-1, 6), min_size=5, max_size=120),
    levels=st.integers(0, 5),
    min_share=st.sampled_from([0.0, 0.1, 0.3]),
    reference=st.sampled_from(["most-frequent", "rest", "c"]),
    later=st.lists(st.sampled_from([*"abcdefg", "new", ""]), min_size=1, max_size=20),
)
def test_levels_are_those_of_scikit_learn(codes, levels, min_share, reference, later):
    """A column a level but the reference: OneHotEncoder with the same categories, grouped by hand."""
    column = Column("x", "category", codes=np.array(codes, dtype=np.int32), categories=tuple("abcdefg"))
    rule = fit_category(column.codes, column.categories, 5, 2)
    counts = np.bincount(apply_rule(rule, column), minlength=rule.ordinary)
    found = level_of_bins(rule, counts, Treatment(levels=levels, min_share=min_share, reference=reference))
    groups = {name: found[b] for b, names in enumerate(rule.groups) for name in names}
    assert set(found) == set(range(max(found) + 1))
    assert reference not in groups or groups[reference] == 0
    least = min_share * max(1, counts[: rule.ordinary].sum())
    own = [b for b, names in enumerate(rule.groups) if len(names) == 1 and counts[b] >= least]
    assert len({found[b] for b in range(rule.ordinary)}) <= min(len(own), levels or len(own)) + 1
    names = sorted(set(later) - {""})
    codes = np.array([names.index(text) if text else -1 for text in later])
    bins = apply_rule(rule, Column("x", "category", codes=codes, categories=tuple(names)))
    ours = [of_bins(bins, values) // VALUE for values in columns_of_levels(found)]
    missing = found[-1] if rule.missing else found[rule.missing_as] if rule.missing_as is not None else 0
    if max(found):
        encoder = OneHotEncoder(categories=[list(range(max(found) + 1))], drop="first", sparse_output=False)
        theirs = encoder.fit_transform([[groups.get(text, missing)] for text in later])
        assert np.array_equal(np.stack(ours, axis=1), theirs)


@settings(max_examples=40, deadline=None)
@given(codes=st.lists(st.integers(-1, 9), min_size=5, max_size=200), most=st.integers(2, 6), least=st.integers(1, 6))
def test_by_default_every_bin_is_a_level_and_the_first_the_reference(codes, most, least):
    rule = fit_category(np.array(codes, dtype=np.int32), tuple("abcdefghij"), most, least)
    size = rule.ordinary + rule.missing
    counts = np.bincount(rule.apply(np.array(codes), tuple("abcdefghij")), minlength=size)
    assert level_of_bins(rule, counts, USUAL) == tuple(range(size))


def test_missing_categories_are_a_level_or_the_most_frequent():
    rule, counts = CategoryRule((("a",), ("b",)), missing=True, missing_as=None), np.array([9, 5, 4])
    assert level_of_bins(rule, counts, USUAL) == (0, 1, 2)
    assert level_of_bins(rule, counts, Treatment(impute="most-frequent")) == (0, 1, 0)
    assert level_of_bins(rule, counts, Treatment(impute="most-frequent", indicator=True)) == (0, 1, 2)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"impute": "constant"}, "belong together"),
        ({"constant": 3.0}, "belong together"),
        ({"limits": [0.1, 0.9]}, "limits say where clip"),
        ({"clip": "bounds"}, "needs limits"),
        ({"clip": "quantiles", "limits": [0.9, 0.1]}, "lower one first"),
        ({"clip": "quantiles", "limits": [-1.0, 2.0]}, "between 0 and 1"),
    ],
)
def test_declarations_that_cannot_be_are_refused(own, said):
    with pytest.raises(ValidationError, match=said):
        Preparation(**own)


def test_a_column_overrides_the_job_key_by_key():
    job = Treatment(impute="constant", constant=-1.0, clip="quantiles", limits=(0.02, 0.98), scale="robust")
    assert Preparation().treatment(job) == job
    assert Preparation(scale="none").treatment(job) == Treatment(
        impute="constant", constant=-1.0, clip="quantiles", limits=(0.02, 0.98), scale="none"
    )
    changed = Preparation(impute="median", clip="none").treatment(job)
    assert changed == Treatment(impute="median", scale="robust")


def test_what_a_partner_tells_has_no_value_of_its_own():
    own = Treatment(impute="constant", constant=7.0, clip="bounds", limits=(1.0, 2.0), reference="north")
    assert kinds_of(own) == Treatment(impute="constant", clip="bounds", reference="named")
    assert kinds_of(Treatment(clip="quantiles", limits=(0.1, 0.9))).limits == (0.1, 0.9)

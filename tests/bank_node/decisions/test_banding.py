"""Bands: each rule does what it says on the rows that cut-offs are found on; nothing equal is parted."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bank_node.decisions.banding import find_cuts, require_bandable
from bank_node.models.bands import AMBER, GREEN, RED, BandCuts, band_numbers, measured
from protocol.errors import DataError, UsageError
from protocol.job import Bands, Job
from protocol.table import Table

RULES = st.sampled_from(["capacity", "expected-loss", "precision"])


@st.composite
def portfolios(draw: st.DrawFn) -> tuple[Bands, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rows, seed = draw(st.integers(5, 200)), draw(st.integers(0, 9999))
    rng = np.random.default_rng(seed)
    score = np.round(rng.random(rows), draw(st.integers(1, 4)))
    label = (rng.random(rows) < score).astype(np.uint8)
    weight = np.ones(rows) if draw(st.booleans()) else np.round(rng.uniform(0.5, 2, rows), 2)
    rule = draw(RULES)
    red, amber = (0.7, 0.4) if rule == "precision" else (0.1, 0.25)
    return Bands(rule=rule, red=red, amber=amber), label, score, np.round(rng.lognormal(3, 1, rows), 2), weight


def shares(of: np.ndarray, number: np.ndarray) -> list[float]:
    return [of[number == band].sum() / of.sum() for band in (RED, AMBER)]


@settings(deadline=None)
@given(portfolios())
def test_each_rule_keeps_its_word_and_could_not_take_another_row(given_rows):
    settings, label, score, amount, weight = given_rows
    cuts = find_cuts(settings, label, score, score, amount, weight)
    measure = measured(cuts, score, score, amount)
    number = band_numbers(cuts, measure)
    order = np.argsort(-measure, kind="stable")
    assert (np.diff(number[order]) <= 0).all()
    for band, wanted in ((RED, settings.red), (AMBER, settings.amber)):
        inside = number == band
        below = measure[number < band]
        more = inside | ((number < band) & (measure == below.max())) if len(below) else inside
        if settings.rule == "capacity":
            assert weight[inside].sum() <= wanted * weight.sum() * (1 + 1e-9)
            assert weight[more].sum() > wanted * weight.sum() or not len(below)
        elif settings.rule == "expected-loss":
            losses = weight * measure
            least = inside & (measure == measure[inside].min()) if inside.any() else inside
            assert losses[inside].sum() >= wanted * losses.sum() * (1 - 1e-9) or not len(below)
            assert losses[inside & ~least].sum() < wanted * losses.sum()
        elif inside.any():
            assert (weight * label)[inside].sum() >= wanted * weight[inside].sum() * (1 - 1e-9)
            assert (weight * label)[more].sum() < wanted * weight[more].sum() or not len(below)


def test_bands_of_a_small_book():
    score = np.array([0.9, 0.8, 0.8, 0.5, 0.4, 0.3, 0.2, 0.2, 0.1, 0.1])
    label = np.array([1, 1, 0, 1, 0, 0, 0, 0, 0, 0])
    amount = np.array([1.0, 1, 1, 100, 1, 1, 1, 1, 1, 1])
    by = {
        rule: find_cuts(Bands(rule=rule, red=red, amber=amber), label, score, score, amount, None)
        for rule, red, amber in (("capacity", 0.2, 0.3), ("expected-loss", 0.9, 0.02), ("precision", 0.75, 0.2))
    }
    assert by["capacity"] == BandCuts(rule="capacity", red=0.9, amber=0.5)  # the two of 0.8 do not fit into red
    assert by["expected-loss"] == BandCuts(rule="expected-loss", red=50.0, amber=0.8)
    assert by["precision"] == BandCuts(rule="precision", red=0.5, amber=None)


def table(bads: int, amount: bool) -> Table:
    label = np.append(np.ones(bads), np.zeros(60 - bads))
    ids = [f"{k}".encode() for k in range(60)]
    return Table("bank", ids, (), label=label, amount=np.ones(60) if amount else None)


def job(rule: str) -> Job:
    values: dict[str, Any] = {
        "name": "j",
        "data": {"id": ["id"], "label": "bad", "amount": "sum", "source": {"kind": "csv", "path": "t.csv"}},
        "parties": {"bank": {"columns": ["a"]}, "telecom": {"columns": ["b"]}},
        "split": {"validation": 0.5},
        "bands": {"rule": rule, "red": 0.2, "amber": 0.1},
    }
    return Job.model_validate(values)


def test_what_bands_need_is_said_before_anything_is_sent():
    parts = np.full(60, "validation")
    require_bandable(job("expected-loss"), table(30, amount=True), parts)
    with pytest.raises(DataError, match="fewer than 20 goods or bads"):
        require_bandable(job("capacity"), table(19, amount=True), parts)
    weighed = replace(table(30, amount=True), weight=np.append(np.zeros(11), np.ones(49)))
    with pytest.raises(DataError, match="fewer than 20 goods or bads"):
        require_bandable(job("capacity"), weighed, parts)
    with pytest.raises(UsageError, match="names no amount column"):
        require_bandable(job("expected-loss"), table(30, amount=False), parts)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"split": {"validation": 0.0}}, "set split.validation"),
        ({"data": {"amount": ""}}, "needs data.amount"),
        ({"bands": {"red": 0.6, "amber": 0.5}}, "leave nothing for green"),
        ({"bands": {"rule": "precision", "red": 0.2, "amber": 0.2}}, "smaller share of bads"),
        ({"models": [{"params": {"objective": "reg:squarederror"}}]}, "a label of 0 and 1"),
    ],
)
def test_a_job_whose_bands_cannot_be_is_refused(change, said):
    values = job("expected-loss").model_dump(by_alias=True)
    for section, keys in change.items():
        values[section] = {**values[section], **keys} if isinstance(keys, dict) else keys
    with pytest.raises(ValidationError, match=said):
        Job.model_validate(values)


def test_a_job_without_bands_has_the_digest_that_it_had():
    plain = job("capacity").model_copy(update={"bands": None})
    assert "bands" not in plain.model_dump(mode="json")
    assert plain.sha256 != job("capacity").sha256


def test_no_row_reaches_a_band_without_a_cut():
    cuts = BandCuts(rule="precision", red=None, amber=None)
    assert band_numbers(cuts, np.array([0.0, 1.0])).tolist() == [GREEN, GREEN]


@pytest.mark.parametrize("rule", ["capacity", "precision"])
def test_only_the_expected_loss_needs_amounts(rule):
    settings, label, score = Bands(rule=rule, red=0.4, amber=0.3), np.array([1, 0]), np.array([0.6, 0.2])
    cuts = find_cuts(settings, label, score, score, None, None)
    assert measured(cuts, np.array([0.3]), np.array([1.0]), None).tolist() == [0.3]

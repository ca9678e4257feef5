"""Linear fits take no more steps than partners' score releases last for."""

import pytest

from bank_node.training.planned import FEWEST_STEPS, steps_within
from protocol.contract import Contract
from protocol.errors import RefusedError
from protocol.job import load_job
from protocol.job.workload import workload
from tests.e2e.tables import scenario

TWO = [{"kind": "scorecard"}, {"kind": "glm"}]
"""On three rungs with a placebo, five fits of up to thirteen releases with telecom, four with bureau."""


def test_fits_are_held_to_the_steps_that_the_tightest_contract_lasts_for(tmp_path):
    job = load_job(scenario(tmp_path, models=TWO))
    assert (workload(job, "telecom").releases, workload(job, "bureau").releases) == (65, 52)
    assert steps_within(job, {"telecom": Contract(score_releases=65)}) == 12
    assert steps_within(job, {"telecom": Contract()}) == 11
    assert steps_within(job, {"telecom": Contract(), "bureau": Contract(score_releases=39)}) == 8


def test_what_does_not_last_for_short_fits_is_refused(tmp_path):
    job = load_job(scenario(tmp_path, models=TWO))
    assert steps_within(job, {"telecom": Contract(score_releases=35)}) == FEWEST_STEPS
    with pytest.raises(RefusedError, match=r"35 releases .* even with 6 steps each.*score_releases") as caught:
        steps_within(job, {"telecom": Contract(score_releases=34), "bureau": Contract()})
    assert caught.value.party == "telecom"


def test_a_job_that_asks_for_fewer_steps_gets_them(tmp_path):
    job = load_job(scenario(tmp_path, models=[{**model, "params": {"max_iter": 3}} for model in TWO]))
    assert steps_within(job, {"telecom": Contract(score_releases=20)}) == 3


def test_trees_release_no_scores(tmp_path):
    assert steps_within(load_job(scenario(tmp_path)), {"telecom": Contract(score_releases=0)}) == 0

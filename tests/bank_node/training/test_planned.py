"""What linear models plan of a partner's score releases is held against its contract beforehand."""

import pytest

from bank_node.training.planned import require_releases
from protocol.contract import Contract
from protocol.errors import RefusedError
from protocol.job import load_job
from protocol.job.workload import workload
from tests.e2e.tables import scenario


def test_two_linear_models_pass_the_usual_clause_and_the_remedy_does(tmp_path):
    """On three rungs with a placebo they have five fits of thirteen steps with each partner."""
    models = [{"kind": "scorecard"}, {"kind": "glm"}]
    job = load_job(scenario(tmp_path, models=models))
    contracts = {"telecom": Contract(score_releases=65), "bureau": Contract()}
    with pytest.raises(RefusedError, match="up to 52 releases") as caught:
        require_releases(job, contracts | {"bureau": Contract(score_releases=51)})
    assert caught.value.party == "bureau"
    with pytest.raises(RefusedError, match=r"up to 65 releases.*score_releases.*max_iter to 11 at most") as caught:
        require_releases(job, {"telecom": Contract()})
    assert caught.value.party == "telecom"
    require_releases(job, contracts)
    fewer = [{**model, "params": {"max_iter": 11}} for model in models]
    require_releases(load_job(scenario(tmp_path, models=fewer)), {"telecom": Contract(), "bureau": Contract()})


def test_where_no_number_of_steps_fits_none_is_named(tmp_path):
    job = load_job(scenario(tmp_path, models=[{"kind": "glm"}]))
    assert workload(job, "telecom").releases > 0
    with pytest.raises(RefusedError) as caught:
        require_releases(job, {"telecom": Contract(score_releases=2)})
    assert "max_iter" not in str(caught.value)

"""[preparation], prepare and offsets in a job: what must fit together, and what its digest is of."""

import pytest

from protocol.errors import UsageError
from protocol.job.workload import workload
from protocol.settings.preparation import Preparation, Treatment
from tests.protocol.job.test_job import load, values

NUMERIC = [{"kind": "glm", "params": {"encoding": "numeric"}}]
POISSON = [{"kind": "glm", "params": {"family": "poisson", "exposure": "months"}}]


@pytest.mark.parametrize(
    ("sections", "prepare", "said"),
    [
        ({"preparation": {"scale": "robust"}}, {}, 'is of models of kind "glm" with encoding "numeric"'),
        ({}, {"calls": {"scale": "robust"}}, "prepare of telecom is of models of kind"),
        ({"models": NUMERIC}, {"cals": {"scale": "robust"}}, "no column of telecom .nearest: 'calls'"),
        ({"models": NUMERIC, "preparation": {"reference": "north"}}, {}, "a category is of one column"),
        ({"models": NUMERIC, "preparation": {"scael": "none"}}, {}, "unknown key 'preparation.scael'.*'scale'"),
        (
            {"models": NUMERIC},
            {"calls": {"clipp": "none"}},
            "prepare.calls.clipp'.*'clip'",
        ),
        ({"models": NUMERIC, "preparation": {"clip": "bounds"}}, {}, "needs limits"),
    ],
)
def test_preparations_that_cannot_be_are_refused(tmp_path, sections, prepare, said):
    job = values() | sections
    job["parties"]["telecom"]["prepare"] = prepare
    with pytest.raises(UsageError, match=said):
        load(tmp_path, job)


@pytest.mark.parametrize(
    ("params", "columns", "said"),
    [
        ({"exposure": "months"}, ["own"], 'exposure is of family "poisson"'),
        ({"family": "poisson", "exposure": "months", "offset": "own"}, ["own"], "in place of offset"),
        ({"offset": "own"}, ["own"], "'own' of bank is .*offset, no feature"),
    ],
)
def test_offsets_that_cannot_be_are_refused(tmp_path, params, columns, said):
    job = values() | {"models": [{"kind": "glm", "params": params}]}
    job["parties"]["bank"]["columns"] = columns
    with pytest.raises(UsageError, match=said):
        load(tmp_path, job)


def test_what_is_said_is_in_the_digest_and_what_is_usual_is_not(tmp_path):
    plain = load(tmp_path, values() | {"models": NUMERIC})
    assert load(tmp_path, values() | {"models": NUMERIC, "preparation": {}}).sha256 == plain.sha256
    said = load(tmp_path, values() | {"models": NUMERIC, "preparation": {"scale": "robust"}})
    own = values() | {"models": NUMERIC}
    own["parties"]["telecom"]["prepare"] = {"calls": {"scale": "robust"}}
    offset = values() | {"models": [{"kind": "glm", "params": {"encoding": "numeric", "offset": "before"}}]}
    digests = [plain.sha256, said.sha256, load(tmp_path, own).sha256, load(tmp_path, offset).sha256]
    assert len(set(digests)) == 4


def test_a_partner_is_asked_for_what_the_job_says_of_columns_as_numbers_alone(tmp_path):
    both = [*NUMERIC, {"kind": "glm", "params": {}}]
    job = load(tmp_path, values() | {"models": both, "preparation": {"impute": "median", "indicator": True}})
    numeric, by_evidence = (model.cutting(job) for model in job.models)
    assert numeric.preparation == Treatment(impute="median", indicator=True)
    assert by_evidence.preparation is None
    assert workload(job, "telecom").cuttings == (numeric, by_evidence)
    assert "median imputed, missing indicated" in numeric.text
    assert job.preparation == Preparation(impute="median", indicator=True)


def test_columns_without_a_coefficient_are_the_banks_and_no_features(tmp_path):
    job = load(tmp_path, values() | {"models": POISSON})
    assert job.offsets == ("months",)
    assert "months" in job.special

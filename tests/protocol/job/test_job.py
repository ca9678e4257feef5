"""The scenario file: its defaults, what it refuses, and its digest."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w

import experiments
from protocol.algorithms.glm_parameters import GlmParams
from protocol.algorithms.parameters import BoostingParams
from protocol.algorithms.scorecard_parameters import ScorecardParams
from protocol.contract import Contract
from protocol.errors import UsageError
from protocol.job import (
    Bands,
    Binning,
    EarlyWarning,
    Job,
    JobData,
    JobParty,
    ReportSettings,
    Run,
    Selection,
    Split,
    Title,
    load_job,
    names_budgets,
)
from protocol.job.boosting import BoostingModel
from protocol.job.encode import Encode
from protocol.job.stakes import Stakes
from protocol.job.workload import workload
from protocol.settings.preparation import Preparation
from protocol.table import Source

Values = dict[str, Any]


def values() -> Values:
    """A scenario with every section."""
    return {
        "schema": 1,
        "name": "small",
        "title": {"en": "Small", "zh": "小"},
        "synthetic": False,
        "label_party": "bank",
        "data": {
            "source": {"kind": "csv", "path": "t.csv", "sha256": "00"},
            "id": ["id"],
            "label": "bad",
            "time": "opened",
            "weight": "w",
            "amount": "money",
            "missing": ["", -98],
            "categorical": ["brand"],
        },
        "parties": {
            "bank": {"columns": ["own"]},
            "telecom": {"columns": ["calls", "brand"], "coverage": 0.9, "strangers": 0.1},
            "bureau": {"columns": ["loans"]},
        },
        "split": {"kind": "random", "test": 0.25, "validation": 0.1, "seed": 7},
        "models": [{"kind": "boosting", "params": {"n_estimators": 3}}],
        "run": {"engine": "blind", "transport": "processes", "ladder": "auto", "seed": 7},
        "report": {"alert_rates": [0.05], "bootstrap": 50, "placebo": True},
        "contract": {"max_equations_share": 0.1},
    }


def load(folder: Path, job: Values) -> Job:
    """The job in a file with these values."""
    path = folder / "job.toml"
    path.write_text(tomli_w.dumps(job), encoding="utf-8")
    return load_job(path)


def test_a_short_scenario_has_all_defaults(tmp_path):
    source = {"kind": "csv", "path": "t.csv"}
    parties = {"银 行": {"columns": ["a"]}, "p": {"columns": ["b"]}}
    job = load(tmp_path, {"name": "n", "data": {"source": source, "id": ["id"], "label": "y"}, "parties": parties})
    assert (job.bank, job.partners) == ("银 行", ("p",))
    assert job.titles == Title(en="n", zh="n")
    assert (job.split, job.run, job.report, job.contract) == (Split(), Run(), ReportSettings(), Contract())
    assert [m.params for m in job.models] == [BoostingParams()]
    assert (job.parties["p"].coverage, job.parties["p"].strangers) == (1.0, 0.0)
    assert job.data.source is not None
    assert job.data.source.path == tmp_path / "t.csv"


def test_models_of_one_kind_are_numbered(tmp_path):
    job = load(tmp_path, values() | {"models": [{"kind": "boosting"}, {"params": {"max_bin": 32}}]})
    assert job.model_names == ("boosting", "boosting-2")


def test_parties_may_bring_their_own_tables_with_columns_of_one_name(tmp_path):
    job = values()
    del job["data"]["source"]
    for name, party in job["parties"].items():
        party |= {"columns": ["income"], "source": {"kind": "parquet", "path": f"{name}.parquet"}, "id": ["key"]}
    loaded = load(tmp_path, job)
    source = loaded.parties["telecom"].source
    assert source is not None
    assert source.path == tmp_path / "telecom.parquet"


def changed(*place: Any, to: Any) -> Callable[[Values], None]:
    """A change of one value."""

    def change(job: Values) -> None:
        for key in place[:-1]:
            job = job[key]
        job[place[-1]] = to

    return change


MANY = ("bank", *(f"p{k}" for k in range(41)))

REFUSED = {
    "an unknown key": (changed("data", "lable", to="x"), "unknown key 'data.lable' (nearest: 'label')"),
    "an unknown section": (changed("contracts", to={}), "unknown key 'contracts' (nearest: 'contract')"),
    "an unknown parameter": (changed("models", 0, "params", "max_dept", to=3), "(nearest: 'max_depth')"),
    "an unknown kind": (changed("models", 0, "kind", to="gml"), "at 'models.0': kind is one of boosting, glm"),
    "a parameter of another kind": (changed("models", to=[{"kind": "glm", "params": {"max_depth": 3}}]),
                                    "unknown key 'models.0.params.max_depth'"),
    "columns of nobody": (changed("models", to=[{"kind": "glm", "params": {"columns": {"bureu": ["column 1"]}}}]),
                          "'bureu' in a model's columns is no party (nearest: 'bureau')"),
    "a partner's column by name": (changed("models", to=[{"kind": "glm", "params": {"columns": {"bureau": ["x"]}}}]),
                                   "'x' in a model's columns of bureau: a partner's are numbered, as \"column 3\", or"),
    "an unknown key of a party": (changed("parties", "telecom", "coverag", to=1), "(nearest: 'coverage')"),
    "a wrong type": (changed("run", "seed", to="seven"), "the key 'run.seed' is a str"),
    "a wrong engine": (changed("run", "engine", to="blnd"), "the key 'run.engine'"),
    "a wrong number": (changed("split", "test", to=1.5), "the key 'split.test'"),
    "no label": (lambda job: job["data"].pop("label"), "lacks the key 'data.label'"),
    "a column of two": (changed("parties", "bureau", "columns", to=["calls"]), "'calls' is given to two parties"),
    "a column twice": (changed("parties", "bureau", "columns", to=["x", "x"]), "'x' is given to bureau twice"),
    "an id": (changed("parties", "bureau", "columns", to=["id"]), "column 'id' of bureau is"),
    "a label": (changed("parties", "bureau", "columns", to=["bad"]), "column 'bad' of bureau is"),
    "a time": (changed("parties", "bureau", "columns", to=["opened"]), "column 'opened' of bureau is"),
    "a weight": (changed("parties", "bureau", "columns", to=["w"]), "column 'w' of bureau is"),
    "an amount": (changed("parties", "bureau", "columns", to=["money"]), "column 'money' of bureau is"),
    "a part": (changed("split", to={"kind": "column", "column": "loans"}), "column 'loans' of bureau is"),
    "no such party": (changed("label_party", to="bnk"), "label_party 'bnk' is no party (nearest: 'bank')"),
    "no partner": (changed("parties", to={"bank": {"columns": ["own"]}}), "0 partners, and 1 to 40"),
    "forty-one": (changed("parties", to={p: {"columns": [p]} for p in MANY}),
            "41 partners, and 1 to 40"),
    "no columns": (changed("parties", "bureau", "columns", to=[]), "bureau has no columns"),
    "no split column": (changed("split", "kind", to="column"), "needs split.column"),
    "no time": (lambda job: (job["data"].pop("time"), job["split"].update(kind="time")), "needs data.time"),
    "nothing to train on": (changed("split", "validation", to=0.8), "leave no rows to train on"),
    "an alert rate": (changed("report", "alert_rates", to=[5]), "alert_rates lie between 0 and 1"),
    "segment of a partner": (changed("report", "segments", to=["calls"]), "report.segments has 'calls', which is a"),
    "segment by label": (changed("report", "segments", to=["bad"]), "or the id, label or the like"),
    "a segment twice": (changed("report", "segments", to=["own", "own"]), "report.segments has 'own' twice"),
    "a price of nobody": (changed("value", to={"prices": {"telekom": 1.0}}), "'telekom', which is no partner (nearest"),
    "a family of no column": (changed("value", to={"families": {"telecom": {"use": ["call"]}}}),
                              "value.families names 'call', which is no column of telecom (nearest: 'calls')"),
    "a family's column twice": (changed("value", to={"families": {"telecom": {"a": ["calls"], "b": ["calls"]}}}),
                                "value.families of telecom name a column twice"),
    "no table": (lambda job: job["data"].pop("source"), "neither data.source nor a source under every party"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_named(tmp_path, case):
    change, sentence = REFUSED[case]
    job = values()
    change(job)
    with pytest.raises(UsageError) as caught:
        load(tmp_path, job)
    assert sentence in str(caught.value)
    assert "job.toml" in str(caught.value)


SAME = {
    "engine": changed("run", "engine", to="plaintext"),
    "transport": changed("run", "transport", to="in-process"),
    "path": changed("data", "source", "path", to="elsewhere.csv"),
}

OTHER = {
    "name": changed("name", to="large"),
    "title": changed("title", "en", to="Large"),
    "synthetic": changed("synthetic", to=True),
    "label party": changed("label_party", to="bureau"),
    "file": changed("data", "source", "sha256", to="01"),
    "id": changed("data", "id", to=["id", "month"]),
    "label": changed("data", "label", to="default"),
    "time": changed("data", "time", to="closed"),
    "weight": changed("data", "weight", to=""),
    "amount": changed("data", "amount", to=""),
    "missing": changed("data", "missing", to=["", -97]),
    "categorical": changed("data", "categorical", to="auto"),
    "columns": changed("parties", "bank", "columns", to=["other"]),
    "coverage": changed("parties", "telecom", "coverage", to=0.8),
    "strangers": changed("parties", "telecom", "strangers", to=0.2),
    "order of parties": lambda job: job["parties"].update(telecom=job["parties"].pop("telecom")),
    "split": changed("split", "kind", to="time"),
    "split seed": changed("split", "seed", to=8),
    "test": changed("split", "test", to=0.3),
    "validation": changed("split", "validation", to=0.2),
    "parameters": changed("models", 0, "params", "n_estimators", to=4),
    "models": changed("models", to=[{}, {}]),
    "ladder": changed("run", "ladder", to=[["bank"]]),
    "alignment": changed("run", "alignment", to="shared"),
    "split rows": lambda job: job.setdefault("run", {}).update(split_rows="node", alignment="shared"),
    "seed": changed("run", "seed", to=8),
    "alert rates": changed("report", "alert_rates", to=[0.1]),
    "bootstrap": changed("report", "bootstrap", to=60),
    "placebo": changed("report", "placebo", to=False),
    "contract": changed("contract", "min_rows_per_bin", to=30),
}


@pytest.mark.parametrize("case", [*SAME, *OTHER])
def test_the_digest_leaves_out_engine_transport_and_paths_and_nothing_else(tmp_path, case):
    before, job = load(tmp_path, values()).sha256, values()
    (SAME | OTHER)[case](job)
    assert (load(tmp_path, job).sha256 == before) == (case in SAME)


def test_the_digest_does_not_depend_on_the_folder(tmp_path):
    (tmp_path / "other").mkdir()
    assert load(tmp_path, values()).sha256 == load(tmp_path / "other", values()).sha256


def test_the_equation_budget_is_named_or_not(tmp_path):
    load(tmp_path, values())
    assert names_budgets(tmp_path / "job.toml")
    load(tmp_path, values() | {"contract": {"min_rows_per_bin": 5}})
    assert not names_budgets(tmp_path / "job.toml")


SECTIONS = {
    "At the top": Job,
    "[data]": JobData,
    "A source": Source,
    "[parties.NAME]": JobParty,
    "[parties.NAME.encode]": Encode,
    "[split]": Split,
    "[[models]]": BoostingModel,
    "params of `boosting`": BoostingParams,
    "params of `glm`": GlmParams,
    "params of `scorecard`": ScorecardParams,
    "[binning]": Binning,
    "[preparation]": Preparation,
    "[selection]": Selection,
    "[run]": Run,
    "[report]": ReportSettings,
    "[bands]": Bands,
    "[early_warning]": EarlyWarning,
    "[contract]": Contract,
    "[value]": Stakes,
}
TABLES = {
    "data",
    "parties",
    "split",
    "models",
    "binning",
    "preparation",
    "selection",
    "run",
    "report",
    "bands",
    "early_warning",
    "contract",
    "value",
}


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_document_names_every_key_of_a_section_with_its_default_and_no_other(heading):
    """A default that is a number, a choice or a list stands in the table as it would in the file."""
    text = (Path(__file__).parents[3] / "docs" / "scenario-file.md").read_text(encoding="utf-8")
    section = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.MULTILINE)[1].split("\n#")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section, flags=re.MULTILINE))
    fields = {field.alias or name: field for name, field in SECTIONS[heading].model_fields.items()}
    assert set(rows) == set(fields) - (TABLES if heading == "At the top" else set())
    for key, told in rows.items():
        field = fields[key]
        if field.is_required():
            assert "must be given" in told
        elif isinstance(field.default, bool | int | float | tuple) and key not in ("id", "models"):
            value = list(field.default) if isinstance(field.default, tuple) else field.default
            assert json.loads(told.strip("`")) == value, key
        elif isinstance(field.default, str) and key not in ("title", "label_party"):
            assert told == f'`"{field.default}"`'


@pytest.mark.parametrize(
    ("party", "told", "said"),
    [
        ("telecom", {"names": {"nothing": "x"}}, "no column of telecom"),
        ("telecom", {"names": {"calls": "column 2"}}, "like that of a numbered column"),
        ("telecom", {"names": {"calls": ""}}, "empty name"),
        ("telecom", {"tell_bins": ["calls"]}, "give no name"),
        ("bank", {"names": {"own": "x"}, "tell_bins": ["own"]}, "tell_bins is for partners"),
    ],
)
def test_names_that_cannot_be_are_refused(tmp_path, party, told, said):
    job = values()
    job["parties"][party].update(told)
    with pytest.raises(UsageError, match=said):
        load(tmp_path, job)


@pytest.mark.parametrize(
    ("binning", "said"),
    [
        ({"special": [-98]}, "both in binning.special and in data.missing"),
        ({"max_bin": 1}, "binning.max_bin is 2 or more"),
        ({"max_bin": 254, "special": [-7, -8]}, "binning.max_bin is 2 or more"),
    ],
)
def test_bins_that_cannot_be_are_refused(tmp_path, binning, said):
    job = values() | {"binning": binning}
    job["data"]["missing"] = ["", -98]
    with pytest.raises(UsageError, match=said):
        load(tmp_path, job)


def test_keys_added_later_leave_the_digest_of_a_job_that_does_not_use_them():
    """The main job's as it was before there were points in time, directions, other labels and bin tables."""
    main_job = load_job(Path(experiments.__file__).parent / "scenarios" / "csx.toml")
    then = main_job.models[0].params.model_copy(update={"n_estimators": 100, "learning_rate": 0.2})
    contract = main_job.contract.model_copy(update={"max_information_share": 0.35})
    before = main_job.model_copy(update={"models": (BoostingModel(params=then),), "contract": contract})
    assert before.sha256 == "e4da352a8f2f95477868ad6a522eca6f6b33dc6d7f82ae0cd96a00a2f8687a7c"


FILES = sorted((Path(experiments.__file__).parent / "scenarios").glob("*.toml"))
TEXTS = {path: path.read_text(encoding="utf-8") for path in FILES}
SCENARIOS = [path for path, text in TEXTS.items() if 'kind = "generated"' not in text and ".encode]" not in text]
"""Those on tables that exist; the others make theirs first."""


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_scenario_of_real_tables_can_be_read_and_planned(path):
    job = load_job(path)
    assert all(workload(job, partner).equations > 0 for partner in job.partners)

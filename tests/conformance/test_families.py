"""What holds of every family of models in the catalogue, and of a toy that is added to it by a line on either side."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from rich.console import Console

from bank_node.data.rows import open_rows
from bank_node.decisions.explaining import explain
from bank_node.decisions.watch_list import WATCH_LIST_FILE, WatchList
from bank_node.families.catalogue import FAMILIES, load_model
from bank_node.families.export import exported
from bank_node.models.folder import ModelFolder
from bank_node.node.node import BankNode
from bank_node.record.facts import RunFacts, read_facts
from bank_node.report.document import json_schema
from bank_node.settings.config import load_config as load_bank
from bank_node.training.refit import refit
from bank_node.training.refit_record import read_record
from experiments.run.run import run
from experiments.verify.verify import verify
from partner_node.config import load_config as load_partner
from partner_node.node.service import PartnerService
from partner_node.policy.opening import open_budgets
from partner_node.preview.preview import preview
from protocol.errors import TransportError, UsageError
from protocol.job import Job, load_job
from protocol.job.families import FAMILIES as IN_A_JOB
from protocol.job.ladder import folder_of
from protocol.job.workload import workload
from protocol.ledger.ledger import read_ledger
from protocol.ledger.receipts import intact_receipt
from protocol.settings import parse_toml
from protocol.transport.in_process import InProcess
from tests.conformance.toy_family import KIND, NaiveBayes, NaiveBayesModel
from tests.e2e.tables import scenario

SMALL: dict[str, dict[str, Any]] = {
    "boosting": {"n_estimators": 12, "max_depth": 2, "max_bin": 6, "discovery": "2x2"},
    "glm": {"max_bin": 4, "min_iv": 0.0, "max_iter": 4},
    "scorecard": {"min_iv": 0.0, "max_iter": 4},
}
"""Parameters that make a family quick; a family that is not named here is tested at its defaults."""
CONTRACT = {
    "min_rows_per_bin": 5, "min_rows_per_node": 20, "min_glm_columns": 1, "score_releases": 100, "score_decimals": 3,
    "max_information_share": 0.6,
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """A finished run of one model of a family on every rung."""

    kind: str
    out: Path

    @property
    def job(self) -> Job:
        return load_job(self.out.parent / "scenario.toml")

    @property
    def facts(self) -> RunFacts:
        return read_facts(self.out)

    @property
    def rungs(self) -> list[str]:
        return [rung.name for rung in self.facts.rungs]

    def model(self, rung: str) -> ModelFolder:
        return load_model(self.out / "models" / folder_of(rung) / self.kind)


def quiet(*_: object) -> None:
    """Tells nobody."""


def job_of(folder: Path, kind: str, **sections: Any) -> Path:
    """A scenario of one model."""
    return scenario(
        folder,
        models=[{"kind": kind, "params": SMALL.get(kind, {})}],
        split={"test": 0.25, "validation": 0.15},
        bands={"rule": "capacity", "red": 0.05, "amber": 0.05},
        report={"bootstrap": 20},
        run={"engine": "plaintext", "transport": "in-process"},
        contract=CONTRACT,
        **sections,
    )


@pytest.fixture(scope="module", autouse=True)
def toy() -> Iterator[None]:
    """One line in each catalogue."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(IN_A_JOB, KIND, NaiveBayesModel)
        patch.setitem(FAMILIES, KIND, NaiveBayes())
        yield


@pytest.fixture(scope="module", params=[*FAMILIES, KIND])
def trained(request: pytest.FixtureRequest, toy: None, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of every family, through the function behind `fedwarn run`."""
    folder = tmp_path_factory.mktemp(request.param)
    run(job_of(folder, request.param), folder / "out", fresh=False, progress=quiet, overrides={})
    return Run(request.param, folder / "out")


def test_the_two_catalogues_agree():
    assert FAMILIES.keys() == IN_A_JOB.keys()
    for kind, family in FAMILIES.items():
        assert family.kind == kind
        assert family.asks is IN_A_JOB[kind]
        assert ("folds" in family.capabilities) == IN_A_JOB[kind].FOLDS


def test_a_run_ends_with_a_report_that_follows_from_its_scores(trained):
    report = json.loads((trained.out / "report.json").read_text(encoding="utf-8"))
    jsonschema.validate(report, json_schema())
    assert verify(trained.out) == []
    rungs = {rung["name"]: rung for rung in report["rungs"]}
    assert rungs.keys() == {"bank", "bank+telecom", "bank+bureau", "all", "placebo"}
    assert rungs["all"]["metrics"]["auc"]["value"] > 0.7
    for rung in rungs.values():
        assert rung["importance"].keys() == set(rung["parties"])
        assert sum(rung["importance"].values()) == pytest.approx(1.0)
        assert rung["kept_out"] == {}
        assert (rung["discovery"] is not None) == ("discovery" in FAMILIES[trained.kind].capabilities)


def test_facts_are_json_that_is_read_back(trained):
    text = (trained.out / "facts.json").read_text(encoding="utf-8")
    assert json.loads(text) == json.loads(trained.facts.model_dump_json(by_alias=True))


def test_a_saved_model_is_the_one_that_was_trained(trained, tmp_path):
    for rung in trained.facts.rungs:
        model = trained.model(rung.name)
        assert model.about.kind == trained.kind
        assert model.model.sha256 == model.about.sha256 == rung.model_sha256
        assert type(model.model) is FAMILIES[trained.kind].stored
        model.write(tmp_path / rung.name)
        assert load_model(tmp_path / rung.name).model == model.model


class _Adding(WatchList):
    """Explains every row that is scored, and sees by how much its shares miss the margin."""

    def __init__(self, folder: ModelFolder) -> None:
        super().__init__(folder)
        self.model, self.missed = folder, 0.0
        self.rows = 0

    def add(self, ids, score, amount, columns, told):
        found, margin = explain(self.model, columns, told, len(ids)), np.log(score / (1 - score))
        self.missed = max(self.missed, float(np.abs(found.base + found.shares.sum(axis=1) - margin).max()))
        self.rows += len(ids)


def scored(done: Run, rung: str, target: Path, without: set[str], watch: WatchList | None = None) -> dict[str, float]:
    """Scores of the bank's rows by id. without: partners that are neither started nor asked."""
    config, model = load_bank(done.out / "nodes/bank/node.toml"), done.model(rung)
    with ExitStack() as stack:
        started = [p for p in config.partners if p not in without]
        nodes = {p: PartnerService(load_partner(done.out / "nodes" / p / "node.toml")) for p in started}
        serve = {p: stack.enter_context(service).serve for p, service in nodes.items()}
        node = stack.enter_context(BankNode(config, InProcess("bank", serve), quiet))
        rows = stack.enter_context(open_rows(config, model, done.out / "nodes/bank/data.parquet", target.parent))
        node.score_file(model, rows, target, without, watch)
    with target.open(encoding="utf-8") as file:
        return {row["id"]: float(row["score"]) for row in csv.DictReader(file)}


def lines(path: Path, **wanted: str) -> dict[str, float]:
    """Scores by id, of the lines that have these values."""
    with path.open(encoding="utf-8") as file:
        chosen = (row for row in csv.DictReader(file) if all(row[k] == v for k, v in wanted.items()))
        return {row["id"]: float(row["score"]) for row in chosen}


@pytest.mark.parametrize("rung", ["bank", "bank+bureau", "all"])
def test_rows_are_scored_as_in_training_and_their_shares_add_up_to_the_margin(trained, tmp_path, rung):
    adding = _Adding(trained.model(rung))
    found = scored(trained, rung, tmp_path / "scored.csv", set(), adding)
    assert found == lines(trained.out / "scores.csv", rung=rung)
    assert adding.rows == len(found) == 600
    assert adding.missed < 1e-9


def test_without_a_partner_rows_are_scored_as_the_training_foresaw(trained, tmp_path):
    found = scored(trained, "all", tmp_path / "scored.csv", {"telecom"})
    foreseen = lines(trained.out / "absences.csv", rung="all", without="telecom")
    assert len(foreseen) == 150
    assert {name: found[name] for name in foreseen} == foreseen
    assert found != lines(trained.out / "scores.csv", rung="all")


def test_alerts_have_reasons(trained):
    with (trained.out / WATCH_LIST_FILE).open(encoding="utf-8") as file:
        reasons = [row["reasons"] for row in csv.DictReader(file)]
    assert len(reasons) > 5
    assert all(reasons)


def test_it_is_shown_and_exported_where_the_family_says_so(trained):
    family, model = FAMILIES[trained.kind], trained.model("all")
    document = json.loads(json.dumps(exported(model)))
    assert document.keys() > {"format", "kind", "objective", "link", "handles"}
    assert document["kind"] == json.loads(json.dumps(family.summary(model)))["kind"] == trained.kind
    page = Console(width=200, file=StringIO(), record=True)
    page.print(*family.shown(model, 1))
    assert model.about.sha256 in page.export_text()
    if "pmml" in family.capabilities:
        assert b"<Scorecard" in family.pmml(model)
    else:
        with pytest.raises(UsageError, match=f"it is a {trained.kind}"):
            family.pmml(model)


def test_no_more_is_asked_of_a_partner_than_the_plan_says(trained):
    """By the partner's own books."""
    for partner in trained.job.partners:
        config, plan = load_partner(trained.out / "nodes" / partner / "node.toml"), workload(trained.job, partner)
        with closing(open_budgets(config)) as budgets:
            spent = budgets.equations("bank", config.policy.account, trained.job.sha256)
        with closing(read_ledger(config.state / "ledger.sqlite")) as ledger:
            released = sum(one.kind == "glm.partial_scores" for one in ledger.entries())
        assert 0 < spent <= plan.equations
        assert released <= plan.releases
        assert bool(released) == bool(plan.releases)


def test_no_more_leaves_a_partner_than_its_preview_shows(trained):
    for partner in trained.job.partners:
        shown = preview(load_partner(trained.out / "nodes" / partner / "node.toml"), trained.job, None)
        bounds = {one.kind: one for one in shown.leaving if one.when == "training"}
        sent: dict[str, list[int]] = defaultdict(list)
        for entry in intact_receipt(trained.out / f"receipts/{partner}.jsonl").entries:
            if entry.direction == "sent":
                sent[entry.kind].append(entry.bytes)
        assert sent
        for kind, sizes in sent.items():
            assert len(sizes) <= bounds[kind].count, kind
            assert sum(sizes) <= bounds[kind].bytes, kind


def test_a_partner_previews_the_plan_and_what_its_approval_would_fix(trained):
    shown = preview(load_partner(trained.out / "nodes/telecom/node.toml"), trained.job, None)
    assert shown.refused == []
    assert shown.score_releases["planned"] == workload(trained.job, "telecom").releases
    assert any(fix.startswith(f"{trained.kind}: ") for fix in shown.fixes)


def test_a_run_that_was_interrupted_ends_as_if_it_had_not_been(trained, tmp_path, monkeypatch):
    """The partners are gone in the middle of the training, and there when the same line is run again."""
    exchange, asked, out = InProcess.exchange, [], tmp_path / "out"
    sent = sum(row.count for rung in trained.facts.rungs for row in rung.disclosure if row.sender == "bank")

    def failing(self: InProcess, requests: Any) -> Any:
        asked.append(requests)
        if len(asked) == sent // 3:  # about two thirds of the run: most requests are of two partners at once
            raise TransportError("telecom", "is down", "start it")
        return exchange(self, requests)

    monkeypatch.setattr(InProcess, "exchange", failing)
    path = job_of(tmp_path, trained.kind)
    with pytest.raises(TransportError, match="telecom: is down"):
        run(path, out, fresh=False, progress=quiet, overrides={})
    monkeypatch.setattr(InProcess, "exchange", exchange)
    run(path, out, fresh=False, progress=quiet, overrides={})
    for name in ("scores.csv", "absences.csv"):
        assert (out / name).read_bytes() == (trained.out / name).read_bytes()
    for again, whole in zip(read_facts(out).rungs, trained.facts.rungs, strict=True):
        assert (again.model_sha256, again.leakage) == (whole.model_sha256, whole.leakage)


def test_a_refit_asks_nobody_where_the_family_says_so(trained):
    config, record = load_bank(trained.out / "nodes/bank/node.toml"), read_record(trained.out, "bank")
    if "refit" not in FAMILIES[trained.kind].capabilities:
        assert record.models == ()
        with pytest.raises(UsageError, match="no model that can be fitted again"):
            refit(config, record, {}, quiet)
        return
    again, _ = refit(config, record, {}, quiet)
    assert [rung.rung.name for rung in again.rungs] == [name for name in trained.rungs if name != "placebo"]
    assert all(rung.fitted.queries == 0 for rung in again.rungs)


def test_folds_are_fitted_where_the_family_says_so(trained, tmp_path):
    path = job_of(tmp_path, trained.kind)
    values = parse_toml(path)
    values["split"]["folds"] = 2
    if "folds" not in FAMILIES[trained.kind].capabilities:
        with pytest.raises(ValueError, match=r"split\.folds are of models of kind"):
            Job.model_validate(values)
        return
    job = Job.model_validate(values)
    assert workload(job, "telecom").equations > workload(trained.job, "telecom").equations

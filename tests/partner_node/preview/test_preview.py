"""What a preview says beforehand is held against the ledger afterwards."""

import json
from pathlib import Path

import pytest

from experiments.running.run import run
from partner_node.config import load_config
from partner_node.policy.budgets import Budgets
from partner_node.preview.page import sentences, tables
from partner_node.preview.preview import Preview, preview
from protocol.job import load_job
from protocol.ledger import read_ledger
from tests.e2e.commands import call, edit
from tests.e2e.tables import scenario


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two models of different bins."""
    folder = tmp_path_factory.mktemp("preview")
    models = [
        {"kind": "boosting", "params": {"n_estimators": n, "max_depth": 3, "max_bin": b}} for n, b in ((3, 8), (2, 4))
    ]
    models.append({"kind": "glm", "params": {"max_bin": 5}})
    values = {"models": models, "contract": {"min_glm_columns": 1}}
    job = edit(scenario(folder, report={"bootstrap": 50, "bin_tables": True}), lambda v: v.update(values))
    run(
        job,
        folder / "out",
        fresh=False,
        progress=lambda phase, done, total: None,
        overrides={"transport": "in-process"},
    )
    return folder / "out"


def of(out: Path, partner: str, bank_rows: int | None = None) -> Preview:
    config = load_config(out / "nodes" / partner / "node.toml")
    return preview(config, load_job(out / "job.toml"), bank_rows)


@pytest.mark.parametrize("partner", ["telecom", "bureau"])
def test_no_more_leaves_than_was_said(out, partner):
    found = of(out, partner)
    said = {message.kind: message for message in found.leaving}
    reader = read_ledger(out / "nodes" / partner / "state/ledger.sqlite")
    sent = [row for row in reader.summary() if row["sender"] == partner]
    assert len(sent) > 8
    for row in sent:
        bound = said[row["kind"]]
        assert (row["content"], row["purpose"], row["encrypted"]) == (bound.content, bound.purpose, bound.encrypted)
        assert row["count"] <= bound.count, row["kind"]
        assert row["bytes"] <= bound.bytes, row["kind"]
    by_kind = {row["kind"]: row["bytes"] for row in sent}
    for kind in ("alignment.own_ids", "alignment.twice_blinded", "binning.hint"):  # bounds that are met
        assert said[kind].bytes < 1.1 * by_kind[kind] + 200


def test_budgets_are_what_the_run_has_spent(out):
    found = of(out, "telecom")
    budgets = Budgets(out / "nodes/telecom/state/budgets.sqlite", "telecom")
    report = json.loads((out / "report.json").read_text())
    spent = budgets.equations("bank", "table")
    budgets.close()
    assert found.equations.spent == spent > 0
    assert {column.name for column in found.columns} == {"calls", "towers", "brand"}
    told = {int(i.bins): i for i in found.information}
    assert told.keys() == {4, 5, 8}
    assert 0 < told[8].revealed <= told[8].admitted <= told[8].thresholds
    shares = [
        rung["leakage"]["telecom"]["information_share"] for rung in report["rungs"] if "telecom" in rung["leakage"]
    ]
    assert max(shares) <= told[8].share_after <= told[8].limit


def test_before_the_first_run_it_says_what_it_assumes(out, tmp_path):
    config = load_config(out / "nodes/telecom/node.toml").model_copy(update={"state": tmp_path / "state"})
    found = preview(config, load_job(out / "job.toml"), 10_000)
    assert found.bank_rows == 10_000
    assert found.equations.spent == 0
    assert any("--bank-rows" in note for note in found.notes)
    assert all(i.revealed == 0 and i.share_now == 0 for i in found.information)


def test_stricter_clauses_and_reasons_to_refuse(out, tmp_path):
    config = load_config(out / "nodes/telecom/node.toml")
    strict = config.contract.model_copy(update={"max_equations_share": 0.001, "min_rows_per_node": 10})
    policy = config.policy.model_copy(update={"equation_budget": "enforced"})
    changed = {"contract": strict, "policy": policy, "state": tmp_path / "state"}
    found = preview(config.model_copy(update=changed), load_job(out / "job.toml"), None)
    whose = {clause.name: clause.stricter for clause in found.clauses}
    assert (whose["max_equations_share"], whose["min_rows_per_node"], whose["histogram_noise"]) == (
        "telecom",
        "bank",
        "",
    )
    assert found.exit_code == 5
    assert "max_equations_share" in found.refused[0]
    other = preview(config.model_copy(update={**changed, "engine": "plaintext"}), load_job(out / "job.toml"), None)
    assert other.exit_code == 4
    assert other.refused[0].startswith("engine is plaintext here")
    assert not next(m for m in other.leaving if m.kind == "boosting.sums").encrypted
    assert len(list(tables(found))) == 3
    assert any(s.startswith("would be refused: ") for s in sentences(found))


def test_the_verb_and_the_job_of_others(out):
    node = out / "nodes/telecom/node.toml"
    ended = call("partner_node", "preview", out / "job.toml", "--config", node)
    assert ended.code == 0, ended
    assert ended.json["party"] == "telecom"
    config = edit(out / "nodes/bureau/node.toml", lambda v: v.update(party="stranger"))
    assert call("partner_node", "preview", out / "job.toml", "--config", config).code == 2
    edit(config, lambda v: v.update(party="bureau"))

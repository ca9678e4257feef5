"""What a preview says beforehand is held against the ledger afterwards."""

import fcntl
import json
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.run.run import run
from partner_node.config import load_config
from partner_node.policy.budgets import Budgets
from partner_node.preview.page import sentences, tables
from partner_node.preview.preview import Preview, preview
from protocol.algorithms.alignment import PartnerAlignment, load, save
from protocol.job import load_job
from protocol.ledger import read_ledger
from tests.e2e.commands import call, edit, end, start
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


@pytest.mark.parametrize("partner", ["telecom", "bureau"])
def test_no_more_was_readable_than_was_said(out, partner, tmp_path):
    """The figures that the partner metered in the run, against a preview of a node that answered nothing yet."""
    config = load_config(out / "nodes" / partner / "node.toml").model_copy(update={"state": tmp_path / "state"})
    found = preview(config, load_job(out / "job.toml"), None)
    report = json.loads((out / "report.json").read_text())
    shares = [rung["leakage"][partner]["readable_share"] for rung in report["rungs"] if partner in rung["leakage"]]
    assert 0 < max(shares) <= max(worst.share for worst in found.readable) <= 1
    lines = [line for line in sentences(found) if line.startswith("at worst")]
    assert sum("could read at most" in line for line in lines) == len(found.readable) == 3
    assert any("all columns of a linear model in full" in line for line in lines)


def test_before_the_first_run_it_says_what_it_assumes(out, tmp_path):
    config = load_config(out / "nodes/telecom/node.toml").model_copy(update={"state": tmp_path / "state"})
    found = preview(config, load_job(out / "job.toml"), 10_000)
    assert found.bank_rows == 10_000
    assert found.equations.spent == 0
    assert any("--bank-rows" in note for note in found.notes)
    assert all(i.revealed == 0 and i.share_now == 0 for i in found.information)


def test_a_scoring_does_not_change_the_rows_that_a_training_is_foretold_by(out, tmp_path):
    """A scoring of one row leaves an alignment of one row, which is the latest."""
    before = of(out, "telecom")
    copied = tmp_path / "state"
    shutil.copytree(out / "nodes/telecom/state", copied)
    config = load_config(out / "nodes/telecom/node.toml").model_copy(update={"state": copied})
    (trained,) = (copied / "alignments").glob("*.npz")
    kept = load(PartnerAlignment, trained, "telecom")
    scored = replace(kept, alignment="e" * 64, bank_rows=1, matches=1)
    save(scored, copied / "alignments" / f"{'e' * 64}.npz")
    after = preview(config, load_job(out / "job.toml"), None)
    assert (after.bank_rows, after.equations) == (before.bank_rows, before.equations)
    assert after.refused == before.refused == []
    given = preview(config, load_job(out / "job.toml"), 300)
    assert given.bank_rows == 300
    assert given.equations.rows == 225


def test_it_says_what_an_approval_would_fix(out, tmp_path):
    found = of(out, "telecom")
    assert found.approval == "approved"
    text = " ".join(found.fixes)
    for words in ("3 columns: calls, towers, brand", "9 trees of depth 3, 8 bins", "for 2 run(s)", "min_split_side"):
        assert words in text, text
    job = tmp_path / "job.toml"
    job.write_text((out / "job.toml").read_text())
    config = load_config(out / "nodes/telecom/node.toml")
    edit(job, lambda v: v["parties"]["telecom"].update(columns=["calls", "brand"]))
    fewer = preview(config, load_job(job), None)
    assert any("does not list 'towers': an approval leaves them out" in note for note in fewer.notes)
    assert {c.name: sum(c.bins.values()) for c in fewer.columns}["towers"] == 0
    edit(job, lambda v: v["parties"]["telecom"].update(columns=["calls", "gone"]))
    lacking = preview(config, load_job(job), None)
    assert (lacking.fixes, lacking.exit_code) == ([], 0)
    assert any("lists 'gone', which this table does not have: it cannot be approved" in n for n in lacking.notes)


@pytest.mark.parametrize("verb", [("preview", "JOB"), ("ledger", "show")])
def test_tables_are_whole_at_80_columns_and_in_a_pipe(out, verb):
    config, job = out / "nodes/telecom/node.toml", out / "job.toml"
    arguments = [str(job) if word == "JOB" else word for word in verb]
    piped = end(start("partner_node", *arguments, "--config", config))
    shown = on_terminal([sys.executable, "-m", "partner_node", *arguments, "--config", str(config)], columns=80)
    reader = read_ledger(out / "nodes/telecom/state/ledger.sqlite")
    rows = [row for row in reader.summary() if verb[0] == "ledger" or row["sender"] == "telecom"]
    assert len(rows) > 8
    for text in (piped.stdout, shown):
        assert "\u2026" not in text
        joined = " ".join(text.split())
        for row in rows:
            assert row["kind"] in text
            if verb[0] == "ledger":
                assert f"{row['bytes']:,}" in joined
    assert max(map(len, shown.splitlines())) <= 80 or verb[0] == "preview"


def on_terminal(command: list[str], columns: int) -> str:
    """What a command shows on a terminal of so many columns, without colours."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {**os.environ, "TERM": "dumb", "NO_COLOR": "1"}
    environment.pop("COLUMNS", None)
    with subprocess.Popen(command, stdin=child, stdout=child, stderr=child, env=environment) as process:
        os.close(child)
        parts = []
        while True:
            try:
                part = os.read(parent, 1 << 16)
            except OSError:
                break
            if not part:
                break
            parts.append(part)
    os.close(parent)
    assert process.returncode == 0
    return b"".join(parts).decode()


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

"""A run that tells the truth verifies; whatever is changed in it is named."""

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_node.metrics.ranking import Ranking, evaluate
from bank_node.record.facts import read_facts, write_facts
from bank_node.report.report import read_run, write_report
from experiments.results.compare import compare
from experiments.verify.recompute import Row, recompute
from experiments.verify.verify import Held, receipts_held, require_verified, verify
from protocol.errors import IntegrityError, UsageError
from protocol.ledger import Ledger, export_receipt
from protocol.messages import Refusal, encode
from protocol.wire.envelope import Envelope
from tests.bank_node.report.simulated import simulate_run

RATES = [0.05, 0.3]


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its report, models and the receipts of both sides."""
    folder = tmp_path_factory.mktemp("honest")
    facts = simulate_run(folder, rows=3000, bootstrap=60, validation=0.3)
    rungs = []
    for rung in facts.rungs:
        model = folder / "models" / rung.name / rung.model
        model.mkdir(parents=True)
        (model / "trees.json").write_text(json.dumps({"rung": rung.name}), encoding="utf-8")
        digest = hashlib.sha256((model / "trees.json").read_bytes()).hexdigest()
        rungs.append(rung.model_copy(update={"model_sha256": digest}))
    write_facts(folder, facts.model_copy(update={"rungs": rungs}))
    write_report(folder)
    return folder


@pytest.fixture
def run(honest: Path, tmp_path: Path) -> Path:
    """A copy of it, to be tampered with."""
    return Path(shutil.copytree(honest, tmp_path / "run"))


def _edit(run: Path, change: Callable[[Any], None]) -> None:
    document = json.loads((run / "report.json").read_text(encoding="utf-8"))
    change(document)
    (run / "report.json").write_text(json.dumps(document), encoding="utf-8")


def test_an_honest_run_verifies(run: Path) -> None:
    assert verify(run) == []
    require_verified(run)


@pytest.mark.parametrize("weight", [False, True])
def test_weights_verify_too(tmp_path: Path, weight: bool) -> None:
    simulate_run(tmp_path, rows=1500, weight=weight, bootstrap=30)
    write_report(tmp_path)
    assert verify(tmp_path) == []


def test_a_changed_metric_is_found_both_ways(run: Path) -> None:
    def change(document: Any) -> None:
        document["rungs"][1]["metrics"]["auc"]["value"] += 1e-6

    _edit(run, change)
    found = verify(run)
    assert len(found) == 2
    assert "rungs[1].metrics.auc.value" in found[0]
    assert "by its definition" in found[1]
    with pytest.raises(IntegrityError) as caught:
        require_verified(run)
    assert caught.value.exit_code == 7


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda d: d["rungs"][3]["uplift"]["ks"].update(low=0.2), "rungs[3].uplift.ks.low"),
        (lambda d: d["rungs"][3]["swap_set"]["0.05"].update(bads_in=999), "rungs[3].swap_set.0.05.bads_in"),
        (lambda d: d["headline"].update(relative=2.0), "headline.relative"),
        (lambda d: d["headline"]["sentence"].update(en="All is well."), "headline.sentence.en"),
        (lambda d: d["placebo"][0].update(covers_zero=False), "placebo[0].covers_zero"),
        (lambda d: d.update(engine="plaintext"), "engine"),
    ],
)
def test_any_other_change_is_named(run: Path, change: Callable[[Any], None], where: str) -> None:
    _edit(run, change)
    found = verify(run)
    assert len(found) == 1
    assert f"at {where}," in found[0]


def test_changed_scores_are_found(run: Path) -> None:
    lines = (run / "scores.csv").read_text(encoding="utf-8").splitlines()
    index = next(i for i, line in enumerate(lines) if ",all,boosting,test,1," in line)
    lines[index] = lines[index].rpartition(",")[0] + ",0.999"
    (run / "scores.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert any("rungs[3].metrics.auc.value" in line for line in verify(run))


def test_a_changed_absence_is_found_both_ways(run: Path) -> None:
    def change(document: Any) -> None:
        document["rungs"][3]["absence"]["telecom"]["without"]["value"] += 1e-6

    _edit(run, change)
    found = verify(run)
    assert len(found) == 2
    assert "rungs[3].absence.telecom.without.value" in found[0]
    assert "without 'telecom', by its definition" in found[1]


def test_a_changed_calibration_is_found(run: Path) -> None:
    def change(document: Any) -> None:
        document["rungs"][3]["calibration"]["test"]["isotonic"]["ece"]["value"] += 1e-6

    _edit(run, change)
    found = verify(run)
    assert len(found) == 2
    assert "rungs[3].calibration.test.isotonic.ece.value" in found[0]
    assert "ece of the model 'boosting' of rung 'all' by isotonic, by its definition" in found[1]


def test_a_model_with_another_map_is_found(run: Path) -> None:
    path = run / "models" / "all" / "boosting" / "model.json"
    chosen = read_run(run, read_facts(run))[0].calibrations["all", "boosting"].chosen
    path.write_text(json.dumps({"calibration": json.loads(msgspec.json.encode(chosen))}), encoding="utf-8")
    assert verify(run) == []
    path.write_text(json.dumps({"calibration": None}), encoding="utf-8")
    assert verify(run) == [
        "the calibration of the model 'boosting' of rung 'all' is not the one that its validation rows give"
    ]


def test_a_changed_or_missing_model_is_found(run: Path) -> None:
    (run / "models" / "all" / "boosting" / "trees.json").write_text("{}", encoding="utf-8")
    (run / "models" / "bank" / "boosting" / "trees.json").unlink()
    assert verify(run) == [
        "the model 'boosting' of rung 'bank' is missing from models/",
        "the model 'boosting' of rung 'all' is not the one whose checksum the report gives",
    ]


def _receipt(run: Path, party: str, message: Refusal) -> None:
    """One entry: sent by the bank, or received by telecom."""
    peer = {"bank": "telecom", "telecom": "bank"}[party]
    ledger = Ledger(run / f"{party}.sqlite", party)
    envelope = Envelope("0" * 32, 0, message.KIND, encode(message))
    ledger.record("sent" if party == "bank" else "received", peer, envelope, message)
    ledger.close()
    (run / "receipts").mkdir(exist_ok=True)
    export_receipt(run / f"{party}.sqlite", run / "receipts" / f"{party}.jsonl", party)


def test_receipts_are_reconciled(run: Path, honest: Path, tmp_path: Path) -> None:
    shutil.copytree(honest, tmp_path / "other")
    for folder, heard in ((run, "a thing"), (tmp_path / "other", "another")):
        for party in ("bank", "telecom"):
            message = Refusal(code=3, party="bank", thing="a thing" if party == "bank" else heard, remedy="none")
            _receipt(folder, party, message)
    assert verify(run) == []
    held = receipts_held(run)
    assert held == Held((("bank", "telecom"),), ("bureau",))
    assert str(held) == "the receipts of bank and telecom agree; no receipt of bureau"
    (found,) = verify(tmp_path / "other")
    assert found.startswith("telecom: received another message than bank sent")


def test_one_receipt_alone_is_said_to_be_alone_and_must_hold_together(run: Path) -> None:
    assert str(receipts_held(run)) == "no two receipts were there to be compared; no receipt of bank, bureau, telecom"
    _receipt(run, "bank", Refusal(code=3, party="bank", thing="a thing", remedy="none"))
    assert verify(run) == []
    assert str(receipts_held(run)) == "no two receipts were there to be compared; no receipt of bureau, telecom"
    path = run / "receipts" / "bank.jsonl"
    path.write_text(path.read_text().replace('"refusal"', '"approval"'))
    (found,) = verify(run)
    assert "was changed" in found


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=2, max_size=60))
@settings(max_examples=100, deadline=None)
def test_the_second_opinion_agrees_with_the_first(pairs: list[tuple[int, int]]) -> None:
    label = np.array([bad for bad, _ in pairs], dtype=np.uint8)
    label[0] ^= label.min() == label.max()
    score = np.array([value / 6 for _, value in pairs])
    rows = sorted(
        (Row(int(bad), float(s), 1.0, f"{i:03d}", False) for i, (bad, s) in enumerate(zip(label, score, strict=True))),
        key=lambda row: (-row.score, row.tie),
    )
    ours = evaluate(Ranking.of(label, score), np.ones((1, len(label))), RATES, whole=True)
    assert recompute(rows, RATES) == pytest.approx({name: float(value[0]) for name, value in ours.items()}, abs=1e-12)


def test_compare_puts_runs_side_by_side(honest: Path, run: Path) -> None:
    def change(document: Any) -> None:
        document["rungs"] = document["rungs"][:4]

    _edit(run, change)
    table, values = compare([honest, run])
    assert len(table.columns) == 3
    assert json.loads(json.dumps(values)) == values
    first, second = values["runs"].values()
    assert first["headline"] == second["headline"]
    assert set(first["auc"]) - set(second["auc"]) == {"placebo / boosting"}
    with (honest / "scores.csv").open(encoding="utf-8") as file:
        assert {row["rung"] for row in csv.DictReader(file)} == {name.partition(" / ")[0] for name in first["auc"]}
    assert first["information_share"] == {"bureau": 0.347, "telecom": 0.291}
    assert first["bytes"]["all / boosting"] > first["bytes"]["bank / boosting"] == 0


def test_compare_names_a_folder_without_report(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"report\.json is missing"):
        compare([tmp_path])

"""Model folders: another version, alignment, contract or state is refused with one sentence; an export scores alike."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bank_node.cli import export, show
from bank_node.families.catalogue import load_model
from bank_node.models.folder import ABOUT, ModelFolder
from bank_node.models.trees import TreeModel
from bank_node.node.node import BankNode
from bank_node.partners.sessions import PartnerSessions
from bank_node.scoring.scoring import read_rows
from bank_node.settings.config import load_config as load_bank
from bank_node.trees.scorer import ask_for_bits, trees_of
from experiments.run.run import run
from partner_node.config import load_config as load_partner
from partner_node.node.service import PartnerService
from partner_node.policy.budgets import Budgets
from protocol.errors import (
    DataError,
    FedwarnError,
    IntegrityError,
    PeerError,
    RefusedError,
    TransportError,
    UsageError,
)
from protocol.job import load_job
from protocol.role import drive
from protocol.table import Table
from protocol.transport.in_process import InProcess
from tests.e2e.commands import edit
from tests.e2e.scored import trained_scores
from tests.e2e.tables import scenario


def quiet(phase: str, done: int, total: int) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, not to be changed."""
    folder = tmp_path_factory.mktemp("model")
    exact = scenario(folder, contract={"histogram_noise": 0.0})
    run(exact, folder / "out", fresh=False, progress=quiet, overrides={"transport": "in-process"})
    return folder / "out"


@pytest.fixture
def out(trained: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(trained, tmp_path / "out"))


def model_of(out: Path) -> Path:
    return out / "models" / "all" / "boosting"


def score(out: Path, without: frozenset[str] = frozenset()) -> Any:
    """Score the bank's own rows with the nodes of a run, in this process."""
    config, model = load_bank(out / "nodes/bank/node.toml"), load_model(model_of(out))
    table = read_rows(config, model, out / "nodes/bank/data.parquet")
    services = {p: PartnerService(load_partner(out / "nodes" / p / "node.toml")) for p in config.partners}
    try:
        with BankNode(config, InProcess("bank", {p: s.serve for p, s in services.items()}), quiet) as node:
            return node.score(model, table, set(without))
    finally:
        for service in services.values():
            service.__exit__()


def about(out: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads((model_of(out) / ABOUT).read_text())
    change(values)
    (model_of(out) / ABOUT).write_text(json.dumps(values))


def test_the_folder_says_what_it_is(trained):
    model = load_model(model_of(trained))
    report = json.loads((trained / "report.json").read_text())
    rung = next(rung for rung in report["rungs"] if rung["name"] == "all")
    assert model.about.sha256 == rung["model_sha256"] == model.model.sha256
    assert model.about.metrics["auc"] == pytest.approx(rung["metrics"]["auc"]["value"], abs=1e-12)
    assert set(model.about.contract) == set(model.about.alignment) == {"telecom", "bureau"}
    assert set(model.about.bins) == set(model.about.data_sha256) == {"bank", "telecom", "bureau"}
    assert model.about.calibration is None
    inner = [node for tree in trees_of(model).trees for node in tree if node.left >= 0]
    assert inner
    assert all(node.party and node.gain > 0 and node.cover > 0 for node in inner)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda a: a.update(schema=9), UsageError, "of version 9"),
        (lambda a: a.update(schema=1), UsageError, "of version 1"),
        (lambda a: a["alignment"].update(telecom="0" * 64), IntegrityError, "was changed"),
        (lambda a: a.update(unknown=1), IntegrityError, "cannot be read"),
    ],
)
def test_a_changed_or_foreign_folder_is_refused(out, change, error: type[FedwarnError], words):
    about(out, change)
    with pytest.raises(error, match=words):
        load_model(model_of(out))


def test_changed_trees_are_refused(out):
    trees = model_of(out) / TreeModel.FILE
    trees.write_text(trees.read_text().replace('"default_left":true', '"default_left":false', 1))
    with pytest.raises(IntegrityError, match="was changed"):
        load_model(model_of(out))


@pytest.mark.parametrize("party", ["bank", "telecom"])
def test_a_model_of_another_contract_is_refused(out, party):
    edit(out / "nodes" / party / "node.toml", lambda v: v["contract"].update(min_rows_per_bin=30))
    with pytest.raises(RefusedError, match="trained under another contract") as caught:
        score(out)
    assert "--absent telecom=missing" in str(caught.value) or "--absent bureau=missing" in str(caught.value)


def test_a_model_of_another_alignment_setting_is_refused(out):
    for party in ("bank", "telecom", "bureau"):
        edit(out / "nodes" / party / "node.toml", lambda v: v.update(alignment="shared"))
    with pytest.raises(PeerError, match="trained with alignment 'one-sided'"):
        score(out)


def test_a_model_of_another_bank_is_refused(out):
    model = load_model(model_of(out))
    ModelFolder(msgspec.structs.replace(model.about, bank="another"), model.model).write(model_of(out))
    with pytest.raises(UsageError, match="the model is of 'another'"):
        score(out)


def test_a_model_of_another_pool_or_state_is_refused(out):
    model = load_model(model_of(out))
    changed = msgspec.structs.replace(model.about, pool={**model.about.pool, "telecom": "0" * 64})
    ModelFolder(changed, model.model).write(model_of(out))
    with pytest.raises(PeerError, match="has no thresholds of this model"):
        score(out)
    ModelFolder(model.about, model.model).write(model_of(out))
    shutil.rmtree(out / "nodes/telecom/state/pools")
    with pytest.raises(PeerError, match="has no thresholds of this model"):
        score(out)
    assert len(score(out, frozenset({"telecom"})).ids) > 0


def test_what_a_partner_keeps_is_checked(out):
    kept = list((out / "nodes/telecom/state/pools").glob("*.json"))
    assert kept
    for path in kept:
        path.write_text(path.read_text().replace('"left":[0', '"left":[1'))
    with pytest.raises(IntegrityError, match="keeps of the model was changed"):
        score(out)
    for path in kept:
        path.write_text('{"data": "", "handles": []}')
    with pytest.raises(PeerError, match="as another version wrote it"):
        score(out)
    for path in kept:
        path.write_text("{")
    with pytest.raises(IntegrityError, match="cannot be read"):
        score(out)


@pytest.mark.parametrize(
    ("columns", "error", "how"),
    [
        (["towers"], RefusedError, r"was approved for 2 column.s. that the table no longer has"),
        (["calls", "towers", "brand"], DataError, "a column of the model is of another kind"),
    ],
)
def test_a_partner_whose_table_has_changed_refuses_and_names_no_column(out, columns, error, how):
    def change(values):
        values["data"].update(columns=columns, categorical=["calls"] if "calls" in columns else "auto")

    edit(out / "nodes/telecom/node.toml", change)
    with pytest.raises(error, match=how) as caught:
        score(out)
    assert "calls" not in str(caught.value)


def test_a_partner_that_has_revoked_the_model_refuses_until_it_is_done_without(out):
    pool = load_model(model_of(out)).about.pool["telecom"]
    edit(out / "nodes/telecom/node.toml", lambda v: v["policy"].update(revoked_pools=[pool]))
    with pytest.raises(RefusedError, match="has revoked the model") as caught:
        score(out)
    assert caught.value.exit_code == 5
    assert "--absent telecom=missing" in str(caught.value)
    alone = score(out, frozenset({"telecom"}))
    assert not any("telecom" in used for used in alone.parties_used)


def test_a_partner_that_is_down_ends_the_command_until_it_is_done_without(out):
    config, model = load_bank(out / "nodes/bank/node.toml"), load_model(model_of(out))
    table = read_rows(config, model, out / "nodes/bank/data.parquet")

    def down(*_: Any) -> bytes:
        raise TransportError("telecom", "is not there", "start its node")

    with PartnerService(load_partner(out / "nodes/bureau/node.toml")) as bureau:
        transport = InProcess("bank", {"telecom": down, "bureau": bureau.serve})
        with BankNode(config, transport, quiet) as node:
            with pytest.raises(TransportError, match="--absent telecom=missing") as caught:
                node.score(model, table, set())
            assert caught.value.exit_code == 6
            assert len(node.score(model, table, {"telecom"}).ids) == table.rows


def test_releases_are_counted_once_a_model_and_alignment_and_limited(tmp_path):
    budgets = Budgets(tmp_path / "budgets.sqlite", "telecom")
    for label in ("one", "two", "one"):
        budgets.spend_release("bank", "alignment", label, limit=2)
    with pytest.raises(RefusedError, match="2 of 2 releases on this alignment are spent"):
        budgets.spend_release("bank", "alignment", "three", limit=2)
    budgets.spend_release("bank", "another alignment", "three", limit=2)
    budgets.close()


# -- a second implementation ------------------------------------------------------------------------------------


def second_implementation(model: dict[str, Any], rows: list[dict[str, Any]], answers: dict[str, Any]) -> list[float]:
    """Scores from the exported JSON alone, with the partners' answers: bits a handle, and each row's place, or -1."""

    def bit(packed: bytes, place: int) -> bool:
        return bool(packed[place >> 3] >> (7 - (place & 7)) & 1)

    def own(split: dict[str, Any], value: Any) -> str:
        if "below" not in split:
            return "left" if value in split["left"] else "right" if value in split["right"] else "missing"
        if value is None or math.isnan(value):
            return "missing"
        return "left" if split["below"] is None or value < split["below"] else "right"

    def partner(answer: dict[str, Any], handle: int, row: int) -> str:
        place, (left, missing) = answer["places"][row], answer["bits"][handle]
        if place < 0 or bit(missing, place):
            return "missing"
        return "left" if bit(left, place) else "right"

    def leaf(tree: list[dict[str, Any]], row: int) -> float:
        node = tree[0]
        while "value" not in node:
            if node["party"] == model["bank"]:
                split = model["bank_splits"][node["handle"]]
                side = own(split, rows[row][split["column"]])
            else:
                side = partner(answers[node["party"]], node["handle"], row)
            left = node["default_left"] if side == "missing" else side == "left"
            node = tree[node["left"] if left else node["right"]]
        return float(node["value"])

    margins = []
    for row in range(len(rows)):
        margin = model["base_margin"]
        for tree in model["trees"]:
            margin += leaf(tree, row)
        margins.append(margin)
    return list(1.0 / (1.0 + np.exp(-np.array(margins))))


def rows_of(table: Table) -> list[dict[str, Any]]:
    values = {
        c.name: c.numbers.tolist() if c.kind == "number" else [(*c.categories, None)[k] for k in c.codes]
        for c in table.columns
    }
    return [{name: column[k] for name, column in values.items()} for k in range(table.rows)]


def test_a_second_implementation_scores_the_export_alike(out, tmp_path):
    export(model_of(out), tmp_path / "model.json")
    config, model = load_bank(out / "nodes/bank/node.toml"), load_model(model_of(out))
    table = read_rows(config, model, out / "nodes/bank/data.parquet")
    services = {p: PartnerService(load_partner(out / "nodes" / p / "node.toml")) for p in config.partners}
    transport = InProcess("bank", {p: s.serve for p, s in services.items()})
    with BankNode(config, transport, quiet) as node:
        sessions = PartnerSessions(config, table, node._session.exchange)
        sessions.agree(list(config.partners), load_job(out / "job.toml").sha256)
        alignments = sessions.align(list(config.partners))
        opened = drive(ask_for_bits(trees_of(model), model.about.pool, alignments), sessions.exchange)
    for service in services.values():
        service.__exit__()
    answers = {
        partner: {
            "bits": [(b.left.tobytes(), b.missing.tobytes()) for b in answer.bits],
            "places": alignments[partner].positions.tolist(),
        }
        for partner, answer in opened.items()
    }
    exported = json.loads((tmp_path / "model.json").read_text())
    assert {node.get("party") for tree in exported["trees"] for node in tree} >= {"bank", "telecom", "bureau"}
    scores = second_implementation(exported, rows_of(table), answers)
    wanted = trained_scores(out, "all")
    assert dict(zip((i.decode() for i in table.ids), scores, strict=True)) == wanted


def test_show_prints_parties_and_trees(trained, capsys):
    facts = show(model_of(trained), trees=2)
    printed = capsys.readouterr().out
    assert set(facts["parties"]) == {"bank", "telecom", "bureau"}
    assert sum(line["gain_share"] for line in facts["parties"].values()) == pytest.approx(1)
    assert "tree 0" in printed
    assert "tree 1" in printed
    assert "tree 2" not in printed
    assert "telecom: split " in printed
    assert facts["sha256"] in printed.replace("\n", "")

"""`bank-node score` between processes: what a partner or a model does not admit ends the command with its own code."""

import csv
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from msgspec import structs

from bank_node.families.catalogue import load_model
from protocol.ledger import read_ledger
from tests.e2e.commands import ByHand, Ended, call, edit, end, refused, start, wait_for
from tests.e2e.test_bad_input import small


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> ByHand:
    """A bank and a telecom operator, and a model of both."""
    folder = tmp_path_factory.mktemp("score")
    made = call("experiments", "new", "nodes", small(folder), "--out", folder / "run")
    assert made.code == 0, made
    hand = ByHand(folder / "run", tmp_path_factory.mktemp("nodes") / "run")
    with hand.serving():
        ended = hand.train()
    assert ended.code == 0, ended
    return hand


def score(hand: ByHand, out: Path, *options: object, rung: str = "bank+telecom") -> Ended:
    model = hand.out / "models" / rung / "boosting"
    return hand.bank("score", "--model", model, "--data", hand.node("bank") / "data.parquet", "--out", out, *options)


def entries(hand: ByHand) -> int:
    reader = read_ledger(hand.node("bank") / "state/ledger.sqlite")
    try:
        return len(reader.entries())
    finally:
        reader.close()


def trained_scores(hand: ByHand, rung: str) -> dict[str, str]:
    with (hand.out / "scores.csv").open(encoding="utf-8") as file:
        return {row["id"]: row["score"] for row in csv.DictReader(file) if row["rung"] == rung}


def written(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8") as file:
        return {row["id"]: row["score"] for row in csv.DictReader(file)}


def test_revoked_down_and_done_without(trained: ByHand, tmp_path: Path) -> None:
    refused(score(trained, tmp_path / "s.csv"), 6, "telecom", "--absent telecom=missing")
    (pool,) = load_model(trained.out / "models/bank+telecom/boosting").about.pool.values()
    with trained.serving():
        assert score(trained, tmp_path / "s.csv").code == 0
    settings = trained.node("telecom") / "node.toml"
    edit(settings, lambda v: v.setdefault("policy", {}).update(revoked_pools=[pool]))
    with trained.serving():
        sentence = refused(score(trained, tmp_path / "t.csv"), 5, "telecom", "has revoked the model", "=missing")
        assert sentence.count("--absent") == 1
        assert not (tmp_path / "t.csv").exists()
        assert score(trained, tmp_path / "t.csv", "--absent", "telecom=missing").code == 0
    edit(settings, lambda v: v["policy"].pop("revoked_pools"))
    assert written(tmp_path / "s.csv") == trained_scores(trained, "bank+telecom") != written(tmp_path / "t.csv")


def test_only_who_is_needed_is_asked(trained: ByHand, tmp_path: Path) -> None:
    """The partner is down, and the model is the bank's own."""
    before = entries(trained)
    assert score(trained, tmp_path / "s.csv", rung="bank").code == 0
    assert written(tmp_path / "s.csv") == trained_scores(trained, "bank")
    assert entries(trained) == before > 0


def test_a_folder_that_is_not_this_nodes(trained: ByHand, tmp_path: Path) -> None:
    model = trained.out / "models/bank+telecom/boosting"

    def changed(name: str, file: str, old: str, new: str) -> Path:
        shutil.copytree(model, tmp_path / name)
        text = (tmp_path / name / file).read_text(encoding="utf-8")
        (tmp_path / name / file).write_text(text.replace(old, new, 1), encoding="utf-8")
        assert text != (tmp_path / name / file).read_text(encoding="utf-8")
        return tmp_path / name

    def ended(folder: Path, **keys: Any) -> Ended:
        shutil.copytree(trained.node("bank"), tmp_path / "node", dirs_exist_ok=True)
        config = edit(tmp_path / "node/node.toml", lambda v: v.update(keys))
        rows = trained.node("bank") / "data.parquet"
        out = tmp_path / "s.csv"
        return call("bank_node", "score", "--model", folder, "--data", rows, "--out", out, "--config", config)

    tampered = changed("tampered", "trees.json", '"default_left":true', '"default_left":false')
    refused(ended(tampered), 7, "tampered was changed")
    refused(ended(changed("old", "model.json", '"schema": 3', '"schema": 1')), 2, "is of version 1")
    folder = load_model(model)
    replace(folder, about=structs.replace(folder.about, bank="another bank")).write(tmp_path / "theirs")
    refused(ended(tmp_path / "theirs"), 2, "the model is of 'another bank'")
    refused(ended(model, alignment="shared"), 4, "trained with alignment 'one-sided'", "set to 'shared'")
    assert not (tmp_path / "s.csv").exists()


def test_files_are_kept_apart(trained: ByHand, tmp_path: Path) -> None:
    """The rows are not written over; a folder that is not there is named."""
    rows = trained.node("bank") / "data.parquet"
    refused(score(trained, rows, rung="bank"), 2, "data.parquet would replace another file of this command")
    refused(score(trained, tmp_path / "no/s.csv"), 2, "the folder of", "is not there")


def test_an_interruption_leaves_no_file(trained: ByHand, tmp_path: Path) -> None:
    """Ctrl-C while the output is being written."""
    rows, out = tmp_path / "rows.csv", tmp_path / "out"
    out.mkdir()
    made = 'i AS id, random() AS "own a", random() AS "own b"'
    duckdb.sql(f"COPY (SELECT {made} FROM range(400000) t(i)) TO '{rows}' (HEADER)")
    model, config = trained.out / "models/bank/boosting", trained.node("bank") / "node.toml"
    shown = "--quiet", "--json", "--config", config
    process = start("bank_node", "score", "--model", model, "--data", rows, "--out", out / "s.csv", *shown)
    wait_for(lambda: (out / "s.csv.part").exists() or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    refused(end(process), 130, "it was interrupted")
    assert list(out.iterdir()) == []


def test_a_model_of_another_contract(trained: ByHand, tmp_path: Path) -> None:
    settings = trained.node("telecom") / "node.toml"
    edit(settings, lambda v: v.setdefault("contract", {}).update(min_rows_per_bin=40))
    with trained.serving():
        refused(score(trained, tmp_path / "s.csv"), 5, "trained under another contract", "--absent telecom=missing")

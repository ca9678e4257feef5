"""Scores of a finished run: its training's, and those of rows scored with its nodes as they stand on disk."""

import csv
from collections.abc import Set
from contextlib import ExitStack
from pathlib import Path

from bank_node.data.rows import open_rows
from bank_node.families.catalogue import load_model
from bank_node.node.node import BankNode
from bank_node.settings.config import load_config as load_bank
from partner_node.config import load_config as load_partner
from partner_node.node.service import PartnerService
from protocol.transport.in_process import InProcess


def scored(out: Path, rung: str, data: Path, without: Set[str] = frozenset()) -> dict[str, float]:
    """Score by id, as `bank-node score` writes it beside the data. The model is the run's `glm`.

    without: partners that are neither started nor asked.
    """
    config, model = load_bank(out / "nodes/bank/node.toml"), load_model(out / "models" / rung / "glm")
    target = data.parent / "scored.csv"
    with ExitStack() as stack:
        serve = {}
        for partner in set(config.partners) - without:
            service = PartnerService(load_partner(out / "nodes" / partner / "node.toml"))
            serve[partner] = stack.enter_context(service).serve
        node = stack.enter_context(BankNode(config, InProcess("bank", serve), lambda *_: None))
        with open_rows(config, model, data, data.parent) as rows:
            node.score_file(model, rows, target, set(without))
    with target.open() as file:
        return {row["id"]: float(row["score"]) for row in csv.DictReader(file)}


def trained_scores(out: Path, rung: str) -> dict[str, float]:
    """Score by id of every row of the run."""
    with (out / "scores.csv").open() as file:
        return {row["id"]: float(row["score"]) for row in csv.DictReader(file) if row["rung"] == rung}

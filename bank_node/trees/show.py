"""A model of trees for the eye, and in the exported file: what it is, what each party brings to it, and its trees."""

from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.tree import Tree

from bank_node.models.folder import ModelFolder
from bank_node.models.trees import BankSplit, TreeModel, TreeNode
from bank_node.trees.scorer import trees_of

_SHOWN = 3
"""Categories named a split."""


def summary(model: ModelFolder) -> dict[str, Any]:
    """What `--json` prints: facts of the model, and by party its splits, nodes and share of the gain."""
    about, trees = model.about, trees_of(model)
    nodes = [node for tree in trees.trees for node in tree if node.left >= 0]
    importance = trees.importance()
    parties = {
        party: {
            "splits": len({node.handle for node in nodes if node.party == party}),
            "nodes": sum(node.party == party for node in nodes),
            "gain_share": importance[party],
            "bins": about.bins.get(party, ""),
            "contract": about.contract.get(party, ""),
        }
        for party in trees.parties
    }
    return {
        "kind": about.kind, "model": about.model, "rung": about.rung, "placebo": about.placebo,
        "objective": trees.objective, "trees": len(trees.trees), "leaves": _leaves(trees), "sha256": about.sha256,
        "job_sha256": about.job_sha256, "metrics": about.metrics, "parties": parties,
        "calibration": msgspec.to_builtins(about.calibration),
    }  # fmt: skip


def _leaves(trees: TreeModel) -> int:
    return sum(node.left < 0 for tree in trees.trees for node in tree)


def as_table(model: ModelFolder) -> Table:
    """One line a party."""
    facts = summary(model)
    title = f"{facts['model']} of rung {facts['rung']}: {facts['trees']} trees, {facts['leaves']} leaves"
    if "auc" in facts["metrics"]:
        title += f", test AUC {facts['metrics']['auc']:.4f}"
    found = model.about.calibration
    caption = f"calibrated by {found.method} on {found.rows:,} rows" if found else "not calibrated"
    table = Table(title=title, caption=f"{caption}, sha256 {facts['sha256']}", box=SIMPLE_HEAD)
    table.add_column("party")
    for name in ("splits", "nodes", "share of gain"):
        table.add_column(name, justify="right")
    table.add_column("bins")
    table.add_column("contract")
    for party, line in facts["parties"].items():
        counts = f"{line['splits']:,}", f"{line['nodes']:,}", f"{100 * line['gain_share']:.1f}%"
        table.add_row(party, *counts, line["bins"][:12], line["contract"][:12])
    return table


def as_tree(model: ModelFolder, number: int) -> Tree:
    """One tree, from its root; a node says whose split it is, its gain and its cover."""
    nodes = trees_of(model).trees[number]
    shown = Tree(f"tree {number}")
    waiting = [(shown, 0, "")]
    while waiting:
        above, place, side = waiting.pop(0)
        node = nodes[place]
        branch = above.add(f"{side}{_label(model, node)}", highlight=False)
        if node.left >= 0:
            waiting += [(branch, node.left, "yes: "), (branch, node.right, "no: ")]
    return shown


def _label(model: ModelFolder, node: TreeNode) -> str:
    size = f"cover {node.cover:.4g}, {node.rows:,} rows"
    if node.left < 0:
        return f"{node.value:+.5f}  ({size})"
    own = node.party == model.about.bank
    what = _of_bank(trees_of(model).bank_splits[node.handle]) if own else f"split {node.handle}"
    missing = "yes" if node.default_left else "no"
    return f"{node.party}: {what}?  (gain {node.gain:.4g}, {size}, missing: {missing})"


def _of_bank(split: BankSplit) -> str:
    if split.among or split.others:
        more = f" and {len(split.among) - _SHOWN} more" if len(split.among) > _SHOWN else ""
        return f"{split.column} is one of {', '.join(split.among[:_SHOWN])}{more}"
    return f"{split.column} {'is there' if split.below is None else f'< {split.below:g}'}"


def exported_trees(trees: TreeModel) -> dict[str, Any]:
    """Of the exported file. A partner's splits are handles: what a row's sides at them are only it can answer."""
    return {
        "base_margin": trees.base,
        "bank_splits": [_split(split) for split in trees.bank_splits],
        "trees": [[_node(node) for node in tree] for tree in trees.trees],
    }


def _split(split: BankSplit) -> dict[str, Any]:
    if split.among or split.others:
        return {"column": split.column, "left": list(split.among), "right": list(split.others)}
    return {"column": split.column, "below": split.below}


def _node(node: TreeNode) -> dict[str, Any]:
    found = {"cover": node.cover, "rows": node.rows}
    if node.left < 0:
        return {"value": node.value, **found}
    names = ("party", "handle", "default_left", "left", "right", "gain")
    return {**{name: getattr(node, name) for name in names}, **found}

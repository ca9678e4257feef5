"""The bank's part of a model as one JSON file that another implementation can score (docs/model-folder.md)."""

import json
from typing import Any, Final

import msgspec

from bank_node.models.folder import ModelFolder
from bank_node.models.linear import LinearModel
from bank_node.models.show_linear import exported_terms
from bank_node.models.trees import BankSplit, TreeModel, TreeNode

FORMAT: Final = "fedwarn-model"
VERSION: Final = 1
LINKS: Final = {
    "binary:logistic": "sigmoid",
    "reg:squarederror": "identity",
    "count:poisson": "exp",
    "reg:tweedie": "exp",
    "multi:softprob": "softmax",
}
"""By objective: what makes a prediction of a margin. Under softmax there is a margin a class: `base_margin` is a list,
and tree t adds to the margin of class t modulo their number."""


def exported_text(model: ModelFolder) -> bytes:
    """The file."""
    return json.dumps(exported(model), ensure_ascii=False, indent=1).encode() + b"\n"


def exported(model: ModelFolder) -> dict[str, Any]:
    """The document. A partner's splits are handles: what a row's sides at them are only the partner can answer."""
    about, kept = model.about, model.model
    return {
        "format": FORMAT,
        "version": VERSION,
        "kind": about.kind,
        "model_sha256": about.sha256,
        "objective": kept.objective,
        "link": LINKS[kept.objective],
        "bank": about.bank,
        "handles": about.handles,
        **(exported_terms(kept) if isinstance(kept, LinearModel) else _exported_trees(kept)),
        "calibration": msgspec.to_builtins(about.calibration),
        **({} if about.scorecard is msgspec.UNSET else {"scorecard": about.scorecard}),
    }


def _exported_trees(trees: TreeModel) -> dict[str, Any]:
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

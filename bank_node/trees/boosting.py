"""The bank's half of boosted trees: a script that grows trees level by level over several parties' columns.

Read it from `boost` downwards: a model is trees, a tree is levels (`boosting_level.py`), a level is one exchange for
the sums of its nodes, a choice of splits (`choosing.py`), and one exchange for the bits of splits not known yet.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec.structs import replace

from bank_node.family.objective import Base, Logistic
from bank_node.models.trees import HandleBook, TreeModel, TreeNode
from bank_node.trees.early_stopping import EarlyStopping
from bank_node.trees.interactions import Interactions
from bank_node.trees.leaf_values import Leaves
from bank_node.trees.level import choose_level, sum_level
from bank_node.trees.scorer import handles_of
from bank_node.trees.target_leakage import LeakingColumn, leaking_columns
from bank_node.trees.task import Boosted, Task
from bank_node.trees.tree_builder import TreeBuilder
from bank_node.trees.tree_columns import TreeColumns
from protocol.algorithms.boosting import Handles, Kept, Split
from protocol.draws import draw
from protocol.errors import DataError
from protocol.he.plan import Plan, make_plan
from protocol.messages import F64
from protocol.role import Script, ask


def boost(task: Task) -> Script[Boosted]:
    """Train one model.

    Raises:
        DataError: a direction for categories; validation rows that do not admit the metric.
        IntegrityError: a partner's sums do not add up to the node's totals.
        RefusedError: a partner's budget is spent, or the plaintext budget does not fit.
    """
    params, objective = task.params, task.objective
    task.columns.require_ordered(params, task.bank)
    base = _base(task)
    margin = _constant(base, len(task.train))
    book, trees, queries, stopping = HandleBook(), [], 0, _early_stopping(task)
    leaking: list[LeakingColumn] = []
    margins = [margin]
    for number in range(params.n_estimators):
        grown, values, asked = yield from _grow_round(task, number, margin, book, leaking)
        margin = margin + values
        trees += grown
        queries += asked
        task.progress(number + 1, params.n_estimators)
        if stopping:
            margins.append(margin)
            if stopping.enough(margin):
                break
    if stopping:
        trees, margin = trees[: stopping.best * objective.outputs], margins[stopping.best]
    model = _model(task, base, book, trees)
    handles = {p.name: book.splits(p.name)[: handles_of(model, p.name)] for p in task.partners}
    kept = yield from _leave_handles(task, handles)
    return Boosted(model, margin, queries, handles, kept, tuple(leaking))


def _base(task: Task) -> Base:
    """The margin before the first tree: as declared, or the best constant of the rows trained on."""
    declared = task.params.base_score
    return task.objective.base(task.train.astype(float)) if declared is None else task.objective.margin_of(declared)


def _model(task: Task, base: Base, book: HandleBook, trees: Sequence[tuple[TreeNode, ...]]) -> TreeModel:
    """Trees over handles; what stands behind the bank's own is in the model, by its values."""
    return TreeModel(
        objective=task.objective.name,
        base=base,
        parties=(task.bank, *(p.name for p in task.partners)),
        bank_splits=tuple(task.columns.split(s) for s in book.splits(task.bank)),
        trees=tuple(trees),
    )


def _constant(base: Base, rows: int) -> F64:
    """The margin of every row before the first tree, shape (rows,), or (rows, classes)."""
    return np.tile(base, (rows, 1)) if isinstance(base, tuple) else np.full(rows, base)


def _early_stopping(task: Task) -> EarlyStopping | None:
    """What early stopping goes by; None where there is none."""
    params = task.params
    if not params.early_stopping_rounds:
        return None
    if not task.validation.any():
        raise DataError(
            task.bank, "has no validation rows, and early stopping judges on them",
            "give the split a validation part, or set early_stopping_rounds to 0",
        )  # fmt: skip
    stopping = EarlyStopping(
        params.watched, task.objective, task.validation, params.early_stopping_rounds, params.tweedie_variance_power
    )
    stopping.require_rows(task.bank)
    return stopping


def _leave_handles(task: Task, handles: Mapping[str, tuple[Split, ...]]) -> Script[dict[str, Kept]]:
    """Let every partner keep what stands behind its handles as a pool, so that it can score the model."""
    messages = {
        p.name: Handles(layout=p.layout, job=task.label.job, run=p.run, splits=handles[p.name]) for p in task.partners
    }
    kept = yield from ask(messages, Kept)
    for view in task.partners:
        view.known.information_share = kept[view.name].information_share
    return kept


Grown = tuple[list[tuple[TreeNode, ...]], F64, int]
"""Trees, what they add to the margin of every row, and the vectors that were asked."""


def _grow_round(task: Task, number: int, margin: F64, book: HandleBook, leaking: list[LeakingColumn]) -> Script[Grown]:
    """One round: a tree; or a tree a class, all from the gradients at the same margin.

    suspected: is given the columns of the very first tree that rank the rows as their label, where that is 0 or 1.
    """
    g, h = task.objective.gradients(margin)
    if not (np.isfinite(g).all() and np.isfinite(h).all()):
        raise DataError(
            task.bank, "its predictions grew beyond all bounds", "lower learning_rate or set max_delta_step"
        )
    if margin.ndim == 1:
        looks = number == 0 and isinstance(task.objective, Logistic)
        rate = float(task.objective.predict(margin[:1])[0]) if looks else None
        tree, values, asked = yield from _grow(task, 0, number, g, h, book, rate, leaking)
        return [tree], values, asked
    trees, columns, total = [], [], 0
    for k in range(task.objective.outputs):
        tree, values, asked = yield from _grow(task, k, number, g[:, k].copy(), h[:, k].copy(), book)
        trees.append(tree)
        columns.append(values)
        total += asked
    return trees, np.stack(columns, axis=1), total


def _grow(
    task: Task,
    k: int,
    number: int,
    g: F64,
    h: F64,
    book: HandleBook,
    rate: float | None = None,
    leaking: list[LeakingColumn] | None = None,
) -> Script[tuple[tuple[TreeNode, ...], F64, int]]:
    """One tree of class k: (nodes, value of every row, vectors asked). number: of the round.

    rate: of bads, the same for every row, where suspicious columns are looked for.
    """
    builder = _prepare(task, k, number, g, h)
    root = builder.root(np.flatnonzero(builder.sampled), np.arange(len(g)))
    nodes, level, asked = [root], [root], 0
    for depth in range(task.params.max_depth):
        asked += yield from sum_level(task, builder, level)
        if depth == 0 and rate is not None and leaking is not None:
            leaking += leaking_columns(builder, root, rate, task.histogram_noise)
        yield from choose_level(task, builder, level)
        level = [child for node in level if node.choice for child in builder.divide(node)]
        nodes += level
        if not level or depth + 1 == task.params.max_depth:
            break
    with task.clock("score"):
        values = np.zeros(len(g))
        for node in nodes:
            if node.choice is None:
                node.value = task.params.learning_rate * builder.weight(node)
                values[node.rows] = node.value
    return builder.export(nodes, book), values, asked


def _prepare(task: Task, k: int, number: int, g: F64, h: F64) -> TreeBuilder:
    """Quantise the gradients of one tree, and pick its rows and columns."""
    params, seed = task.params, task.seed
    tree = number * task.objective.outputs + k
    sampled = task.train
    if params.subsample < 1:
        sampled = sampled & (draw(seed, "rows", tree).random(len(g)) < params.subsample)
    g, h = np.where(sampled, g, 0.0), np.where(sampled, h, 0.0)
    noise = task.histogram_noise if task.partners else 0.0
    plan: Plan = make_plan(g[sampled], h[sampled], noise, task.bank)
    uniforms = draw(seed, "rounding", tree).random((2, len(g)))
    quantised = np.stack((plan.g.quantise(g, uniforms[0]), plan.h.quantise(h, uniforms[1])), axis=1)
    directions = task.columns.directions(params)
    values = quantised * sampled[:, None]
    builder = TreeBuilder(
        task.bank, params, plan, values, sampled, task.columns.bins,
        TreeColumns.draw(
            task.columns.rules, directions, task.partners, params.colsample_bytree, draw(seed, "columns", tree)
        ),
        task.partners,
        replace(task.label, output=k, tree=number),
        task.min_rows_per_node,
        _interactions(task),
        Leaves(params, any(directions) or any(shape.increasing for p in task.partners for shape in p.columns)),
        {p.name: plan.packing(values[p.held], noise, task.bank) for p in task.partners},
    )  # fmt: skip
    return builder


def _interactions(task: Task) -> Interactions:
    partners = {p.name: len(p.columns) for p in task.partners}
    return Interactions.of(task.params.interaction_constraints, task.bank, task.columns.names, partners)

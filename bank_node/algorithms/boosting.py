"""The bank's half of boosted trees: a script that grows trees level by level over several parties' columns.

Read it from `boost` downwards: a model is trees, a tree is levels, a level is one exchange for the sums of its
nodes, a choice of splits, and one exchange for the bits of splits not known yet.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bank_node.algorithms.disguise import Suspect, suspects
from bank_node.algorithms.growing import Node, Workspace
from bank_node.algorithms.interactions import Interactions
from bank_node.algorithms.leaves import Leaves
from bank_node.algorithms.objective import Base, Logistic, Objective
from bank_node.algorithms.partner_view import PartnerView
from bank_node.algorithms.stopping import Watch
from bank_node.algorithms.tree_columns import TreeColumns
from bank_node.models.trees import BankSplit, HandleBook, TreeModel, TreeNode
from bank_node.timing import Stopwatch
from protocol.algorithms.binning import CategoryRule, Rule
from protocol.algorithms.boosting import (
    Handles,
    Kept,
    NodeSplitQuery,
    Split,
    SplitQuery,
    Splits,
    Sums,
    SumsQuery,
)
from protocol.algorithms.parameters import BoostingParams
from protocol.draws import draw
from protocol.errors import DataError, IntegrityError
from protocol.he.base import Sealed
from protocol.he.plan import Plan, make_plan
from protocol.messages import F64, I64, U8
from protocol.role import Script, ask

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class BankColumns:
    """The bank's own columns, binned. names, rules: d of them. bins: shape (n, d), uint8."""

    names: tuple[str, ...]
    rules: tuple[Rule, ...]
    bins: U8

    def directions(self, params: BoostingParams) -> tuple[int, ...]:
        """Which way the margin may go as each column grows: 1 up, -1 down, 0 free."""
        return tuple(params.monotone_constraints.get(name, 0) for name in self.names)

    def require_ordered(self, params: BoostingParams, bank: str) -> None:
        """Raises: DataError: a column of categories was given a direction."""
        for name, rule, direction in zip(self.names, self.rules, self.directions(params), strict=True):
            if direction and isinstance(rule, CategoryRule):
                thing = f"column {name!r} holds categories, which have no direction"
                raise DataError(bank, thing, "take it out of monotone_constraints")

    def split(self, split: Split) -> BankSplit:
        """A split by its values, as the model file keeps it."""
        rule, name = self.rules[split.column], self.names[split.column]
        if isinstance(rule, CategoryRule):
            among = {category for b in split.left for category in rule.groups[b]}
            others = {category for group in rule.groups for category in group} - among
            return BankSplit(name, among=tuple(sorted(among)), others=tuple(sorted(others)))
        whole = len(split.left) == rule.ordinary
        return BankSplit(name, below=None if whole else float(rule.cuts[len(split.left) - 1]))


@dataclass(frozen=True)
class Task:
    """One training: who is called what, the rows, the parameters and the limits.

    label: "job/rung/model/fold", the prefix of all query labels. bank: the bank's party name.
    train, validation: which of the n rows are fitted on, and judged on for early stopping, shape (n,).
    min_rows_per_node: smaller nodes are not queried. histogram_noise: that partners add.
    """

    label: str
    bank: str
    objective: Objective
    train: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    validation: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    params: BoostingParams
    seed: int
    min_rows_per_node: int
    histogram_noise: float
    columns: BankColumns
    partners: tuple[PartnerView, ...]
    progress: Progress = lambda done, total: None
    clock: Stopwatch = field(default_factory=Stopwatch)


@dataclass(frozen=True)
class Boosted:
    """What a training ends with.

    margin: of every row, shape (n,), or (n, classes). queries: vectors sent to each partner.
    suspects: columns that may be the label in disguise.
    """

    model: TreeModel
    margin: F64
    queries: int
    handles: Mapping[str, tuple[Split, ...]]
    kept: Mapping[str, Kept]
    suspects: tuple[Suspect, ...] = ()


def boost(task: Task) -> Script[Boosted]:
    """Train one model.

    Raises:
        DataError: a direction for categories; validation rows that do not admit the metric.
        IntegrityError: a partner's sums do not add up to the node's totals.
        RefusedError: a partner's budget is spent, or the plaintext budget does not fit.
    """
    params, objective = task.params, task.objective
    task.columns.require_ordered(params, task.bank)
    base = (
        objective.base(task.train.astype(float))
        if params.base_score is None
        else objective.margin_of(params.base_score)
    )
    margin = _constant(base, len(task.train))
    book, trees, queries, watch = HandleBook(), [], 0, _watch(task)
    suspected: list[Suspect] = []
    margins = [margin]
    for number in range(params.n_estimators):
        grown, values, asked = yield from _grow_round(task, number, margin, book, suspected)
        margin = margin + values
        trees += grown
        queries += asked
        task.progress(number + 1, params.n_estimators)
        if watch:
            margins.append(margin)
            if watch.enough(margin):
                break
    if watch:
        trees, margin = trees[: watch.best * objective.outputs], margins[watch.best]
    model = TreeModel(
        objective=task.objective.name,
        base=base,
        parties=(task.bank, *(p.name for p in task.partners)),
        bank_splits=tuple(task.columns.split(s) for s in book.splits(task.bank)),
        trees=tuple(trees),
    )
    handles = {p.name: book.splits(p.name) for p in task.partners}
    kept = yield from _leave_handles(task, model, handles)
    return Boosted(model, margin, queries, handles, kept, tuple(suspected))


def _constant(base: Base, rows: int) -> F64:
    """The margin of every row before the first tree, shape (rows,), or (rows, classes)."""
    return np.tile(base, (rows, 1)) if isinstance(base, tuple) else np.full(rows, base)


def _watch(task: Task) -> Watch | None:
    """What early stopping goes by; None where there is none."""
    params = task.params
    if not params.early_stopping_rounds:
        return None
    if not task.validation.any():
        raise DataError(
            task.bank, "has no validation rows, and early stopping judges on them",
            "give the split a validation part, or set early_stopping_rounds to 0",
        )  # fmt: skip
    watch = Watch(
        params.watched, task.objective, task.validation, params.early_stopping_rounds, params.tweedie_variance_power
    )
    watch.require_rows(task.bank)
    return watch


def _leave_handles(task: Task, model: TreeModel, handles: Mapping[str, tuple[Split, ...]]) -> Script[dict[str, Kept]]:
    """Let every partner keep what stands behind its handles, so that it can score the model."""
    messages = {p.name: Handles(layout=p.layout, model=model.sha256, splits=handles[p.name]) for p in task.partners}
    kept = yield from ask(messages, Kept)
    for view in task.partners:
        view.known.information_share = kept[view.name].information_share
    return kept


Grown = tuple[list[tuple[TreeNode, ...]], F64, int]
"""Trees, what they add to the margin of every row, and the vectors that were asked."""


def _grow_round(task: Task, number: int, margin: F64, book: HandleBook, suspected: list[Suspect]) -> Script[Grown]:
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
        tree, values, asked = yield from _grow(task, 0, number, g, h, book, rate, suspected)
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
    suspected: list[Suspect] | None = None,
) -> Script[tuple[tuple[TreeNode, ...], F64, int]]:
    """One tree of class k: (nodes, value of every row, vectors asked). number: of the round.

    rate: of bads, the same for every row, where suspicious columns are looked for.
    """
    work = _prepare(task, k, number, g, h)
    root = work.root(np.flatnonzero(work.sampled), np.arange(len(g)))
    nodes, level, asked = [root], [root], 0
    for depth in range(task.params.max_depth):
        asked += yield from _sum_level(task, work, level)
        if depth == 0 and rate is not None and suspected is not None:
            suspected += suspects(work, root, rate, task.histogram_noise)
        yield from _choose_level(task, work, level)
        level = [child for node in level if node.choice for child in work.divide(node)]
        nodes += level
        if not level or depth + 1 == task.params.max_depth:
            break
    with task.clock("score"):
        values = np.zeros(len(g))
        for node in nodes:
            if node.choice is None:
                node.value = task.params.learning_rate * work.weight(node)
                values[node.rows] = node.value
    return work.export(nodes, book), values, asked


def _prepare(task: Task, k: int, number: int, g: F64, h: F64) -> Workspace:
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
    work = Workspace(
        task.bank, params, plan, quantised * sampled[:, None], sampled, task.columns.bins,
        TreeColumns.draw(
            task.columns.rules, directions, task.partners, params.colsample_bytree, draw(seed, "columns", tree)
        ),
        task.partners,
        f"{task.label}/{k}/{number}",
        task.min_rows_per_node,
        _interactions(task),
        Leaves(params, any(directions) or any(shape.increasing for p in task.partners for shape in p.columns)),
    )  # fmt: skip
    work.check_budget(noise)
    return work


def _interactions(task: Task) -> Interactions:
    partners = {p.name: len(p.columns) for p in task.partners}
    return Interactions.of(task.params.interaction_constraints, task.bank, task.columns.names, partners)


def _sum_level(task: Task, work: Workspace, level: Sequence[Node]) -> Script[int]:
    """Histograms of all nodes of a level: each party sums the smaller sibling, the other is the difference."""
    queried = work.to_query(level)
    with task.clock("histogram"):
        for node in work.own_to_sum(level):
            work.sum_own(node)
    if queried and work.asked_partners:
        vectors = [work.plan.vectors(*work.of_node(node)) for node in queried]
        labels = [label for node in queried for label in work.labels(node)]
        with task.clock("encrypt"):
            sealed = work.concurrently(lambda view: _seal(view, queried, vectors, labels))
        requests = {view.name: _query(work, view, labels, sealed[view.name]) for view in work.asked_partners}
        with task.clock("network"):
            answers = yield from ask(requests, Sums)
        with task.clock("decrypt"):
            opened = work.concurrently(lambda view: work.open(view, sealed[view.name], answers[view.name].sums))
        for view in work.asked_partners:
            for node, sums in zip(queried, opened[view.name], strict=True):
                _keep_checked(work, view, node, sums)
    work.subtract(level)
    return len(queried) * (1 if work.plan.packed else 2)


def _seal(view: PartnerView, nodes: Sequence[Node], vectors: Sequence[I64], labels: Sequence[str]) -> Sealed:
    """Lay the vectors of the nodes out over the partner's row space, and seal them."""
    spread = [view.spread(node.fit, vector) for node, both in zip(nodes, vectors, strict=True) for vector in both]
    return view.kit.seal(np.stack(spread), labels)


def _query(work: Workspace, view: PartnerView, labels: Sequence[str], sealed: Sealed) -> SumsQuery:
    return SumsQuery(
        layout=view.layout,
        labels=tuple(labels),
        columns=work.columns.partners[view.name].places,
        packed=work.plan.packed,
        g_log2=work.plan.g.row_log2,
        h_log2=work.plan.h.row_log2,
        body=sealed.body,
    )


def _keep_checked(work: Workspace, view: PartnerView, node: Node, sums: I64) -> None:
    """Accept a partner's sums only if every column adds up, with the rows not held, to the node's totals."""
    columns = work.columns.partners[view.name]
    not_held = work.values[node.fit[view.positions[node.fit] < 0]].sum(axis=0)
    by_column = np.add.reduceat(sums, columns.offsets[:-1], axis=0)
    if not (by_column + not_held == node.totals).all():
        raise IntegrityError(
            view.name, "its sums do not add up to the totals of a node", "do not use this partner's answers"
        )
    node.sums[view.name], node.not_held[view.name] = sums, not_held


def _choose_level(task: Task, work: Workspace, level: Sequence[Node]) -> Script[None]:
    """Each node's best split; splits that a partner will not reveal are chosen again without it."""
    with task.clock("histogram"):
        for node in level:
            node.choice = work.best(node)
    while True:
        wanted: dict[str, list[Node]] = {}
        for node in level:
            if node.choice and node.choice.party != task.bank and not work.known(node):
                wanted.setdefault(node.choice.party, []).append(node)
        if not wanted:
            return
        with task.clock("network"):
            requests = {party: work.split_query(party, nodes) for party, nodes in wanted.items()}
            replies = yield from ask(requests, Splits)
        for party, reply in replies.items():
            refused = _learn(work.view(party), requests[party], reply)
            for node in wanted[party]:
                if node.choice and node.choice.split in refused:
                    node.choice = work.best(node)


def _learn(view: PartnerView, request: SplitQuery | NodeSplitQuery, reply: Splits) -> set[Split]:
    """Keep the bits that came; return the splits that the partner's budget did not admit."""
    splits = request.splits
    if len(reply.bits) != len(splits):
        raise IntegrityError(
            view.name, "answered another number of splits than asked", "run the same version on both sides"
        )
    view.known.information_share = reply.information_share
    refused = set()
    for k, (split, bits) in enumerate(zip(splits, reply.bits, strict=True)):
        if bits is None:
            view.known.spent = True
            refused.add(split)
        else:
            among = None
            if isinstance(request, NodeSplitQuery):
                among = np.unpackbits(request.rows[k], count=view.known.rows).view(bool)
            view.known.learn(split, bits, among)
    return refused

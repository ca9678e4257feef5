"""An ensemble of trees as it grows: round by round, from the gradients at the margin so far."""

from dataclasses import dataclass, field

import numpy as np
from msgspec.structs import replace

from bank_node.family.objective import Base, Logistic
from bank_node.models.trees import HandleBook, TreeNode
from bank_node.partners.partner_view import PartnerView
from bank_node.trees.interactions import Interactions
from bank_node.trees.leaf_values import Leaves
from bank_node.trees.level import choose_level, sum_level
from bank_node.trees.local_columns import Found, LocalColumns
from bank_node.trees.target_leakage import LeakingColumn, leaking_columns
from bank_node.trees.task import Task
from bank_node.trees.tree_builder import TreeBuilder
from bank_node.trees.tree_columns import TreeColumns
from protocol.draws import draw
from protocol.errors import DataError
from protocol.he.plan import local_plan, make_plan
from protocol.messages import F64
from protocol.role import Script


@dataclass(frozen=True)
class Columns:
    """What the trees of a round may split on.

    local: what the bank can split on alone. partners: whose sums are asked.
    exact: whether known thresholds are scored by the bank's own sums, not by the partners' noisy ones.
    """

    local: LocalColumns
    partners: tuple[PartnerView, ...]
    exact: bool = False


@dataclass
class Ensemble:
    """Trees, and the margin of every row under them, shape (n,), or (n, classes).

    queries: vectors asked of each partner. leaking: columns that rank the rows as their label does,
    looked for at the root of the first tree, where the label is 0 or 1, if every row has one margin.
    purpose: keeps the random draws of ensembles apart that one training grows.
    discovery_round: of what is asked, a part of its labels.
    """

    task: Task
    margin: F64
    purpose: str = ""
    book: HandleBook = field(default_factory=HandleBook)
    trees: list[tuple[TreeNode, ...]] = field(default_factory=list)
    queries: int = 0
    leaking: list[LeakingColumn] = field(default_factory=list)
    rounds: int = 0
    discovery_round: int = 0

    @classmethod
    def start(cls, task: Task, base: Base, purpose: str = "") -> "Ensemble":
        """No tree yet."""
        rows = len(task.train)
        margin = np.tile(base, (rows, 1)) if isinstance(base, tuple) else np.full(rows, base)
        return cls(task, margin, purpose)

    def grow(self, columns: Columns) -> Script[None]:
        """One round: a tree; or a tree a class, all from the gradients at the same margin."""
        task, number = self.task, self.rounds
        g, h = task.objective.gradients(self.margin)
        if not (np.isfinite(g).all() and np.isfinite(h).all()):
            raise DataError(
                task.bank, "its predictions grew beyond all bounds", "lower learning_rate or set max_delta_step"
            )
        if self.margin.ndim == 1:
            values = [(yield from self._grow_tree(columns, 0, number, g, h))]
        else:
            values = []
            for k in range(task.objective.outputs):
                values.append((yield from self._grow_tree(columns, k, number, g[:, k].copy(), h[:, k].copy())))
        self.margin = self.margin + (values[0] if self.margin.ndim == 1 else np.stack(values, axis=1))
        self.rounds += 1

    def _grow_tree(self, columns: Columns, k: int, number: int, g: F64, h: F64) -> Script[F64]:
        """Grow one tree of class k, and return its value of every row. number: of the round."""
        task = self.task
        builder = self._builder(columns, k, number, g, h)
        root = builder.root(np.flatnonzero(builder.sampled), np.arange(len(g)))
        nodes, level = [root], [root]
        for depth in range(task.params.max_depth):
            self.queries += yield from sum_level(task, builder, level)
            if depth == 0 and number == 0 and isinstance(task.objective, Logistic) and not np.ptp(self.margin):
                rate = float(task.objective.predict(self.margin[:1])[0])
                self.leaking += leaking_columns(builder, root, rate, task.histogram_noise)
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
        self.trees.append(builder.export(nodes, self.book))
        return values

    def _builder(self, columns: Columns, k: int, number: int, g: F64, h: F64) -> TreeBuilder:
        """Quantise the gradients of one tree, and pick its rows and columns."""
        task, params, seed, local = self.task, self.task.params, self.task.seed, columns.local
        tree = number * task.objective.outputs + k
        sampled = task.train
        if params.subsample < 1:
            sampled = sampled & (draw(seed, f"{self.purpose}rows", tree).random(len(g)) < params.subsample)
        g, h = np.where(sampled, g, 0.0), np.where(sampled, h, 0.0)
        noise = task.histogram_noise if columns.partners else 0.0
        if self.purpose:
            plan = local_plan(g, h)
            values = np.stack((plan.g.nearest(g), plan.h.nearest(h)), axis=1)
        else:
            plan = make_plan(g[sampled], h[sampled], noise, task.bank)
            uniforms = draw(seed, "rounding", tree).random((2, len(g)))
            values = np.stack((plan.g.quantise(g, uniforms[0]), plan.h.quantise(h, uniforms[1])), axis=1)
            values *= sampled[:, None]
        directed = any(shape.increasing for p in columns.partners for shape in p.columns)
        return TreeBuilder(
            task.bank,
            params,
            plan,
            values,
            sampled,
            local,
            TreeColumns.draw(
                local, columns.partners, params.colsample_bytree, draw(seed, f"{self.purpose}columns", tree)
            ),
            columns.partners,
            replace(task.label, output=k, round=self.discovery_round, tree=number),
            task.min_rows_per_node,
            _interactions(task),
            Leaves(params, directed or any(local.directions)),
            {p.name: plan.packing(values[p.held], noise, task.bank) for p in columns.partners},
            columns.exact,
        )


def local_columns(task: Task, found: Found, before: LocalColumns | None = None) -> LocalColumns:
    """What the bank can split on alone: its columns, and those of `found`. before: as `LocalColumns.of` takes it."""
    partners = [view for view in task.partners if view.name in found]
    directions = task.columns.directions(task.params)
    return LocalColumns.of(task.bank, task.columns, directions, partners, found, task.train, before)


def _interactions(task: Task) -> Interactions:
    partners = {p.name: len(p.columns) for p in task.partners}
    return Interactions.of(task.params.interaction_constraints, task.bank, task.columns.names, partners)

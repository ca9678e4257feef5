"""What the bank remembers while one tree grows: its nodes, their rows and their histograms."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from bank_node.models.trees import HandleBook, TreeNode
from bank_node.partners.partner_view import LEFT, SPECIAL, PartnerView
from bank_node.trees.histogram import divided, sums_per_bin, total_of
from bank_node.trees.interactions import Feature, Interactions
from bank_node.trees.leaf_values import Leaves
from bank_node.trees.local_columns import LocalColumns, in_order
from bank_node.trees.tree_columns import TreeColumns
from bank_node.trees.tree_node import Choice, Node, smaller
from protocol.algorithms.boosting import NodeSplitQuery, SplitQuery
from protocol.algorithms.parameters import BoostingParams
from protocol.algorithms.runs import Label
from protocol.he.base import Sealed
from protocol.he.plan import Packing, Plan
from protocol.messages import F64, I64, U64

T = TypeVar("T")
_POOL = ThreadPoolExecutor(max_workers=8, thread_name_prefix="partner")


@dataclass
class TreeBuilder:
    """One tree in the making. values: quantised (g, h) a row, zero where not sampled, shape (n, 2), int64.

    packings: how g and h lie in the vectors of each partner. exact: whether known thresholds are scored
    by the bank's own sums alone. prices: bits that each cut of a partner would tell, once they are asked for.
    """

    bank: str
    params: BoostingParams
    plan: Plan
    values: I64
    sampled: npt.NDArray[np.bool_]
    local: LocalColumns
    columns: TreeColumns
    partners: tuple[PartnerView, ...]
    label: Label
    min_rows_per_node: int
    interactions: Interactions
    leaves: Leaves
    packings: Mapping[str, Packing]
    exact: bool = False
    prices: dict[str, F64] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.units = np.array([self.plan.g.unit, self.plan.h.unit])
        self.asked_partners = tuple(p for p in self.partners if self.columns.partners[p.name].places)
        self._all_sampled = bool(self.sampled.all())
        self._places = np.array(self.columns.bank.places, dtype=np.int64)

    def root(self, fit: I64, rows: I64) -> Node:
        """The node of all rows."""
        fit, rows = fit.astype(np.int64), rows.astype(np.int64)
        return Node(1, 0, fit, rows, total_of(fit, self.values), self.leaves)

    def total(self, node: Node) -> tuple[float, float]:
        """Exact (G, H) of a node."""
        g, h = node.totals * self.units
        return float(g), float(h)

    def weight(self, node: Node) -> float:
        """A node's value as a leaf, before shrinkage."""
        return node.leaves.value(*self.total(node))

    def view(self, party: str) -> PartnerView:
        """The partner of that name."""
        return next(p for p in self.partners if p.name == party)

    def features(self, party: str, places: Sequence[int]) -> list[Feature]:
        """Whose columns stand at these places of a party's list, or of the bank's local columns."""
        return [self.local.features[j] if party == self.bank else (party, j) for j in places]

    def concurrently(self, builder: Callable[[PartnerView], T]) -> dict[str, T]:
        """Do the same for all partners asked, at once."""
        if len(self.asked_partners) == 1:
            return {view.name: builder(view) for view in self.asked_partners}
        return dict(zip((v.name for v in self.asked_partners), _POOL.map(builder, self.asked_partners), strict=True))

    def can_split(self, node: Node) -> bool:
        """Whether a split of this node could be valid at all."""
        return len(node.fit) >= 2 and self.total(node)[1] >= 2 * self.params.min_child_weight

    def may_query(self, node: Node) -> bool:
        """The contract's min_rows_per_node: the bank does not query smaller nodes."""
        return len(node.fit) >= self.min_rows_per_node

    def to_query(self, level: Sequence[Node]) -> list[Node]:
        """The nodes of a level whose sums are asked of the partners: of two siblings, the smaller one.

        A node below min_rows_per_node is not queried, nor derived: it may be split on the bank's columns alone.
        """
        return [node for node in level if self._eligible(node) and not self._derived(node)]

    def _eligible(self, node: Node) -> bool:
        return self.can_split(node) and self.may_query(node)

    def _derived(self, node: Node) -> bool:
        """Whether this node's sums follow from its parent's and its smaller sibling's."""
        other = node.sibling
        return bool(other and self._eligible(other) and smaller(other, node))

    def own_to_sum(self, level: Sequence[Node]) -> list[Node]:
        """The nodes whose sums over the bank's own columns are computed, not derived."""
        return [n for n in level if self.can_split(n) and not self._derived_own(n)]

    def _derived_own(self, node: Node) -> bool:
        other = node.sibling
        return bool(other and self.can_split(other) and smaller(other, node))

    def sum_own(self, node: Node) -> None:
        """Histogram of a node over the bank's own columns."""
        node.sums[self.bank] = sums_per_bin(
            self.local.bins, self._places, self.columns.bank.offsets, node.fit, self.values
        )
        node.not_held[self.bank] = np.zeros(2, dtype=np.int64)

    def subtract(self, level: Sequence[Node]) -> None:
        """Fill in the larger siblings: parent less the smaller one."""
        for node in level:
            other, parent = node.sibling, node.parent
            if not (other and parent and self.can_split(node)):
                continue
            for party in parent.sums:
                wanted = party == self.bank or self.may_query(node)
                if wanted and party not in node.sums and party in other.sums:
                    node.sums[party] = parent.sums[party] - other.sums[party]
                    node.not_held[party] = parent.not_held[party] - other.not_held[party]

    def of_node(self, node: Node) -> tuple[I64, I64]:
        """Quantised g and h of the node's rows."""
        values = self.values[node.fit]
        return values[:, 0], values[:, 1]

    def labels(self, view: PartnerView, nodes: Sequence[Node]) -> tuple[Label, ...]:
        """A label a node, as a partner is asked."""
        return tuple(replace(self.label, run=view.run, node=node.number) for node in nodes)

    def open(self, view: PartnerView, sealed: Sealed, answer: U64) -> list[I64]:
        """A partner's sums, (G, H) a bin, a node."""
        sums = view.kit.open(sealed, self.columns.partners[view.name].rows, answer)
        packing = self.packings[view.name]
        step = packing.vectors_a_node
        return [packing.split(sums[k : k + step]) for k in range(0, len(sums), step)]

    def known(self, node: Node) -> bool:
        """Whether the bank can divide the node's rows by its choice without asking."""
        assert node.choice
        return self.view(node.choice.party).knows(node.choice.split, node.rows)

    def split_query(self, party: str, nodes: Sequence[Node]) -> SplitQuery | NodeSplitQuery:
        """The splits of a level that a partner is asked for; each once.

        In discovery by column and threshold, an order that says nothing of what they gain.
        """
        view = self.view(party)
        if view.split_rows == "all":
            splits = dict.fromkeys(node.choice.split for node in nodes if node.choice)
            return SplitQuery(layout=view.layout, splits=in_order(splits) if self.exact else tuple(splits))
        flags = np.zeros((len(nodes), view.known.rows), dtype=bool)
        for k, node in enumerate(nodes):
            at = view.positions[node.rows]
            flags[k, at[at >= 0]] = True
        return NodeSplitQuery(
            layout=view.layout,
            splits=tuple(node.choice.split for node in nodes if node.choice),
            rows=tuple(np.packbits(row) for row in flags),
        )

    def divide(self, node: Node) -> tuple[Node, Node]:
        """The children of a node that has a choice."""
        choice = node.choice
        assert choice
        if choice.party == self.bank:
            goes_left = self._goes_left(choice)
            rows_left, rows_right = divided(self.local.bins, choice.split.column, node.rows, goes_left)
            fit_left, fit_right = rows_left, rows_right
            if not self._all_sampled:
                fit_left, fit_right = divided(self.local.bins, choice.split.column, node.fit, goes_left)
        else:
            told = self.view(choice.party).sides(choice.split, node.rows)
            left = (told == LEFT) | ((told == SPECIAL) & choice.default_left)
            rows_left, rows_right = node.rows[left], node.rows[~left]
            fit_left, fit_right = self._sampled_of(rows_left), self._sampled_of(rows_right)
        left_child = self._child(node, choice, 2 * node.number, fit_left, rows_left)
        right_child = self._child(node, choice, 2 * node.number + 1, fit_right, rows_right)
        left_child.sibling, right_child.sibling = right_child, left_child
        sides = self.weight(left_child), self.weight(right_child)
        left_child.leaves, right_child.leaves = node.leaves.beside(*sides, self._direction(choice, sides))
        node.children = (left_child, right_child)
        return left_child, right_child

    def _child(self, node: Node, choice: Choice, number: int, fit: I64, rows: I64) -> Node:
        path = node.path | {self.features(choice.party, [choice.split.column])[0]}
        return Node(number, node.depth + 1, fit, rows, total_of(fit, self.values), node.leaves, path, node)

    def _direction(self, choice: Choice, sides: tuple[float, float]) -> int:
        """The way from left to right; of the special bins from all others, whichever way it turned out."""
        columns = self.columns.bank if choice.party == self.bank else self.columns.partners[choice.party]
        place = columns.places.index(choice.split.column)
        if len(choice.split.left) < columns.shapes[place].ordinary or not columns.directions[place]:
            return columns.directions[place]
        return 1 if sides[1] > sides[0] else -1

    def _sampled_of(self, rows: I64) -> I64:
        """Those rows that are fitted on."""
        return rows if self._all_sampled else rows[self.sampled[rows]]

    def _goes_left(self, choice: Choice) -> npt.NDArray[np.bool_]:
        """Whether a row goes left, by its bin of a local column, shape (256,)."""
        shape = self.columns.bank.shapes[self.columns.bank.places.index(choice.split.column)]
        goes_left = np.zeros(256, dtype=bool)
        goes_left[list(choice.split.left)] = True
        goes_left[shape.ordinary :] = choice.default_left
        return goes_left

    def export(self, nodes: Sequence[Node], book: HandleBook) -> tuple[TreeNode, ...]:
        """The finished tree, nodes in order of growth; handles are numbered here, in order of first use."""
        place = {id(node): k for k, node in enumerate(nodes)}
        out = []
        for node in nodes:
            cover, rows, choice = self.total(node)[1], len(node.fit), node.choice
            if choice is None:
                out.append(TreeNode(value=node.value, cover=cover, rows=rows))
                continue
            left, right = (place[id(child)] for child in node.children)
            party, split = choice.party, choice.split
            if party == self.bank:
                party, split = self.local.origin(split)
            out.append(
                TreeNode(
                    party=party,
                    handle=book.number(party, split),
                    default_left=choice.default_left,
                    left=left,
                    right=right,
                    gain=choice.gain,
                    cover=cover,
                    rows=rows,
                )
            )
        return tuple(out)

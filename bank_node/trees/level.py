"""A level of a tree: one exchange for the sums of its nodes, a choice of splits, and one for bits not known yet."""

from collections.abc import Sequence

import numpy as np

from bank_node.partners.partner_view import PartnerView
from bank_node.trees.split_selection import best_split
from bank_node.trees.task import Task
from bank_node.trees.tree_builder import TreeBuilder
from bank_node.trees.tree_node import Node
from protocol.algorithms.boosting import (
    NodeSplitQuery,
    Split,
    SplitQuery,
    Splits,
    Sums,
    SumsQuery,
    vector_labels,
)
from protocol.errors import ALIGN_ANEW, IntegrityError
from protocol.he.base import Sealed
from protocol.messages import I64
from protocol.role import Script, ask


def sum_level(task: Task, builder: TreeBuilder, level: Sequence[Node]) -> Script[int]:
    """Histograms of all nodes of a level: each party sums the smaller sibling, the other is the difference."""
    queried = builder.to_query(level)
    with task.clock("histogram"):
        for node in builder.own_to_sum(level):
            builder.sum_own(node)
    if queried and builder.asked_partners:
        values = [builder.of_node(node) for node in queried]
        with task.clock("encrypt"):
            sealed = builder.concurrently(lambda view: _seal(builder, view, queried, values))
        requests = {view.name: _query(builder, view, queried, sealed[view.name]) for view in builder.asked_partners}
        with task.clock("network"):
            answers = yield from ask(requests, Sums)
        with task.clock("decrypt"):
            opened = builder.concurrently(lambda view: builder.open(view, sealed[view.name], answers[view.name].sums))
        for view in builder.asked_partners:
            for node, sums in zip(queried, opened[view.name], strict=True):
                _keep_checked(builder, view, node, sums)
    builder.subtract(level)
    return len(queried) * (1 if builder.plan.packed else 2)


def _seal(builder: TreeBuilder, view: PartnerView, nodes: Sequence[Node], values: Sequence[tuple[I64, I64]]) -> Sealed:
    """Lay the vectors of the nodes out over the partner's row space, and seal them."""
    packing = builder.packings[view.name]
    spread = [
        view.spread(node.fit, vector)
        for node, (g, h) in zip(nodes, values, strict=True)
        for vector in packing.vectors(g, h)
    ]
    return view.kit.seal(np.stack(spread), vector_labels(builder.labels(view, nodes), packing.packed))


def _query(builder: TreeBuilder, view: PartnerView, nodes: Sequence[Node], sealed: Sealed) -> SumsQuery:
    packing = builder.packings[view.name]
    return SumsQuery(
        layout=view.layout,
        labels=builder.labels(view, nodes),
        columns=builder.columns.partners[view.name].places,
        packed=packing.packed,
        g=packing.g,
        h=packing.h,
        body=sealed.body,
    )


def _keep_checked(builder: TreeBuilder, view: PartnerView, node: Node, sums: I64) -> None:
    """Accept a partner's sums only if every column adds up, with the rows not held, to the node's totals."""
    columns = builder.columns.partners[view.name]
    not_held = builder.values[node.fit[view.positions[node.fit] < 0]].sum(axis=0)
    by_column = np.add.reduceat(sums, columns.offsets[:-1], axis=0)
    if not (by_column + not_held == node.totals).all():
        raise IntegrityError(
            view.name, "its sums do not add up to the totals of a node", "do not use this partner's answers"
        )
    node.sums[view.name], node.not_held[view.name] = sums, not_held


def choose_level(task: Task, builder: TreeBuilder, level: Sequence[Node]) -> Script[None]:
    """Each node's best split; splits that a partner will not reveal are chosen again without it."""
    with task.clock("histogram"):
        for node in level:
            node.choice = best_split(builder, node)
    while True:
        wanted: dict[str, list[Node]] = {}
        for node in level:
            if node.choice and node.choice.party != task.bank and not builder.known(node):
                wanted.setdefault(node.choice.party, []).append(node)
        if not wanted:
            return
        with task.clock("network"):
            requests = {party: builder.split_query(party, nodes) for party, nodes in wanted.items()}
            replies = yield from ask(requests, Splits)
        for party, reply in replies.items():
            refused = _learn(builder.view(party), requests[party], reply)
            for node in wanted[party]:
                if node.choice and node.choice.split in refused:
                    node.choice = best_split(builder, node)


def _learn(view: PartnerView, request: SplitQuery | NodeSplitQuery, reply: Splits) -> set[Split]:
    """Keep the bits that came; return the splits that the partner's budget did not admit."""
    splits = request.splits
    if len(reply.bits) != len(splits):
        raise IntegrityError(
            view.name, "answered another number of splits than asked", "run the same version on both sides"
        )
    size = (view.known.rows + 7) // 8
    if any(bits is not None and bits.left.shape != (size,) for bits in reply.bits):
        raise IntegrityError(
            view.name, f"answered with split bits of other rows than the {view.known.rows} aligned", ALIGN_ANEW
        )
    view.known.information_share = reply.information_share
    refused = set()
    for k, (split, bits) in enumerate(zip(splits, reply.bits, strict=True)):
        if bits is None:
            view.known.spent |= not view.is_full(split.column)
            refused.add(split)
        else:
            among = None
            if isinstance(request, NodeSplitQuery):
                among = np.unpackbits(request.rows[k], count=view.known.rows).view(bool)
            view.learn(split, bits, among)
    return refused

"""Choosing a split: the largest gain over all parties' columns, of those that may be had and are worth their price."""

import numpy as np

from bank_node.partners.partner_view import PartnerView
from bank_node.trees.split_cost import bits_of_cuts
from bank_node.trees.split_gains import MIN_GAIN, Candidate, Scored, score_cuts, score_subsets
from bank_node.trees.tree_builder import TreeBuilder
from bank_node.trees.tree_columns import Columns
from bank_node.trees.tree_node import Choice, Node
from protocol.algorithms.boosting import Split
from protocol.messages import F64


def best_split(builder: TreeBuilder, node: Node) -> Choice | None:
    """The split of the largest gain over all parties; the first party on a tie."""
    if not builder.can_split(node):
        return None
    total = np.array(builder.total(node))
    best = _best_own(builder, node, total)
    best_score = best.gain if best else MIN_GAIN
    for view in builder.asked_partners:
        if view.name not in node.sums:
            continue
        found = _best_of(builder, view, node, total, best_score)
        if found and found[1] > best_score:
            best, best_score = found
    return best


def _best_own(builder: TreeBuilder, node: Node, total: F64) -> Choice | None:
    columns = builder.columns.bank
    if not columns.places or builder.bank not in node.sums:
        return None
    scored = _score(builder, builder.bank, columns, node, total)
    return _as_choice(builder.bank, columns, scored.best(_barred(builder, builder.bank, columns, scored, node)))


def _barred(builder: TreeBuilder, party: str, columns: Columns, scored: Scored, node: Node) -> F64:
    """Infinite at the cuts of columns that may not stand below the node's path, 0 elsewhere."""
    penalty = np.zeros(scored.gains.shape[:2])
    penalty[~builder.interactions.allowed(node.path, builder.features(party, columns.places))] = np.inf
    return penalty


def _best_of(
    builder: TreeBuilder, view: PartnerView, node: Node, total: F64, least: float
) -> tuple[Choice, float] | None:
    columns = builder.columns.partners[view.name]
    scored = node.scored.get(view.name) or _score(builder, view.name, columns, node, total)
    node.scored[view.name] = scored
    found = scored.best(_penalty(builder, view, columns, scored, node), _price(builder, view, columns, node), least)
    if found and columns.shapes[found.column].categorical:
        split = Split(columns.places[found.column], found.left)
        if view.known.spent or view.is_full(split.column) or (builder.exact and builder.local.has(view.name, split)):
            found = None
    choice = _as_choice(view.name, columns, found)
    best = (choice, found.score) if choice and found else None
    if view.known.spent or builder.params.reveal_cost:
        best = _better_known_subset(builder, view, columns, node, total, best)
    return best


def _score(builder: TreeBuilder, party: str, columns: Columns, node: Node, total: F64) -> Scored:
    sums, not_held = node.sums[party] * builder.units, node.not_held[party] * builder.units
    return score_cuts(columns.grid, sums, not_held, total, node.leaves, len(node.fit))


def _penalty(builder: TreeBuilder, view: PartnerView, columns: Columns, scored: Scored, node: Node) -> F64:
    """What a cut costs beyond its gain: reveal_cost if new, everything if it is not on offer."""
    barred = _barred(builder, view.name, columns, scored, node)
    if builder.exact:
        barred[builder.local.cuts(view, columns.places, scored.gains.shape[1])] = np.inf
    full = np.array([view.is_full(place) for place in columns.places], dtype=bool)
    cost = np.inf if view.known.spent else builder.params.reveal_cost
    if not cost and not full.any():
        return barred
    known = view.known_cuts(columns.places, scored.gains.shape[1], node.rows)
    alone = scored.subsets.single  # all bins to the left is known; where each stands alone, it is one cut further
    known[alone] = np.roll(known[alone], 1, axis=1)
    costs = np.where(full, np.inf, cost)[:, None]
    return np.where(known, barred, np.maximum(barred, costs))


def _price(builder: TreeBuilder, view: PartnerView, columns: Columns, node: Node) -> F64 | None:
    """Bits that each cut would tell, in discovery by gain per bit; None where the gain alone decides."""
    if not builder.exact or builder.params.split_choice != "gain_per_bit":
        return None
    if node.parent is None:
        known = builder.local.cuts(view, columns.places, columns.grid.index.shape[1])
        builder.prices[view.name] = bits_of_cuts(columns.grid, node.sums[view.name][:, 1] * builder.units[1], known)
    return builder.prices.get(view.name)


def _better_known_subset(
    builder: TreeBuilder, view: PartnerView, columns: Columns, node: Node, total: F64, best: tuple[Choice, float] | None
) -> tuple[Choice, float] | None:
    """Known subsets of categories, which need not be cuts of this node's order."""
    sums, not_held = node.sums[view.name] * builder.units, node.not_held[view.name] * builder.units
    allowed = builder.interactions.allowed(node.path, builder.features(view.name, columns.places))
    for j, (place, shape) in enumerate(zip(columns.places, columns.shapes, strict=True)):
        offered = shape.categorical and allowed[j]
        known = [s for s in view.known.of(place) if view.knows(s, node.rows)] if offered else []
        if builder.exact:
            known = [split for split in known if not builder.local.has(view.name, split)]
        if not known:
            continue
        gains = score_subsets([s.left for s in known], j, columns.grid, sums, not_held, total, node.leaves)
        k, default_left = np.unravel_index(int(np.argmax(gains)), gains.shape)
        gain = float(gains[k, default_left])
        if gain > (best[1] if best else MIN_GAIN):
            best = Choice(view.name, known[k], bool(default_left), gain), gain
    return best


def _as_choice(party: str, columns: Columns, found: Candidate | None) -> Choice | None:
    if found is None:
        return None
    return Choice(party, Split(columns.places[found.column], found.left), found.default_left, found.gain)

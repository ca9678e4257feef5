"""How strong the encryption of a run was: the lattice in use, and what flooding leaves of an answer."""

from math import log2

from bank_node.families.catalogue import family_in
from bank_node.family.training import Training
from bank_node.record.facts import Security
from protocol.he.engines import about
from protocol.he.parameters import FLOOD_BUDGET_LOG2, INTEGERS, ONE_HOT, STATISTICAL_BITS_TOTAL, N, Parameters


def security_of(training: Training, engine: str) -> Security:
    """Of the blind product: the lattice row in use, and what flooding leaves of one answer and of a hint's life."""
    if engine != "blind":
        known = about(engine)
        log2_q, ring = known.lattice or (None, None)
        return Security(log2_q=log2_q, ring=ring, classical_bits=known.classical_bits or None)
    costs = []
    for (partner, _), view in training.views.items():
        rows = sum(shape.size for shape in view.columns)
        costs.append(10.5 * (len(view.columns) * training.alignments[partner].rows + 2 * N * rows))
    return _strength(ONE_HOT, max(costs, default=None), _linear_strength(training))


def _linear_strength(training: Training) -> Security | None:
    """The same of the ring of whole numbers; None if it is not used."""
    each = [family_in(training, t.model).costs_of_exact_sums(training, t) for t in training.rungs]
    costs = [cost for some in each for cost in some]
    return _strength(INTEGERS, max(costs), None) if costs else None


def _strength(row: Parameters, cost: float | None, linear: Security | None) -> Security:
    """Of a row of the lattice table. cost: of its most expensive answer, of a hint's flood budget.

    The distance goes with the square root of the cost (docs/protocols/blind-product.md, "Why three uniforms").
    """
    answer = None if cost is None else STATISTICAL_BITS_TOTAL + (FLOOD_BUDGET_LOG2 - log2(cost)) / 2
    return Security(
        log2_q=row.log2_q,
        ring=row.n,
        classical_bits=row.classical_bits,
        statistical_bits_answer=None if answer is None else round(answer, 1),
        statistical_bits_total=STATISTICAL_BITS_TOTAL,
        linear=linear,
    )

"""What a bank that deviates from the protocol could read of this partner's bins by an approved job, at most.

An approval limits how many equations of each kind a run may ask for; it cannot see how they are
spent. So every equation counts as the most telling one of its kind, with the largest number of bits
that the node accepts:

- sums of a tree's node: P <= row + ceil(log2(n + 8 noise + 1)) + 1, with noise of deviation
  noise * 2^row, so that the bits told hardly depend on the row; packed fields tell no more;
- exact counts a bin, where the job has bin tables;
- whole-number sums over columns and products, where the job has a linear model: a vector over the
  whole design, in which one column has as many terms as `min_glm_columns` leaves it.

Releases of partial scores form a pool over all columns, and so does what splits may tell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from partner_node.policy.readable import Bits, Entropy, Readable, readable, release_bits, sum_bits, vector_bits
from protocol.algorithms.binning import ColumnShape
from protocol.algorithms.glm import bits_of_sums, most_sum_log2, product_rows
from protocol.algorithms.woe import bits_of_counts
from protocol.contract import Contract
from protocol.he.plan import WHOLE_BITS, FieldBounds
from protocol.job.workload import Workload


@dataclass(frozen=True)
class Plan:
    """An approved job at one partner, as far as the meter depends on it.

    equations, releases: those that all admitted runs may still ask for, equations by kind. most: equations of all
    kinds together, None if nothing else limits them. rows: matched, n. told: bits of earlier answers.
    """

    workload: Workload
    contract: Contract
    equations: Mapping[str, int]
    releases: int
    rows: int
    told: Bits
    most: int | None = None


def planned_readable(
    plan: Plan, layouts: Sequence[Mapping[str, ColumnShape]], entropies: Sequence[Entropy], splits: float
) -> Readable:
    """Bound what a bank could have read of one binning after the job.

    Args:
        layouts: the columns of every binning of the job, by name: equations may be spent on any of them.
        entropies: of the binning's columns, without what splits have told of them.
        splits: information share that splits may have told after the job.
    """
    return readable(entropies, plan.told.plus(planned_bits(plan, layouts)), plan.rows, splits)


def planned_bits(plan: Plan, layouts: Sequence[Mapping[str, ColumnShape]]) -> Bits:
    """Bits that the job's own answers tell at most, besides splits."""
    own: dict[str, float] = {}
    for column, shape in (item for layout in layouts for item in layout.items()):
        own[column] = max(own.get(column, 0.0), _most_bits(plan, shape.size))
    pool = plan.releases * plan.rows * release_bits(plan.contract.score_decimals)
    return Bits(own, {frozenset(own): pool} if pool else {})


def first_full_release(plan: Plan, entropies: Sequence[Entropy]) -> int:
    """The first release of the job after which all columns of a linear model may be readable in full.

    Returns: 0 if no planned release reaches that far.
    """
    columns = max((model.columns for model in plan.workload.models), default=0)
    smallest = sorted(column.whole for column in entropies)[:columns]
    first = max(1, ceil(sum(smallest) / release_bits(plan.contract.score_decimals)))
    return first if columns and first <= plan.releases else 0


def _most_bits(plan: Plan, bins: int) -> float:
    """Bits that all equations tell of a column: the most telling kind is asked first."""
    each = _bits_an_equation(plan, bins)
    left, told = sum(plan.equations.values()) if plan.most is None else plan.most, 0.0
    for kind in sorted(each, key=lambda kind: -each[kind]):
        asked = min(left, plan.equations.get(kind, 0))
        left, told = left - asked, told + asked * each[kind]
    return told


def _bits_an_equation(plan: Plan, bins: int) -> dict[str, float]:
    """Bits that one equation of each kind tells of a column."""
    columns, least = [model.columns for model in plan.workload.models], plan.contract.min_glm_columns
    return {
        "sums": vector_bits(bins, [_largest_field(plan.rows, plan.contract.histogram_noise)]),
        "counts": vector_bits(bins, [(bits_of_counts(plan.rows), 0.0)]),
        "cross": max((_product_bits(some, least, plan.rows) for some in columns if some), default=0.0),
    }


def _largest_field(rows: int, noise: float) -> tuple[int, float]:
    """The declaration (bits, sigma) of a tree's field that tells most, of those that the node accepts."""
    declared = [FieldBounds(row_log2, 1) for row_log2 in range(WHOLE_BITS)]
    fields = [(min(WHOLE_BITS, bounds.widest(rows, noise)), bounds.sigma(noise)) for bounds in declared]
    return max(fields, key=lambda field: sum_bits(*field))


def _product_bits(columns: int, least: int, matched: int) -> float:
    """Bits of the rows of M that involve one column, over a design of so many terms and matched rows.

    The other least - 1 columns that the contract demands have one term each.
    """
    rows, others = product_rows(columns), min(least, columns) - 1
    involved = (rows < columns - others) & (rows >= 0)
    bits = bits_of_sums(np.arange(len(rows)), columns, most_sum_log2(matched))
    return float(bits[involved.any(axis=1)].sum())

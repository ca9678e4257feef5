"""What a plan says a bank could read at most: no declaration that a node accepts tells more."""

from dataclasses import replace
from math import log2

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from partner_node.policy.readable import Bits, Entropy, vector_bits
from partner_node.preview.worst_case import Plan, first_full_release, planned_bits, planned_readable
from protocol.algorithms.binning import ColumnShape, Cutting
from protocol.algorithms.glm import bits_of_sums, most_sum_log2, product_rows
from protocol.algorithms.woe import bits_of_counts
from protocol.contract import Contract
from protocol.he.plan import WHOLE_BITS, FieldBounds
from protocol.job.plan import PlannedModel
from protocol.job.workload import Workload

TREES = PlannedModel("trees", 1, 10, 3, Cutting(16))
TABLES = PlannedModel("bins", 0, 0, 1, Cutting(16), bin_tables=True)
LINEAR = PlannedModel("glm", 1, 0, 0, Cutting(16), columns=6, vectors=100, releases=8)
NOISE = Contract().histogram_noise
ROWS = 60_000
LAYOUT = {name: ColumnShape(number, 15, True, False) for number, name in enumerate(("age", "calls", "debt"))}
ENTROPIES = [Entropy(name, 4.0, 0.0) for name in LAYOUT]


def _plan(*models: PlannedModel, rows: int = ROWS, told: Bits | None = None) -> Plan:
    work = Workload(models)
    return Plan(work, Contract(), work.by_kind, work.releases, rows, told or Bits())


def _each(plan: Plan) -> float:
    """Bits that an equation tells of a column of 16 bins."""
    return planned_bits(plan, [LAYOUT]).own["age"] / plan.workload.equations


def test_a_job_of_trees_is_worth_its_equations():
    plan = _plan(TREES)
    assert plan.workload.equations == 10 * 4 * 2
    assert _each(plan) == pytest.approx(15 * (17 - 2 - 2.047) + 2)
    found = planned_readable(plan, [LAYOUT], ENTROPIES, 0.0)
    assert found.share == pytest.approx(80 * _each(plan) / ROWS / 4.0)
    assert found.largest == pytest.approx(found.share)


@given(st.integers(1, 1_000_000), st.integers(0, WHOLE_BITS - 1), st.integers(1, WHOLE_BITS), st.floats(0, 64))
def test_no_declaration_that_the_node_accepts_tells_more_than_the_plan(rows, row_log2, bits, noise):
    bounds = FieldBounds(row_log2, bits)
    assume(bits <= bounds.widest(rows, noise))
    plan = _plan(TREES, rows=rows)
    plan = replace(plan, contract=Contract(histogram_noise=noise))
    assert vector_bits(16, [(bits, bounds.sigma(noise))]) <= _each(plan) + 1e-9


@given(st.integers(1, 1_000_000), st.integers(1, 21), st.integers(1, 21))
def test_packed_fields_tell_no_more_than_two_equations(rows, g, h):
    fields = [(bits, FieldBounds(0, bits).sigma(NOISE)) for bits in (g, h)]
    assume(max(g, h) <= FieldBounds(0, 1).widest(rows, NOISE))
    assert vector_bits(16, fields) <= 2 * _each(_plan(TREES, rows=rows)) + 1e-9


def test_exact_counts_are_as_many_as_the_bin_tables_need():
    exact = 15 * bits_of_counts(ROWS) + 2
    assert _each(_plan(TABLES)) == exact > _each(_plan(TREES))
    both = planned_bits(_plan(TREES, TABLES), [LAYOUT]).own["age"]
    assert both == pytest.approx(80 * _each(_plan(TREES)) + 2 * exact)


def test_the_equation_budget_is_spent_on_the_most_telling_kind_first():
    plan = replace(_plan(TREES, TABLES), most=5)
    bits = planned_bits(plan, [LAYOUT]).own["age"]
    assert bits == pytest.approx(2 * _each(_plan(TABLES)) + 3 * _each(_plan(TREES)))


def test_a_linear_model_may_spend_all_equations_on_products():
    least = Contract().min_glm_columns
    products = product_rows(LINEAR.columns)
    own = range(LINEAR.columns - least + 1)
    touched = [k for k, pair in enumerate(products.tolist()) if set(pair) & set(own)]
    every = bits_of_sums(products[:, 0] * 0 + range(len(products)), LINEAR.columns, most_sum_log2(ROWS))
    assert _each(_plan(LINEAR)) == every[touched].sum()


def test_releases_are_a_pool_over_all_columns():
    plan = _plan(LINEAR)
    bits = planned_bits(plan, [LAYOUT])
    assert bits.pools == {frozenset(LAYOUT): pytest.approx(8 * ROWS * log2(1601))}
    assert planned_bits(_plan(TREES), [LAYOUT]).pools == {}


def test_the_finest_binning_counts_for_all():
    coarse = {name: ColumnShape(k, 3, False, False) for k, name in enumerate(LAYOUT)}
    plan = _plan(TREES)
    assert planned_bits(plan, [coarse, LAYOUT]) == planned_bits(plan, [LAYOUT])


def test_the_release_that_reads_all_columns_is_named():
    assert first_full_release(_plan(LINEAR), ENTROPIES) == 2, "12 bits a row by 10.6 a release"
    assert first_full_release(_plan(TREES), ENTROPIES) == 0
    assert first_full_release(_plan(LINEAR), [Entropy(f"c{k}", 90.0, 0.0) for k in range(6)]) == 0


def test_splits_and_earlier_answers_count_beside_the_job():
    bare = planned_readable(_plan(TREES), [LAYOUT], ENTROPIES, 0.0).share
    assert planned_readable(_plan(TREES), [LAYOUT], ENTROPIES, 0.2).share == pytest.approx(bare + 0.2)
    told = Bits({"age": 4.0 * ROWS})
    assert planned_readable(_plan(TREES, told=told), [LAYOUT], ENTROPIES, 0.0).by_column["age"] == 1

"""Discovery and refit: what is asked, what is known, and that the local fit is XGBoost's on the same bits."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as replace_struct

from bank_node.trees import ensemble
from bank_node.trees.boosting import boost, refit
from bank_node.trees.split_cost import bits_of_cuts
from bank_node.trees.split_gains import Grid
from bank_node.trees.target_leakage import together
from experiments.laboratory import OPEN, Laboratory
from protocol.algorithms.binning import ColumnShape
from protocol.algorithms.boosting import Handles, Opening, Split, SplitQuery, SumsQuery
from protocol.algorithms.parameters import BoostingParams
from protocol.role import drive
from protocol.table import Column
from tests.conformance.oracle import known_bits, make, margins_of, require_alike

TIES = {"trees": 0, "tied": 0}
PARAMS = BoostingParams(n_estimators=40, max_depth=3, learning_rate=0.2, discovery="4x2", min_child_weight=0.0)


def xgboost_on(x: np.ndarray, lab: Laboratory, params: BoostingParams, margins: list[np.ndarray]) -> xgboost.Booster:
    """XGBoost's trees at our margins."""
    rounds = iter(range(params.n_estimators))
    theirs = {
        "tree_method": "hist", "max_bin": 256, "max_depth": params.max_depth, "eta": params.learning_rate,
        "lambda": params.reg_lambda, "alpha": params.reg_alpha, "gamma": params.gamma, "nthread": 1,
        "min_child_weight": params.min_child_weight, "base_score": 0.0, "disable_default_eval_metric": 1,
    }  # fmt: skip
    return xgboost.train(
        theirs, xgboost.DMatrix(x, label=lab.y), params.n_estimators,
        obj=lambda margin, _: lab.task.objective.gradients(margins[next(rounds)]),
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000), n=st.integers(60, 400), d_bank=st.integers(1, 4), d_partner=st.integers(1, 5),
    missing=st.sampled_from([0.0, 0.2]), coverage=st.sampled_from([1.0, 0.8]), depth=st.integers(1, 4),
    reg_lambda=st.sampled_from([0.5, 1.0, 5.0]), alpha=st.sampled_from([0.0, 0.3]), gamma=st.sampled_from([0.0, 0.2]),
    weight=st.sampled_from([0.0, 1.0, 3.0]), discovery=st.sampled_from(["1x1", "3x1", "2x3"]),
)  # fmt: skip
def check_against_xgboost(
    seed, n, d_bank, d_partner, missing, coverage, depth, reg_lambda, alpha, gamma, weight, discovery
):
    params = BoostingParams(
        n_estimators=5, max_depth=depth, learning_rate=0.3, reg_lambda=reg_lambda, reg_alpha=alpha, gamma=gamma,
        min_child_weight=weight, discovery=discovery,
    )  # fmt: skip
    with TemporaryDirectory() as folder:
        lab = make(Path(folder), seed, n, d_bank, d_partner, missing, coverage)
        trained = lab.train(params, seed)
        x = known_bits(lab, trained)
        alike = require_alike(lab, trained, xgboost_on(x, lab, params, margins_of(lab, trained)), x)
        TIES["trees"] += len(trained.model.trees)
        TIES["tied"] += not alike


def test_the_local_fit_grows_the_trees_of_xgboost_on_the_same_bits():
    check_against_xgboost()
    assert TIES["tied"] < TIES["trees"] / 10, f"ties must not hide differences: {TIES}"


@pytest.fixture
def lab(tmp_path: Path) -> Laboratory:
    return make(tmp_path, 3, 600, 2, 5, 0.1, 0.9)


def recorded(lab: Laboratory) -> list[tuple[str, object]]:
    """Every message that the bank sends from now on."""
    sent, reply = [], lab.reply

    def watched(party, message):
        sent.append((party, message))
        return reply(party, message)

    lab.reply = watched
    return sent


def test_sums_are_asked_for_encrypted_trees_alone(lab):
    sent = recorded(lab)
    trained = lab.train(PARAMS, 1)
    assert len(trained.model.trees) == 40
    assert 1 <= trained.encrypted_trees <= 8
    assert trained.encrypted_trees == 2 * trained.rounds
    asked = [message for _, message in sent if isinstance(message, SumsQuery)]
    labels = [label for message in asked for label in message.labels]
    assert {label.tree for label in labels} == set(range(trained.encrypted_trees))
    assert all(label.round == label.tree // 2 for label in labels), "labels carry the round"


def test_new_splits_are_asked_in_an_order_that_ranks_nothing(lab):
    sent = recorded(lab)
    lab.train(PARAMS, 1)
    for _, message in sent:
        if isinstance(message, SplitQuery):
            order = [(split.column, len(split.left), split.left) for split in message.splits]
            assert order == sorted(order)


def test_a_pool_holds_every_split_that_a_refit_may_use(lab):
    sent = recorded(lab)
    trained = lab.train(PARAMS, 1)
    kept = [message.splits for _, message in sent if isinstance(message, Handles)]
    asked = {split for _, message in sent if isinstance(message, SplitQuery) for split in message.splits}
    assert kept == [trained.handles["telecom"]]
    assert asked <= set(kept[0])


def test_a_refit_asks_nobody_and_numbers_its_splits_by_the_pool(lab):
    trained = lab.train(PARAMS, 1)
    sent = recorded(lab)
    same = refit(lab.task, trained.handles, trained.kept)
    assert same.model == trained.model
    assert np.array_equal(same.margin, trained.margin)
    changed = PARAMS.model_copy(update={"n_estimators": 80, "max_depth": 2})
    other = refit(replace(lab.task, params=changed), trained.handles, trained.kept)
    assert len(other.model.trees) == 80
    used = {n.handle for tree in other.model.trees for n in tree if n.party == "telecom"}
    assert used <= set(range(len(trained.handles["telecom"])))
    assert sent == []
    assert np.allclose(margins_of(lab, other)[-1], other.margin, atol=1e-12), "its handles are places in the pool"


def test_discovery_ends_when_a_round_reveals_nothing(tmp_path):
    """One informative threshold: after it is known, further rounds have nothing to reveal."""
    rng = np.random.default_rng(0)
    flag = (rng.random(800) < 0.5).astype(float)
    y = np.where(flag > 0, rng.random(800) < 0.8, rng.random(800) < 0.2).astype(float)
    bank = [Column("b", "number", numbers=rng.integers(0, 2, 800).astype(float))]
    lab = Laboratory(y, bank, {"telecom": [Column("f", "number", numbers=flag)]}, {"telecom": np.arange(800)}, tmp_path)
    trained = lab.train(PARAMS.model_copy(update={"discovery": "9x2"}), 1)
    assert trained.rounds <= 2
    assert set(trained.handles["telecom"]) == {Split(0, (0,)), Split(0, (0, 1))}, "the other is whether it holds a row"


def test_a_spent_partner_is_not_asked_any_more(tmp_path):
    """The information budget admits few thresholds; later rounds go without sums from the partner."""
    contract = OPEN.model_copy(update={"max_information_share": 0.15})
    made = make(tmp_path, 5, 600, 2, 5, 0.1, 0.9)
    lab = Laboratory(made.y, made.bank, made.partners, made.positions, tmp_path / "lab", contract)
    sent = recorded(lab)
    trained = lab.train(PARAMS.model_copy(update={"discovery": "30x1"}), 1)
    assert lab.task.partners[0].known.spent
    assert trained.rounds < 30
    assert not any(isinstance(message, Opening) for _, message in sent)


def test_a_model_of_fewer_trees_than_discovery_asks_for_is_encrypted_whole():
    assert BoostingParams(n_estimators=30).rounds("all") is None
    assert BoostingParams(n_estimators=31).rounds("all") == (10, 3)
    assert BoostingParams(n_estimators=31).rounds("node") is None
    assert BoostingParams(n_estimators=5, discovery="2x1").rounds("all") == (2, 1)
    with pytest.raises(ValueError, match="discovery"):
        BoostingParams(discovery="0x3")


@pytest.mark.parametrize("discovery", ["all", "6x2"])
def test_no_column_reveals_more_thresholds_than_the_contract_admits(tmp_path, discovery):
    made = make(tmp_path, 5, 600, 1, 3, 0.0, 1.0)
    told = {}
    for most in (2, 255):
        contract = OPEN.model_copy(update={"max_thresholds_a_column": most})
        lab = Laboratory(made.y, made.bank, made.partners, made.positions, tmp_path / f"{most}", contract)
        lab.train(PARAMS.model_copy(update={"discovery": discovery, "n_estimators": 30}), 1)
        known = lab.task.partners[0].known
        columns = [split.column for split in known.sides]
        told[most] = max(columns.count(column) for column in set(columns))
        assert not known.spent, "a column that is full says nothing of the information budget"
    assert told[2] == 2 < told[255]


def test_a_partner_does_not_reveal_more_thresholds_to_a_bank_that_asks(tmp_path):
    made = make(tmp_path, 5, 600, 1, 3, 0.0, 1.0)
    contract = OPEN.model_copy(update={"max_thresholds_a_column": 2})
    lab = Laboratory(made.y, made.bank, made.partners, made.positions, tmp_path / "lab", contract)
    view = lab.view("telecom", PARAMS.cutting)
    splits = tuple(Split(0, tuple(range(k))) for k in (1, 2, 3))
    answers = lab.reply("telecom", SplitQuery(layout=view.layout, splits=splits)).bits
    assert [bits is None for bits in answers] == [False, False, True]


@pytest.mark.parametrize("clause", [{"max_column_share": 0.4}, {"max_bits_a_row": 1.2}])
def test_a_split_that_tells_more_than_a_clause_admits_is_not_told(tmp_path, clause):
    """A first split of a column is told whatever its share, and every one counts in bits a row."""
    made = make(tmp_path, 5, 600, 1, 3, 0.0, 1.0)
    lab = Laboratory(made.y, made.bank, made.partners, made.positions, tmp_path / "lab", OPEN.model_copy(update=clause))
    view = lab.view("telecom", PARAMS.cutting)
    half = view.columns[0].ordinary // 2
    splits = tuple(Split(0, tuple(range(cut))) for cut in (half, half - 1, half + 1))
    answers = lab.reply("telecom", SplitQuery(layout=view.layout, splits=splits)).bits
    assert [bits is None for bits in answers] == [False, True, True]


def test_gain_per_bit_takes_the_cheaper_of_two_thresholds():
    """Left of the third of four equal bins lies a cell of 3/4; a cut in its middle tells less than one at its edge."""
    shape = ColumnShape(0, 4, False, False)
    grid = Grid.of([shape], [0])
    nothing = np.zeros((1, 5), dtype=bool)
    bits = bits_of_cuts(grid, np.full(4, 25.0), nothing)
    assert bits[0, :3] == pytest.approx([0.8113, 1.0, 0.8113], abs=1e-4)
    known = nothing.copy()
    known[0, 1] = True
    assert bits_of_cuts(grid, np.full(4, 25.0), known)[0, [0, 2]] == pytest.approx([0.5, 0.5])
    rare = bits_of_cuts(grid, np.array([0.001, 50.0, 50.0, 0.0]), nothing)
    assert rare[0, 0] == pytest.approx(0.01, abs=1e-3), "1% of the column's entropy at least"


def test_gain_per_bit_reveals_more_thresholds_for_the_same_budget(tmp_path):
    contract = OPEN.model_copy(update={"max_information_share": 0.2})
    counts = {"gain": 0, "gain_per_bit": 0}
    for seed, choice in product(range(4), counts):
        folder = tmp_path / f"{choice}{seed}"
        made = make(folder, seed, 1000, 2, 8, 0.0, 1.0)
        lab = Laboratory(made.y, made.bank, made.partners, made.positions, folder, contract)
        lab.train(PARAMS.model_copy(update={"discovery": "20x2", "split_choice": choice}), 1)
        counts[choice] += len(lab.task.partners[0].known.sides)
        assert lab.task.partners[0].known.information_share <= 0.2
    assert counts["gain_per_bit"] > counts["gain"]


def with_a_leaking_column(folder: Path) -> Laboratory:
    """A bank one of whose columns is the label itself, nearly."""
    made = make(folder, 3, 600, 2, 5, 0.1, 0.9)
    leak = Column("written afterwards", "number", numbers=made.y * 10 + made.bank[0].numbers.clip(-1, 1))
    return replace(made, bank=[*made.bank, leak])


@pytest.mark.parametrize("partners", [True, False])
def test_a_column_of_the_bank_that_is_the_label_is_named_whoever_takes_part(tmp_path, partners):
    lab = with_a_leaking_column(tmp_path)
    lab = lab if partners else replace(lab, partners={}, positions={})
    leaking = together([lab.train(PARAMS, 1).leaking_columns])
    assert [(found.party, found.number) for found in leaking] == [("bank", 2)]


def test_target_leakage_is_looked_for_at_one_margin_alone(tmp_path):
    """A set that begins with known splits asks at the margin of a local model, where a bin's sums tell no bads."""
    lab = make(tmp_path, 3, 600, 2, 5, 0.1, 0.9)
    trained = lab.train(PARAMS, 1)
    found = {"telecom": frozenset(trained.handles["telecom"][:2])}
    looked = []
    with mock.patch.object(ensemble, "leaking_columns", side_effect=lambda *_: looked.append(1) or ()):
        task = replace(lab.task, found=found, params=PARAMS.model_copy(update={"discovery": "1x1"}))
        asked = replace(task, label=replace_struct(task.label, party_set=5))
        drive(boost(asked), lambda requests: {p: lab.reply(p, message) for p, message in requests.items()})
    assert len(looked) == 2, "by the local model of the round, and by the fit; not by the encrypted tree"


def test_whether_a_row_is_held_is_no_column_of_the_bank(tmp_path):
    """Known columns lie among what the bank sums itself; what they rank is not the bank's."""
    made = make(tmp_path, 3, 600, 2, 5, 0.0, 1.0)
    positions = np.where(made.y > 0, made.positions["telecom"], -1)
    lab = replace(made, positions={"telecom": positions})
    assert lab.train(PARAMS, 1).leaking_columns == ()

"""Boosted trees against XGBoost, engine against engine, and within the contract."""

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as replace_struct

from bank_node.models.trees import TreeModel
from experiments.laboratory import JOB, OPEN, Laboratory
from protocol.algorithms.boosting import Opening, SplitQuery, Sums, SumsQuery
from protocol.algorithms.parameters import BoostingParams
from protocol.algorithms.runs import Label
from protocol.contract import Contract
from protocol.errors import IntegrityError, RefusedError
from protocol.he.plan import FieldBounds
from tests.conformance.oracle import differ_by_a_tie, make, margins_of, oracle, require_alike
from tests.laboratory import categories, numbers, some_columns

# -- XGBoost as the oracle --------------------------------------------------------------------------------------

TIES = {"trees": 0, "tied": 0}
BOUNDS = FieldBounds(5, 15)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000), n=st.integers(60, 400), d_bank=st.integers(1, 4), d_partner=st.integers(1, 5),
    missing=st.sampled_from([0.0, 0.2]), coverage=st.sampled_from([1.0, 0.8]), depth=st.integers(1, 4),
    reg_lambda=st.sampled_from([0.5, 1.0, 5.0]), alpha=st.sampled_from([0.0, 0.3]), gamma=st.sampled_from([0.0, 0.2]),
    weight=st.sampled_from([0.0, 1.0, 3.0]),
)  # fmt: skip
def check_against_xgboost(seed, n, d_bank, d_partner, missing, coverage, depth, reg_lambda, alpha, gamma, weight):
    params = BoostingParams(
        n_estimators=3, max_depth=depth, learning_rate=0.3, reg_lambda=reg_lambda, reg_alpha=alpha, gamma=gamma,
        min_child_weight=weight,
    )  # fmt: skip
    with TemporaryDirectory() as folder:
        lab = make(Path(folder), seed, n, d_bank, d_partner, missing, coverage)
        trained = lab.train(params, seed)
        alike = require_alike(lab, trained, oracle(lab, params, seed, margins_of(lab, trained)))
        TIES["trees"] += len(trained.model.trees)
        TIES["tied"] += not alike


def test_grows_the_trees_of_xgboost():
    check_against_xgboost()
    assert TIES["tied"] < TIES["trees"] / 10, f"ties must not hide differences: {TIES}"


def test_a_tie_of_equal_covers_is_told_from_another_tree(tmp_path):
    """Two columns divide the rows into parts of the same sizes with the same bads, though other rows."""
    first = np.repeat([0.0, 1.0], 40)
    y = np.r_[np.repeat([1.0, 0.0], [30, 10]), np.repeat([1.0, 0.0], [10, 30])]
    second = first.copy()
    second[[0, 40]] = [1.0, 0.0]  # a bad row of either part changes sides
    third = np.tile([0.0, 1.0], 40)
    columns = [numbers(f"x{k}", values) for k, values in enumerate((first, second, third))]
    lab = Laboratory(y, columns[:1], {"telecom": columns[1:]}, {"telecom": np.arange(80)}, tmp_path)
    params = BoostingParams(n_estimators=1, max_depth=2, min_child_weight=0.0)
    trained = lab.train(params, 0)
    booster = oracle(lab, params, 0, margins_of(lab, trained))
    dump = booster.get_dump(with_stats=True, dump_format="json")[0]
    alike = json.loads(dump)
    assert not differ_by_a_tie(lab, trained, trained.model.trees[0], alike)
    exchanged = json.loads(dump)
    exchanged["split"] = {"f0": "f1", "f1": "f0"}[exchanged["split"]]
    assert differ_by_a_tie(lab, trained, trained.model.trees[0], exchanged)
    exchanged["gain"] *= 1.01
    assert not differ_by_a_tie(lab, trained, trained.model.trees[0], exchanged)


# -- engines ----------------------------------------------------------------------------------------------------

PARAMS = BoostingParams(n_estimators=4, max_depth=3, learning_rate=0.3, reg_lambda=1.0)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000), noise=st.sampled_from([0.0, 1.0]), split_rows=st.sampled_from(["all", "node"]))
def test_blind_and_plaintext_grow_the_same_model(seed, noise, split_rows):
    contract = OPEN.model_copy(update={"histogram_noise": noise})
    with TemporaryDirectory() as folder:
        lab = replace(make(Path(folder) / "p", seed, 300, 2, 3, 0.1, 0.9), contract=contract, split_rows=split_rows)
        clear = lab.train(PARAMS, seed)
        blind = replace(lab, engine="blind", folder=Path(folder) / "b").train(PARAMS, seed)
    assert clear.model.sha256 == blind.model.sha256
    assert (clear.margin == blind.margin).all()


def test_split_rows_do_not_change_the_model(tmp_path):
    lab = make(tmp_path / "a", 5, 300, 2, 3, 0.1, 0.9)
    told_all, told_node = lab.train(PARAMS, 5), replace(lab, split_rows="node", folder=tmp_path / "n").train(PARAMS, 5)
    assert told_all.model.sha256 == told_node.model.sha256


def test_one_more_row_order_the_same_model(tmp_path):
    lab = make(tmp_path / "a", 6, 300, 2, 3, 0.1, 0.9)
    order = np.random.default_rng(0).permutation(307)
    back = np.argsort(order)
    columns = [replace(c, numbers=c.numbers[order]) for c in lab.partners["telecom"]]
    at = lab.positions["telecom"]
    moved = {"telecom": np.where(at >= 0, back[at], -1)}
    other = replace(lab, partners={"telecom": columns}, positions=moved, folder=tmp_path / "b")
    assert lab.train(PARAMS, 6).model.sha256 == other.train(PARAMS, 6).model.sha256


# -- categories, sampling, stopping -----------------------------------------------------------------------------


def test_categories_split_by_subset(tmp_path):
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 8, 400)
    y = (np.isin(codes, [1, 4, 6]) ^ (rng.random(400) < 0.1)).astype(float)
    lab = Laboratory(
        y, some_columns(rng, 400, 1, 0.0), {"telecom": [categories("brand", codes)]},
        {"telecom": np.arange(400)}, tmp_path,
    )  # fmt: skip
    plain = {"cat_smooth": 0, "cat_l2": 0, "min_data_per_group": 0}
    trained = lab.train(BoostingParams(n_estimators=1, max_depth=1, **plain))
    split, missing = trained.handles["telecom"]
    assert len(missing.left) == lab.task.partners[0].columns[0].ordinary, "known with any split of the column"
    groups = lab.answerers["telecom"].table.rules[0].groups
    left = {name for b in split.left for name in groups[b]}
    assert left in ({"c001", "c004", "c006"}, {"c000", "c002", "c003", "c005", "c007"})


def test_row_sampling_is_zeros_and_columns_are_drawn_by_seed(tmp_path):
    lab = make(tmp_path / "a", 8, 300, 3, 3, 0.0, 1.0)
    params = PARAMS.model_copy(update={"subsample": 0.5, "colsample_bytree": 0.5})
    first = lab.train(params, 1)
    again = replace(lab, folder=tmp_path / "b").train(params, 1)
    other = replace(lab, folder=tmp_path / "c").train(params, 2)
    assert first.model.sha256 == again.model.sha256 != other.model.sha256
    assert all(tree[0].rows < 200 for tree in first.model.trees)


def test_early_stopping_keeps_the_best_tree(tmp_path):
    lab = make(tmp_path, 9, 400, 2, 2, 0.0, 1.0)
    fitted = np.arange(400) < 200
    params = BoostingParams(discovery="all", n_estimators=60, max_depth=4, learning_rate=0.8, early_stopping_rounds=3)
    trained = lab.train(params, 1, fitted)
    assert 0 < len(trained.model.trees) < 57
    assert np.allclose(margins_of(lab, trained)[-1], trained.margin)
    used = {n.handle for tree in trained.model.trees for n in tree if n.left >= 0 and n.party == "telecom"}
    assert used == set(range(len(used))), "handles are numbered by the trees that are left"
    (view,) = lab.task.partners
    further = trained.handles["telecom"][len(used) :]
    assert all(len(s.left) == view.columns[s.column].ordinary for s in further), "trees left out leave no thresholds"


# -- the contract -----------------------------------------------------------------------------------------------


def test_information_budget_is_kept_and_training_goes_on(tmp_path):
    lab = make(tmp_path, 2, 600, 1, 4, 0.1, 1.0)
    limited = replace(lab, contract=OPEN.model_copy(update={"max_information_share": 0.2}), folder=tmp_path / "l")
    trained = limited.train(BoostingParams(n_estimators=20, max_depth=3))
    answerer = limited.answerers["telecom"]
    assert 0 < answerer.information_share <= 0.2
    assert limited.task.partners[0].known.spent
    assert len(trained.model.trees) == 20
    last_uses = [n.party for tree in trained.model.trees[10:] for n in tree if n.left >= 0]
    assert "telecom" in last_uses, "known thresholds stay in use"
    free = replace(lab, folder=tmp_path / "f")
    free.train(BoostingParams(n_estimators=20, max_depth=3))
    assert free.answerers["telecom"].information_share > 0.2


def test_the_answer_that_would_make_too_much_readable_is_refused_by_name_and_spends_nothing(tmp_path):
    lab = make(tmp_path, 2, 600, 1, 3, 0.0, 1.0)
    free = replace(lab, folder=tmp_path / "free")
    free.train(BoostingParams(n_estimators=6, max_depth=2))
    whole = free.answerers["telecom"]
    spent = whole.budgets.equations("bank", "data")
    assert whole.readable.share > 0.3, "1 stands for what the job needs"
    lab.contract = OPEN.model_copy(update={"max_readable_share": 0.3})
    with pytest.raises(RefusedError, match=r"and 0.3 is agreed .contract clause max_readable_share"):
        lab.train(BoostingParams(n_estimators=6, max_depth=2))
    answerer = lab.answerers["telecom"]
    assert 0 < answerer.readable.share <= 0.3
    assert 0 < answerer.budgets.equations("bank", "data") < spent
    assert Contract(max_readable_share=0.3).stricter(Contract()).max_readable_share == 0.3


def test_equation_budget_refuses_with_the_number_of_trees_that_fit(tmp_path):
    lab = make(tmp_path, 2, 600, 1, 3, 0.0, 1.0)
    lab.contract = OPEN.model_copy(update={"max_equations_share": 0.1})
    with pytest.raises(RefusedError, match="max_equations_share"):
        lab.train(BoostingParams(n_estimators=20, max_depth=3))
    answerer = lab.answerers["telecom"]
    run = answerer.budgets.open_run("bank", "data", "f" * 64, b"m" * 32, b"e" * 32, None).number
    opening = Opening(job="f" * 64, run=run, layout="telecom", rows=600, equations=160, equations_a_tree=8)
    with pytest.raises(RefusedError, match=r"plan about \d trees"):
        answerer.handle(opening)


def test_small_nodes_are_not_queried(tmp_path):
    lab = make(tmp_path, 2, 300, 2, 2, 0.0, 1.0)
    lab.contract = OPEN.model_copy(update={"min_rows_per_node": 290})
    trained = lab.train(BoostingParams(n_estimators=3, max_depth=4))
    for tree in trained.model.trees:
        assert {node.party for node in tree[1:] if node.left >= 0} <= {"bank"}


def test_noise_is_zero_sum_or_the_bank_stops(tmp_path):
    lab = make(tmp_path, 2, 300, 1, 2, 0.1, 0.9)
    lab.contract = OPEN.model_copy(update={"histogram_noise": 2.0})
    lab.train(PARAMS)
    honest = lab.reply

    def bent(party, message):
        reply = honest(party, message)
        if isinstance(message, SumsQuery):
            sums = reply.sums.copy()
            sums[0, 0] += np.uint64(1)
            return Sums(plaintext=True, sums=sums)
        return reply

    lab.reply = bent
    lab.folder = tmp_path / "bent"
    with pytest.raises(IntegrityError, match="telecom: its sums do not add up"):
        lab.train(PARAMS)


def test_a_second_query_under_one_label_is_refused(tmp_path):
    lab = make(tmp_path, 2, 300, 1, 2, 0.1, 0.9)
    lab.train(PARAMS, seed=1)
    answerer, task = lab.answerers["telecom"], lab.task
    labels = (replace_struct(task.label, run=task.partners[0].run, node=1),)
    body = task.partners[0].kit.seal(np.ones((1, 307), dtype=np.int64), ("label",)).body
    query = SumsQuery(layout="telecom", labels=labels, columns=(0, 1), packed=True, g=BOUNDS, h=BOUNDS, body=body)
    with pytest.raises(IntegrityError, match="second, different"):
        answerer.handle(query)
    with pytest.raises(IntegrityError, match="does not exist"):
        answerer.handle(
            SplitQuery(layout="telecom", splits=(type(next(iter(task.partners[0].known.sides)))(99, (0,)),))
        )


def _label(tree: int) -> Label:
    return Label("sums", JOB, 1, tree=tree, node=99)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"g": FieldBounds(0, 12)}, "a sum was declared of 12 bits, where rows of 2.0 at most need 10"),
        ({"h": FieldBounds(5, 40)}, "a sum was declared of 40 bits, where rows of 2.5 at most need 15"),
        ({"packed": True}, "another length"),
        ({"labels": (_label(7), _label(7))}, "twice under one label"),
        ({"labels": (Label("sums", "f" * 64, 1),)}, "run it has not opened"),
        ({"labels": (Label("sums", JOB, 9),)}, "run it has not opened"),
        ({"columns": (0, 0)}, "columns that do not exist"),
        ({"columns": ()}, "the sums of no column"),
    ],
)
def test_what_would_get_round_the_noise_is_refused_and_spends_nothing(tmp_path, changed, sentence):
    lab = make(tmp_path, 2, 300, 1, 2, 0.1, 0.9)
    lab.train(PARAMS, seed=1)
    answerer, kit = lab.answerers["telecom"], lab.task.partners[0].kit
    spent = answerer.budgets.equations("bank", "data")
    good = {"labels": (_label(7),), "columns": (0, 1), "packed": False, "g": BOUNDS, "h": BOUNDS}
    body = kit.seal(np.ones((2, 307), dtype=np.int64), ("a", "b")).body
    with pytest.raises((IntegrityError, RefusedError), match=sentence):
        answerer.handle(SumsQuery(**{"layout": "telecom", "body": body, **good, **changed}))
    assert answerer.budgets.equations("bank", "data") == spent
    assert isinstance(answerer.handle(SumsQuery(layout="telecom", body=body, **good)), Sums)


def test_the_model_file_round_trips(tmp_path):
    trained = make(tmp_path, 2, 300, 2, 2, 0.1, 0.9).train(PARAMS)
    assert TreeModel.from_json(trained.model.to_json()) == trained.model
    assert sum(trained.model.importance().values()) == pytest.approx(1)


def test_contract_takes_the_stricter_side():
    ours, theirs = (
        Contract(min_rows_per_bin=10, histogram_noise=2),
        Contract(max_information_share=0.1, score_releases=5),
    )
    both = ours.stricter(theirs)
    assert (both.min_rows_per_bin, both.histogram_noise) == (20, 4.0)
    assert (both.max_information_share, both.score_releases) == (0.1, 5)

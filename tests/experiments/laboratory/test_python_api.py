"""The Python API in one process: an estimator as scikit-learn's are, whose scores are the nodes' own, and whose every
message stands in a ledger."""

import copy
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.utils.validation import check_is_fitted

from bank_node import FederatedBooster, Federation, NotFitted
from bank_node.families.catalogue import load_model
from bank_node.scoring.scoring import read_rows
from experiments import InProcessFederation, example_loans, federation_of
from protocol.algorithms.parameters import BoostingParams
from protocol.errors import DataError, FedwarnError, IntegrityError, RefusedError, UsageError

FAST = {"n_estimators": 4, "max_depth": 2, "max_bin": 8}


def rows_of(columns: dict[str, Any], chosen: slice) -> dict[str, Any]:
    return {name: values[chosen] for name, values in columns.items()}


@pytest.fixture(scope="module")
def tables() -> dict[str, dict[str, Any]]:
    return example_loans(rows=1500)


@pytest.fixture(scope="module")
def federation(tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("federation")
    with federation_of(tables, label="bad", folder=folder, progress=False) as made:
        yield made


@pytest.fixture(scope="module")
def train(tables) -> dict[str, Any]:
    return rows_of(tables["bank"], slice(0, 1100))


@pytest.fixture(scope="module")
def test(tables) -> dict[str, Any]:
    return rows_of(tables["bank"], slice(1100, None))


@pytest.fixture(scope="module")
def model(federation, train) -> FederatedBooster:
    return FederatedBooster(**FAST).fit(federation, train)


# -- scikit-learn's conventions ----------------------------------------------------------------------------------------


def test_parameters_are_those_of_a_job_and_three_of_our_own():
    params = FederatedBooster().get_params()
    assert params.keys() - BoostingParams.model_fields.keys() == {"partners", "validation_fraction", "random_state"}
    for name, field in BoostingParams.model_fields.items():
        assert params[name] == field.default
    assert FederatedBooster.__signature__.parameters.keys() == params.keys()


def test_the_document_names_every_method_parameter_and_fitted_attribute(model, federation):
    text = (Path(__file__).parents[3] / "docs" / "python-api.md").read_text(encoding="utf-8")
    public = {name for name in dir(FederatedBooster) if not name.startswith("_")} - {"get_params", "set_params"}
    fitted = {name for name in vars(model) if name.endswith("_")} - {"fitted_"}
    assert {"fit", "uplift"} <= public
    assert {"leakage_", "feature_importances_"} <= fitted
    for name in {*public, *fitted, "partners", "validation_fraction", "random_state"}:
        assert re.search(rf"`{name}[`(]", text), name


def test_clone_and_set_params_work_and_a_clone_is_not_fitted(model):
    cloned = clone(model)
    assert cloned is not model
    assert cloned.get_params() == model.get_params()
    assert cloned.n_estimators == 4
    assert cloned.set_params(n_estimators=9) is cloned
    assert (cloned.n_estimators, model.n_estimators) == (9, 4)
    with pytest.raises(NotFittedError):
        check_is_fitted(cloned)
    check_is_fitted(model)
    assert is_classifier(model)
    assert repr(FederatedBooster(max_depth=5)) == "FederatedBooster(max_depth=5)"


@pytest.mark.parametrize("ask", [lambda m: m.predict_proba(None), lambda m: m.leakage_, lambda m: m.save("x")])
def test_before_a_fit_there_is_nothing(ask):
    with pytest.raises(NotFitted, match=r"not fitted yet; call fit\(federation, rows\) first\.") as raised:
        ask(FederatedBooster())
    assert isinstance(raised.value, ValueError)
    assert not hasattr(FederatedBooster(), "model_")


def test_wrong_parameters_and_arguments_are_said_in_a_sentence(federation, train):
    with pytest.raises(UsageError, match=r"no parameter 'n_estimator' .nearest: 'n_estimators'"):
        FederatedBooster(n_estimator=3)
    with pytest.raises(UsageError, match="no parameter 'depth'"):
        FederatedBooster().set_params(depth=3)
    kept = FederatedBooster(max_depth=-1)  # as scikit-learn's, it is fit that looks at values
    with pytest.raises(UsageError, match="max_depth"):
        kept.fit(federation, train)
    with pytest.raises(UsageError, match="'telecon' is no partner"):
        FederatedBooster(partners=["telecon"]).fit(federation, train)
    with pytest.raises(UsageError, match="no federation"):
        FederatedBooster().fit(train)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="column 'bad' is not in rows"):
        FederatedBooster(**FAST).fit(federation, {k: v for k, v in train.items() if k != "bad"})


# -- scores ------------------------------------------------------------------------------------------------------------


def test_scores_are_the_nodes_own_bit_for_bit_whatever_the_order_and_form_of_the_rows(
    federation, model, train, test, tmp_path
):
    proba = model.predict_proba(test)
    assert proba.shape == (400, 2)
    np.testing.assert_array_equal(proba[:, 0], 1 - proba[:, 1])
    path = tmp_path / "test.csv"
    frame = pd.DataFrame(test)
    frame.to_csv(path, index=False)
    np.testing.assert_array_equal(model.predict_proba(path), proba)
    turned = np.random.default_rng(1).permutation(400)
    np.testing.assert_array_equal(model.predict_proba(frame.drop(columns="bad").iloc[turned]), proba[turned])
    with federation.node(federation.config) as node:
        scored = node.score(model.fitted_.model, read_rows(federation.config, model.fitted_.model, path), set())
    by_id = dict(zip((i.decode() for i in scored.ids), scored.score.tolist(), strict=True))
    assert [by_id[name] for name in test["id"]] == proba[:, 1].tolist()
    np.testing.assert_array_equal(model.predict(test), proba[:, 1] > 0.5)
    without = model.predict_proba(test, absent=["telecom", "bureau"])
    assert (without != proba).any()


def test_a_score_is_scikit_learns_auc_and_the_uplift_names_both(model, test):
    auc = roc_auc_score(test["bad"], model.predict_proba(test)[:, 1])
    assert model.score(test) == pytest.approx(auc, abs=1e-12)
    assert model.score(test, "gini") == pytest.approx(2 * auc - 1, abs=1e-12)
    assert 0 < model.score(test, "precision@0.1") <= 1
    for wrong in ("accuracy", "precision@2", "recall@x"):
        with pytest.raises(UsageError, match="is no metric"):
            model.score(test, wrong)
    alone, together = model.uplift(test)
    assert (alone["parties"], together["parties"]) == ("bank", "bank + telecom + bureau")
    assert together["auc"] == pytest.approx(auc, abs=1e-12)
    assert together["auc uplift"] == pytest.approx(together["auc"] - alone["auc"], abs=1e-12)
    assert together["low"] < together["auc uplift"] < together["high"]


def test_importances_are_shares_of_the_gain_by_column(model, federation):
    assert len(model.feature_names_) == len(model.feature_importances_) == 2 + 3 + 2
    assert model.feature_importances_.sum() == pytest.approx(1)
    assert model.feature_names_[:2] == ["income", "debt_ratio"]
    of_party = model.model_.importance()
    for partner in federation.partners:
        mine = [v for n, v in zip(model.feature_names_, model.feature_importances_, strict=True) if partner in n]
        assert sum(mine) == pytest.approx(of_party[partner])
    assert [row["gain"] for row in model.importances_] == sorted(model.feature_importances_, reverse=True)


@pytest.mark.parametrize("objective", ["reg:squarederror", "count:poisson", "multi:softprob"])
def test_labels_may_be_numbers_or_classes(tables, objective):
    count = np.round(2 + tables["bank"]["debt_ratio"] - tables["bank"]["income"]).clip(0, 4).astype(int)
    bank = {**tables["bank"], "bad": count}
    train, test = rows_of(bank, slice(0, 1100)), rows_of(bank, slice(1100, None))
    few = {"objective": objective, "num_class": 5 if "multi" in objective else 0, "max_bin": 8}
    with federation_of({**tables, "bank": bank}, label="bad", engine="plaintext", progress=False) as made:
        model = FederatedBooster(n_estimators=6, learning_rate=0.5, **few).fit(made, train)
        predicted = model.predict(test)
        assert len(model.uplift(test)) == 2
        if "multi" in objective:
            assert model.predict_proba(test).shape == (400, 5) == (400, len(model.classes_))
            np.testing.assert_allclose(model.predict_proba(test).sum(axis=1), 1)
            assert model.score(test, "accuracy") == (predicted == test["bad"]).mean() > 0.4
            assert is_classifier(model)
            return
        assert model.score(test) == pytest.approx(np.sqrt(((predicted - test["bad"]) ** 2).mean()))
        assert model.score(test) < test["bad"].std()
        assert not is_classifier(model)
        with pytest.raises(UsageError, match="call predict"):
            model.predict_proba(test)
        with pytest.raises(UsageError, match="'auc' is no metric of this model; choose one of rmse"):
            model.score(test, "auc")


# -- the model folder --------------------------------------------------------------------------------------------------


def test_a_saved_model_is_a_model_folder_and_comes_back(model, federation, test, tmp_path):
    folder = tmp_path / "saved" / "model"
    model.save(folder)
    assert load_model(folder).model.sha256 == model.model_.sha256
    for back in (FederatedBooster.load(folder, federation), _unpickled(model, federation)):
        assert back.get_params() == model.get_params()
        np.testing.assert_array_equal(back.predict_proba(test), model.predict_proba(test))
        assert list(back.leakage_) == list(model.leakage_)
        assert list(back.uplift(test)) == list(model.uplift(test))
    (folder / "booster.json").unlink()
    shutil.rmtree(folder / "alone")  # as `bank-node train` leaves it
    bare = FederatedBooster.load(folder, federation)
    assert bare.feature_importances_.sum() == pytest.approx(1)
    assert {"telecom", "bureau"} <= set(bare.feature_names_)
    np.testing.assert_array_equal(bare.predict_proba(test), model.predict_proba(test))
    with pytest.raises(UsageError, match="without the bank's own"):
        bare.uplift(test)
    text = (folder / "trees.json").read_text()
    (folder / "trees.json").write_text(text.replace('"default_left":true', '"default_left":false', 1))
    with pytest.raises(IntegrityError, match="was changed"):
        FederatedBooster.load(folder, federation)
    with pytest.raises(UsageError, match="there is none"):
        FederatedBooster.load(tmp_path / "nowhere", federation)


def _unpickled(model: FederatedBooster, federation: Federation) -> FederatedBooster:
    """A model and its files travel; the federation stays where it is."""
    back: FederatedBooster = pickle.loads(pickle.dumps(model))  # noqa: S301
    with pytest.raises(NotFitted, match="no federation"):
        back.predict_proba(None)
    back.federation_ = federation
    return back


# -- ledgers and budgets -----------------------------------------------------------------------------------------------


def test_both_sides_ledgers_tell_the_same_of_what_passed(federation, model, test):
    model.predict_proba(test)
    told = list(federation.disclosures())
    assert {"boosting.sums", "boosting.splits", "scoring.bits", "alignment.own_ids"} <= {row["kind"] for row in told}
    for partner in federation.partners:
        between = [row for row in told if partner in (row["sender"], row["receiver"])]
        assert sorted(map(str, federation.ledger(partner))) == sorted(map(str, between))
    assert {row["sender"] for row in federation.disclosures("telecom")} == {"telecom"}
    with pytest.raises(UsageError, match="is no party"):
        federation.ledger("nobody")


def test_an_overlap_counts_the_rows_that_both_hold_and_is_the_alignment_of_the_fit(federation, tables, model, train):
    before = _count(federation, "alignment.start")
    found = federation.overlap({name: values for name, values in train.items() if name == "id"})
    assert _count(federation, "alignment.start") == before, "kept from the fit"
    for row in found:
        held = set(tables[row["partner"]]["id"]) & set(train["id"])
        assert (row["rows"], row["matched"]) == (1100, len(held))
        assert row["share"] == len(held) / 1100


def test_the_same_fit_again_is_the_same_model_and_spends_nothing(federation, model, train):
    before = _count(federation, "boosting.sums_query")
    again = clone(model).fit(federation, train)
    assert again.model_.sha256 == model.model_.sha256
    assert _count(federation, "boosting.sums_query") == before > 0
    spent = {row["partner"]: row["equations_share"] for row in model.leakage_}
    assert {row["partner"]: row["equations_share"] for row in again.leakage_} == spent
    other = {**train, "bad": 1 - train["bad"]}
    clone(model).fit(federation, other)
    assert _count(federation, "boosting.sums_query") > before, "other labels are another job"


def test_a_refit_asks_nobody_and_predicts_as_any_model_does(federation, model, train, test):
    before = {row["kind"]: row["count"] for row in federation.disclosures()}
    other = model.refit(train, n_estimators=9, max_depth=3)
    assert {row["kind"]: row["count"] for row in federation.disclosures()} == before
    assert len(other.model_.trees) == 9 != len(model.model_.trees)
    assert (other.n_estimators, other.max_depth) == (9, 3)
    assert model.n_estimators != 9, "the first one is as it was"
    assert other.predict_proba(test).shape == model.predict_proba(test).shape
    with pytest.raises(DataError, match="not the one"):
        model.refit({**train, "bad": 1 - train["bad"]})
    with pytest.raises(UsageError, match="max_bin"):
        model.refit(train, max_bin=5)
    with pytest.raises(NotFitted):
        FederatedBooster().refit(train)


def _count(federation: Federation, kind: str) -> int:
    return sum(row["count"] for row in federation.disclosures() if row["kind"] == kind)


def test_budgets_hold_and_are_told(tables, train):
    with federation_of(
        tables, label="bad", contract={"max_information_share": 0.1}, engine="plaintext", progress=False
    ) as tight:
        model = FederatedBooster(**{**FAST, "n_estimators": 8}).fit(tight, train)
        for row in model.leakage_:
            assert 0 <= row["information_share"] <= row["max_information_share"] == 0.1
            assert row["queries"] > 0
            assert row["equations_share"] > 0
    with (
        federation_of(
            tables,
            label="bad",
            contract={"max_equations_share": 0.01},
            enforce=True,
            engine="plaintext",
            progress=False,
        ) as tight,
        pytest.raises(RefusedError, match="max_equations_share"),
    ):
        FederatedBooster().fit(tight, train)


def test_the_trees_themselves_may_be_pickled_and_copied(model):
    trees = model.model_
    pickled = pickle.loads(pickle.dumps(trees))  # noqa: S301
    for again in (pickled, copy.deepcopy(trees), copy.copy(trees)):
        assert again == trees
        assert again.to_json() == trees.to_json()


# -- in one process ----------------------------------------------------------------------------------------------------


def test_engines_agree_and_early_stopping_leaves_rows_out(tables, train, model):
    with federation_of(tables, label="bad", engine="plaintext", progress=False) as other:
        plain = FederatedBooster(**FAST).fit(other, train)
        stopping = {**FAST, "n_estimators": 30, "early_stopping_rounds": 2, "learning_rate": 1.0}
        stopped = FederatedBooster(**stopping, validation_fraction=0.3).fit(other, train)
    assert plain.model_.sha256 == model.model_.sha256, "with the noise of a seed, a try can be repeated"
    assert len(stopped.model_.trees) < 30
    assert stopped.model_.trees[0][0].rows == 770


def test_early_stopping_needs_rows_to_judge_on(tables, train):
    made = federation_of(tables, label="bad", engine="plaintext", progress=False)
    with made, pytest.raises(UsageError, match="set validation_fraction"):
        FederatedBooster(**FAST, early_stopping_rounds=2).fit(made, train)


def test_partners_declare_directions_of_their_columns():
    rng = np.random.default_rng(5)
    calls = rng.standard_normal(800)
    bad = (rng.random(800) < 1 / (1 + np.exp(-2 * calls))).astype(int)
    ids = np.arange(800)
    made = {"bank": {"id": ids, "bad": bad, "own": rng.standard_normal(800)}, "p": {"id": ids, "calls": calls}}
    contract = {"histogram_noise": 0.0, "max_information_share": 1.0}  # one column: 0.2 admits no threshold
    settings = {"label": "bad", "engine": "plaintext", "contract": contract, "progress": False}
    gains = []
    for direction in (1, -1):
        with federation_of(made, monotone={"p": {"calls": direction}}, **settings) as federation:
            gains.append(FederatedBooster(**FAST).fit(federation).model_.importance()["p"])
    assert gains[0] > 0.5, "with its direction it is worth much"
    assert gains[1] < gains[0] / 2, "against it, next to nothing"
    with pytest.raises(UsageError, match="'q' is no partner"):
        federation_of(made, monotone={"q": {"calls": 1}}, **settings)
    with pytest.raises(DataError, match="callz"):
        federation_of(made, monotone={"p": {"callz": 1}}, **settings)


def test_it_says_what_is_wrong_with_the_tables_and_that_it_is_closed(tables, tmp_path):
    with pytest.raises(UsageError, match="one table only"):
        federation_of({"bank": tables["bank"]}, label="bad")
    with pytest.raises(DataError, match="telecom: column 'id' is not in"):
        federation_of({"bank": tables["bank"], "telecom": {"x": [1, 2]}}, label="bad")
    with pytest.raises(UsageError, match="weigth"):
        federation_of(tables, label="bad", weigth="w")
    made = federation_of(tables, label="bad", engine="plaintext", progress=False)
    state = made.config.state
    assert state.parent.exists()
    made.close()
    assert not state.parent.exists()
    with pytest.raises(FedwarnError, match="is closed"):
        FederatedBooster(**FAST).fit(made, tables["bank"])
    assert not state.parent.exists()
    assert isinstance(made, InProcessFederation)


def test_files_of_the_parties_are_read_where_they_lie(tables, tmp_path):
    paths = {}
    for party, columns in tables.items():
        paths[party] = tmp_path / f"{party}.csv"
        pd.DataFrame(columns).to_csv(paths[party], index=False)
    with federation_of(paths, label="bad", engine="plaintext", progress=False) as made:
        model = FederatedBooster(**FAST, partners="telecom").fit(made)  # on the bank's own table
        assert model.model_.parties == ("bank", "telecom")
        assert len(model.predict_proba()) == 1500
        assert 0.5 < model.score() <= 1
    assert Path(paths["bank"]).exists()


def test_rows_at_points_in_time_keep_their_order_too(tmp_path):
    days = np.array(["2024-01-01", "2024-02-01", "2024-03-01"], dtype="datetime64[D]")
    people, random = np.array([f"C{k:03}" for k in range(150)], dtype=object), np.random.default_rng(3)
    asked = random.permutation(450)
    bank = {"id": np.repeat(people, 3)[asked], "day": np.tile(days, 150)[asked], "own": random.random(450)}
    calls = random.random(300)
    telecom = {"id": np.repeat(people, 2), "day": np.tile(days[:2], 150), "calls": calls}
    now = 2 * np.repeat(np.arange(150), 3)[asked] + np.minimum(np.tile([0, 1, 2], 150)[asked], 1)
    bank["bad"] = (calls[now] > 0.6).astype(int)
    grid = {"as_of": "day", "period": "month", "first": "2024-01-01", "last": "2024-03-31"}
    clear = {"contract": {"histogram_noise": 0, "max_information_share": 1}, "engine": "plaintext", "progress": False}
    with federation_of({"bank": bank, "telecom": telecom}, "bad", **clear, **grid) as made:
        model = FederatedBooster(**FAST).fit(made, bank)
        proba = model.predict_proba(bank)
        assert model.importances_[0]["feature"] == "telecom: column 1"
        assert roc_auc_score(bank["bad"], proba[:, 1]) > 0.95
        turned = random.permutation(450)[:200]
        np.testing.assert_array_equal(model.predict_proba(rows_of(bank, turned)), proba[turned])

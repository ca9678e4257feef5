"""Shapley values: weights against all orders of joining, efficiency to 1e-9; whole runs with families and prices."""

import shutil
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_node.metrics.money import money
from bank_node.metrics.scores import Scored
from experiments.run.run import run
from experiments.studies.value.card import Card
from experiments.studies.value.document import METRICS, Value, read_value
from experiments.studies.value.shapley import coalitions, error_of_sampling, exact, orders, sampled
from experiments.studies.value.trainings import families_of
from experiments.studies.value.value import value
from protocol.errors import RefusedError, UsageError
from protocol.job import load_job
from protocol.job.stakes import Stakes
from tests.e2e.commands import call
from tests.e2e.tables import scenario

NAMES = ("a", "b", "c", "d", "e", "f")


@settings(deadline=None)
@given(st.integers(1, 5), st.randoms(use_true_random=False))
def test_a_value_is_the_mean_contribution_over_all_orders_and_values_sum_to_the_whole(n: int, random: Any) -> None:
    partners = NAMES[:n]
    worth = {c: random.random() for c in coalitions(partners)}
    weights = exact(partners)
    every = sampled(list(permutations(partners)))
    values = {p: sum(w * worth[c] for c, w in weights[p].items()) for p in partners}
    for p in partners:
        assert values[p] == pytest.approx(sum(w * worth[c] for c, w in every[p].items()), abs=1e-12)
    assert sum(values.values()) == pytest.approx(worth[frozenset(partners)] - worth[frozenset()], abs=1e-9)


def test_a_partner_that_adds_nothing_is_worth_nothing_and_twins_are_worth_the_same() -> None:
    partners = NAMES[:4]
    worth = {c: float(len(c & {"a", "b"}) > 0) + 2 * ("c" in c) for c in coalitions(partners)}
    values = {p: sum(w * worth[c] for c, w in own.items()) for p, own in exact(partners).items()}
    assert values == pytest.approx({"a": 0.5, "b": 0.5, "c": 2.0, "d": 0.0})


def test_sampled_values_sum_to_the_whole_and_lie_within_their_error() -> None:
    partners, rng = (*NAMES, "g"), np.random.default_rng(3)
    strength = dict(zip(partners, rng.random(7), strict=True))
    worth = {c: sum(strength[p] for p in c) ** 0.5 for c in coalitions(partners)}
    truth = {p: sum(w * worth[c] for c, w in own.items()) for p, own in exact(partners).items()}
    chosen = orders(partners, 40, seed=7)
    found = {p: sum(w * worth[c] for c, w in own.items()) for p, own in sampled(chosen).items()}
    assert sum(found.values()) == pytest.approx(worth[frozenset(partners)], abs=1e-9)
    errors = {p: error_of_sampling(chosen, worth, p) for p in partners}
    assert all(0 < error < 0.05 for error in errors.values())
    assert all(abs(found[p] - truth[p]) < 4 * errors[p] for p in partners)
    assert orders(partners, 40, seed=7) == chosen
    assert all(chosen[k] == chosen[k + 1][::-1] for k in range(0, 40, 2))


def test_money_is_what_the_loss_matrix_says() -> None:
    label, score = np.array([1, 0, 1, 0], dtype=np.uint8), np.array([0.9, 0.8, 0.7, 0.1])
    scored = Scored(label, None, {("r", "m"): score}, {}, amount=np.array([100.0, 50.0, 30.0, 10.0]))
    stakes = Stakes(alert_rate=0.5, saved=0.4, alert_cost=3.0)
    weights = np.array([[1.0, 1.0, 1.0, 1.0], [2.0, 1.0, 1.0, 0.0]])
    assert money(scored, ("r", "m"), stakes, weights).tolist() == pytest.approx([40 - 6, 80 - 6])
    scaled = stakes.model_copy(update={"customers": 400})
    assert money(scored, ("r", "m"), scaled, weights).tolist() == pytest.approx([3400, 7400])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("value")
    values: dict[str, Any] = {"saved": 0.5, "amount": 1000.0, "prices": {"telecom": 1e6},
                              "families": {"telecom": {"use": ["calls", "towers"]}}}  # fmt: skip
    path = scenario(folder, rows=500, run={"engine": "plaintext", "transport": "in-process"}, value=values)
    run(path, folder / "run", fresh=True, progress=lambda *_: None, overrides={}, page=False)
    return folder / "run"


def _sums(found: Value) -> None:
    for metric in METRICS:
        total = sum(own.shapley[metric].value for own in found.partners.values())
        assert total == pytest.approx(found.total[metric].value, abs=1e-9)


def test_two_partners_are_valued_from_the_runs_own_ladder_with_families_and_prices(finished: Path) -> None:
    ended = call("experiments", "value", finished, "--price", "bureau=-1e9")
    assert ended.code == 0, ended
    found = read_value(finished)
    _sums(found)
    assert not (finished / "value" / "coalitions").exists()
    assert (found.method, found.trained) == ("exact", 4)
    assert list(found.partners["telecom"].families) == ["use", "others"]
    assert list(found.partners["bureau"].families) == ["loans", "inquiries"]
    prices = {p: own.price.verdict for p, own in found.partners.items() if own.price}
    assert prices == {"telecom": "not_worth_price", "bureau": "worth_price"}
    for own in found.partners.values():
        for metric in METRICS:
            middle = (own.alone[metric].value + own.last[metric].value) / 2
            assert own.shapley[metric].value == pytest.approx(middle, abs=1e-12)
            assert own.shapley[metric].low <= own.shapley[metric].value <= own.shapley[metric].high
            assert own.sampling_error[metric] == 0
    assert ended.json["shapley"]["telecom"]["auc"]["value"] == found.partners["telecom"].shapley["auc"].value


def test_every_partner_has_a_card_for_its_eyes_alone(finished: Path) -> None:
    value(finished, {}, 0, False, lambda *_: None)
    for partner, names in (("telecom", {"calls", "towers", "brand"}), ("bureau", {"loans", "inquiries"})):
        folder = finished / "nodes" / partner
        card = Card.model_validate_json((folder / "card.json").read_text(encoding="utf-8"))
        assert card.partner == partner
        assert card.coverage == pytest.approx(0.9, abs=0.01)
        assert card.held == 500
        assert card.age_days is None
        assert {column.name for column in card.columns} == names
        assert all((folder / name).stat().st_mode & 0o077 == 0 for name in ("card.json", "card.html"))
        found = {column.name: column for column in card.columns}
        if partner == "telecom":
            assert found["calls"].band in ("medium", "strong")
            assert found["towers"].missing == pytest.approx(0.15, abs=0.06)
        assert all(0 <= column.drift < 0.5 for column in card.columns)


def test_sampled_orders_train_what_they_meet_and_a_second_time_nothing(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run", ignore=shutil.ignore_patterns("value"))
    found = value(tmp_path / "run", {}, 1, False, lambda *_: None)
    _sums(found)
    assert (found.method, found.trained) == ("sampled", 3)
    with pytest.raises(UsageError, match="nobody"):
        value(finished, {"nobody": 1.0}, 0, False, lambda *_: None)


def test_coalitions_that_a_ladder_lacks_are_trained_and_what_does_not_fit_is_refused_before(tmp_path: Path) -> None:
    small = {"engine": "plaintext", "transport": "in-process", "ladder": [["bank", "telecom", "bureau"]]}
    path = scenario(tmp_path, rows=400, run=small, report={"placebo": False, "bootstrap": 30})
    for limit, name in ((1.0, "fits"), (0.12, "tight")):  # 270 matched rows: 32 sums; a rung asks for 24
        text = path.read_text(encoding="utf-8").replace("[contract]", f"[contract]\nmax_equations_share = {limit}")
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
        run(tmp_path / f"{name}.toml", tmp_path / name, fresh=True, progress=lambda *_: None, overrides={}, page=False)
    found = value(tmp_path / "fits", {}, 0, False, lambda *_: None)
    _sums(found)
    assert found.trained == 4
    phases: list[str] = []
    assert value(tmp_path / "fits", {}, 0, False, lambda phase, *_: phases.append(phase)) == found
    assert phases == []
    with pytest.raises(RefusedError, match=r"max_equations_share"):
        value(tmp_path / "tight", {}, 0, False, lambda phase, *_: phases.append(phase))
    assert phases == []


def test_families_are_told_by_letters(tmp_path: Path) -> None:
    job = load_job(scenario(tmp_path, rows=20))
    party = job.parties["telecom"].model_copy(update={"columns": ("PA022", "CD008", "CD018", "MB005")})
    found = families_of(job.model_copy(update={"parties": {**job.parties, "telecom": party}}))
    assert found["telecom"] == {"PA": ("PA022",), "CD": ("CD008", "CD018"), "MB": ("MB005",)}

"""Verdicts: Holm's correction, what a sample can show, and words that claim no more than the figures."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_node.metrics.intervals import Uplift
from bank_node.report.document import Placebo, Report, Rung, Verdict
from bank_node.report.names import Names
from bank_node.report.report import write_report
from bank_node.report.verdict import detectable, holm, verdicts
from tests.bank_node.report.simulated import simulate_run


def test_holm_is_that_of_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_p_and_bonferroni_and_keeps_the_order(p: list[float]) -> None:
    found = holm(p)
    assert all(a <= b <= min(1.0, len(p) * a) for a, b in zip(p, found, strict=True))
    order = np.argsort(p, kind="stable")
    assert np.all(np.diff(np.array(found)[order]) >= 0)


@pytest.mark.parametrize("comparisons", [1, 3])
def test_a_detectable_change_is_shown_in_four_cases_of_five(comparisons: int) -> None:
    rng, deviation = np.random.default_rng(5), 0.01
    change = detectable(-1.96 * deviation, 1.96 * deviation, comparisons)
    estimates = rng.normal(change, deviation, 20_000)
    strict = {1: 1.95996, 3: 2.39398}[comparisons]
    assert (estimates > strict * deviation).mean() == pytest.approx(0.8, abs=0.01)


def _judged(report: Report, value: float, half: float, p: float, placebo: tuple[float, float] = (-1, 1)) -> Verdict:
    """The verdict on a rung of the report whose AUC changed like this."""
    change = Uplift(value=value, low=value - half, high=value + half, p=p, method="paired delong")
    rungs: list[Rung] = [
        rung.model_copy(update={"uplift": {**rung.uplift, "auc": change}}) if rung.name == "all" else rung
        for rung in report.rungs
        if rung.name in ("bank", "all")
    ]
    low, high = placebo
    placebos = [Placebo(rung="placebo", model="boosting", metric="auc", low=low, high=high, covers_zero=low <= 0)]
    (found,) = verdicts(rungs, placebos, "binary", Names({}, "bank"), 0.005)
    return found


@pytest.mark.parametrize(
    ("value", "half", "p", "kind"),
    [
        (0.03, 0.01, 1e-6, "worth_buying"),
        (0.03, 0.04, 0.1, "not_shown"),
        (0.003, 0.001, 1e-6, "shown_worthless"),  # real, and too little
        (0.004, 0.003, 0.01, "not_shown"),
        (-0.02, 0.01, 1e-4, "shown_worthless"),
        (0.0, 0.004, 1.0, "shown_worthless"),
        (0.0, 0.02, 1.0, "not_shown"),
    ],
)
def test_kinds(report: Report, value: float, half: float, p: float, kind: str) -> None:
    found = _judged(report, value, half, p)
    assert found.verdict == kind
    assert "comparisons" not in found.sentence.en, "a single one needs no correction"


def test_nothing_is_worth_buying_where_permuted_rows_help(report: Report) -> None:
    found = _judged(report, 0.03, 0.01, 1e-6, (0.001, 0.02))
    assert found.verdict == "not_shown"
    assert "permuted rows" in found.sentence.en
    assert _judged(report, 0.03, 0.01, 1e-6, (-0.02, -0.001)).verdict == "worth_buying"


def test_nothing_is_shown_worthless_where_permuted_rows_cost_accuracy(report: Report) -> None:
    found = _judged(report, -0.02, 0.01, 1e-4, placebo=(-0.03, -0.01))
    assert found.verdict == "not_shown"
    assert "may understate" in found.sentence.en
    assert _judged(report, 0.03, 0.01, 1e-6, placebo=(-0.03, -0.01)).verdict == "worth_buying"


def test_every_rung_of_a_run_has_one_in_report_and_page(run: Path, report: Report) -> None:
    assert [v.rung for v in report.verdicts] == ["bank+bureau", "bank+telecom", "all"]
    assert all(v.comparisons == 3 and v.p <= v.p_holm <= 3 * v.p for v in report.verdicts)
    page = (run / "report.html").read_text(encoding="utf-8")
    for verdict in report.verdicts:
        assert verdict.sentence.en.split(":")[0] in ("Worth buying, as far as these data tell", "Not shown")
        assert verdict.sentence.zh.split("，")[0] in page
        assert "after correction for 3 comparisons" in verdict.sentence.en
    assert page.index("verdicts") < page.index("What each partner adds")


def test_a_rung_that_adds_nothing_is_not_worth_buying(tmp_path: Path) -> None:
    """Scores that differ by noise alone, on 20 seeds: at most 2 are judged worth buying."""
    bought = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        label, shared = (rng.random(1500) < 0.2).astype(int), rng.standard_normal(1500)
        lines = ["id,rung,model,part,label,score"]
        for rung in ("bank", "all"):
            score = 1 / (1 + np.exp(2 - 0.5 * label - shared - 0.3 * rng.standard_normal(1500)))
            lines += [f"C{i},{rung},boosting,test,{label[i]},{score[i]}" for i in range(1500)]
        folder = tmp_path / str(seed)
        facts = simulate_run(folder, rows=8, bootstrap=20)
        (folder / "absences.csv").unlink()
        (folder / "scores.csv").write_text("\n".join(lines), encoding="utf-8")
        kept = [rung for rung in facts.rungs if rung.name in ("bank", "all")]
        (folder / "facts.json").write_text(facts.model_copy(update={"rungs": kept}).model_dump_json(by_alias=True))
        bought += write_report(folder, page=False).verdicts[0].verdict == "worth_buying"
    assert bought <= 2

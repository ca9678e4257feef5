"""Results as experiments leave them, made from one simulated run: every page can be looked at without a training."""

from pathlib import Path

from bank_node.metrics.intervals import Uplift
from bank_node.record.facts import Text
from bank_node.report.report import write_report
from experiments.pages.index import index_page
from experiments.pages.render import card_page, compare_page, frontier_page, sweep_page, value_page
from experiments.studies.sweep.document import Run, SweepResult, _rung
from experiments.studies.sweep.point import Point
from experiments.studies.value.card import Card, CardColumn
from experiments.studies.value.document import METRICS, CoalitionWorth, PartnerValue, Price, Value
from protocol.job import Title
from protocol.job.stakes import Stakes
from tests.bank_node.report.simulated import simulate_run


def write_pages(folder: Path) -> dict[str, Path]:
    """Every kind of page, by name."""
    simulate_run(folder / "run", rows=3000, bootstrap=40, synthetic=True)
    result = sample_sweep(folder / "run")
    texts = {
        "sweep": sweep_page(result, True),
        "frontier": frontier_page(sample_points(), result),
        "value": value_page(sample_value("exact")),
        "value-sampled": value_page(sample_value("sampled")),
    }
    columns = [CardColumn(name="<b>calls", missing=0.1, band="weak", drift=0.02)]
    card = Card(partner="telecom", held=9, coverage=0.9, coverage_bads=0.8, coverage_goods=0.9, age_days=12.0,
                age_days_90=40.0, columns=columns)  # fmt: skip
    texts["card"] = card_page(card, Text(en="A sample", zh="样例"), False)
    report = write_report(folder / "run", page=True)
    texts["compare"] = compare_page({"one": report, "another <b>": report})
    texts["index"] = index_page(folder)[0]
    found = {"run": folder / "run" / "report.html"}
    for name, text in texts.items():
        found[name] = folder / f"{name}.html"
        found[name].write_text(text, encoding="utf-8")
    return found


def sample_sweep(folder: Path) -> SweepResult:
    """Six runs, one of which has failed."""
    report = write_report(folder, page=False)
    axes = {"seed": ["1", "2", "3"], "overlap": ["0.5", "0.9"], "<b>odd & long name of a setting</b>": ["x"]}
    runs = []
    for number in range(6):
        settings = {"seed": axes["seed"][number % 3], "overlap": axes["overlap"][number // 3]}
        error = {"party": "telecom", "thing": "it <i>refused</i>", "remedy": "ask less", "exit_code": 5}
        common = {"name": f"r{number}", "settings": settings, "label": f"run <{number}>", "begun": 1}
        if number == 5:
            runs.append(Run(**common, state="failed", folder="failed/r5", finished=0, error=error))
            continue
        rungs = [_rung(rung) for rung in report.rungs]
        runs.append(
            Run(**common, state="done", folder=f"runs/r{number}", finished=1, headline=report.headline, rungs=rungs)
        )
    return SweepResult(
        schema=1, name="sample", title=Title(en="A sample <b>", zh="样例"), synthetic=True, engines=["blind"],
        base="csx.toml", axes=axes, paths={}, runs=runs, measured={},
    )  # fmt: skip


def sample_points() -> list[Point]:
    """Two knobs."""
    shared = {"run": "r", "auc": 0.7, "low": 0.01, "high": 0.09, "equations_share": {"telecom": 0.02}}
    return [
        Point(
            knob=knob, value=f"{k}", uplift=0.02 * k, information_share=0.1 * k, shares={"telecom": 0.1 * k}, **shared
        )
        for knob in ("budget", "depth")
        for k in range(1, 5)
    ]


def sample_value(method: str) -> Value:
    """Two partners, one with a price."""
    change = Uplift(value=0.03, low=0.01, high=0.05, p=0.001, method="paired delong")
    of_all = dict.fromkeys(METRICS, change)
    partner = PartnerValue(
        shapley=of_all, alone=of_all, last={}, sampling_error=dict.fromkeys(METRICS, 0.001), families={"calls": of_all},
        price=Price(price=120_000, net=-5, low=-10, high=3, verdict="not_shown"),
    )  # fmt: skip
    return Value(
        schema=1, name="sample", title=Text(en="A sample", zh="样例"), synthetic=False, engine="blind", bank="bank",
        model="boosting", method="exact" if method == "exact" else "sampled", trained=4, test=1000,
        stakes=Stakes(currency="CNY"),
        total=of_all, partners={"telecom": partner, "<script>": partner.model_copy(update={"price": None})},
        coalitions=[CoalitionWorth(partners=["telecom"], worth=dict.fromkeys(METRICS, 0.5))], job_sha256="0" * 64,
    )  # fmt: skip

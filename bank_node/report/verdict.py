"""The verdict on each rung: is what its partners add shown, not shown, or shown to be too little to pay for?

One metric is judged, chosen beforehand (the most sensitive: AUC), for every rung against its base, over folds where
the run has them and on the test rows otherwise. Several rungs are several chances to be lucky, so that p is Holm's.

| verdict | when |
|---|---|
| worth_buying | p after Holm's correction is below 5%, and the uplift is at least the smallest worth having |
| shown_worthless | the whole 95% interval lies below the smallest uplift worth having, and permuted rows cost nothing |
| not_shown | otherwise; always when permuted rows appear to help, or a clause kept a partner out of the model |

Where permuted rows cost accuracy (noise on a small sample), a loss does not show that a partner's data are worthless.

`detectable` is the uplift that a sample of this size would have shown in four cases of five.
Sources: Holm, Scandinavian Journal of Statistics 6, 1979; Bloom, Evaluation Review 19, 1995 (detectable effects).
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import Final, Literal

from bank_node.metrics.intervals import LEVEL, Uplift
from bank_node.metrics.measures import LOWER_IS_BETTER, sensitive_metric
from bank_node.record.facts import Text
from bank_node.record.messages import say
from bank_node.report.document import Placebo, Rung, Verdict
from bank_node.report.names import Names
from bank_node.report.uplift import base_of
from bank_node.report.wording import figure, metric_name, signed
from protocol.algorithms.parameters import Task

ERROR: Final = 1 - LEVEL
POWER: Final = 0.8
_SMALLEST_P: Final = 0.0001
_NORMAL = NormalDist()

Trust = Literal["full", "of gains", "none"]
"""What the placebos leave of a run's verdicts."""


def holm(p: Sequence[float]) -> list[float]:
    """p-values such that whichever is below 5%, the chance of any false one among all is below 5%, in their order."""
    adjusted, largest = [0.0] * len(p), 0.0
    for place, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - place) * p[index]))
        adjusted[index] = largest
    return adjusted


def detectable(low: float, high: float, comparisons: int) -> float:
    """The change that a sample with an interval of this width shows with probability `POWER`, Holm's worst case."""
    deviation = (high - low) / 2 / _NORMAL.inv_cdf((1 + LEVEL) / 2)
    strict = _NORMAL.inv_cdf(1 - ERROR / 2 / max(1, comparisons))
    return deviation * (strict + _NORMAL.inv_cdf(POWER))


def verdicts(
    rungs: Sequence[Rung], placebos: Sequence[Placebo], task: Task, names: Names, worthwhile: float
) -> list[Verdict]:
    """One a rung but base and placebo, of all models together: they are all compared.

    worthwhile: the smallest uplift worth having; in AUC, or as a share of the base's value for another label.
    """
    name = sensitive_metric(task)
    judged = [rung for rung in rungs if not rung.placebo and rung.name != _base(rungs, rung, names.bank).name]
    changes = [_change(rung, name) for rung in judged]
    corrected = holm([change.p for change in changes])
    trust = _trust(placebos)
    found = []
    for rung, change, p in zip(judged, changes, corrected, strict=True):
        base = _base(rungs, rung, names.bank)
        wanted = worthwhile if task == "binary" else worthwhile * base.metrics[name].value
        found.append(_verdict(names, rung, base, name, change, p, wanted, len(judged), trust))
    return found


def _verdict(
    names: Names,
    rung: Rung,
    base: Rung,
    name: str,
    change: Uplift,
    p: float,
    wanted: float,
    comparisons: int,
    trust: Trust,
) -> Verdict:
    gain, low, high = _as_gain(name, change)
    kind = _kind(gain, low, high, p, wanted)
    doubted = trust == "none" or (trust == "of gains" and kind == "shown_worthless")
    said: str = ("untrusted" if trust == "none" else "costly") if doubted else kind
    if rung.kept_out and kind != "worth_buying":
        doubted, said = True, "kept_out"
    kind = "not_shown" if doubted else kind
    needed = detectable(low, high, comparisons)
    return Verdict(
        rung=rung.name,
        model=rung.model,
        base=base.name,
        metric=name,
        uplift=change.value,
        low=change.low,
        high=change.high,
        p=change.p,
        p_holm=p,
        comparisons=comparisons,
        method=change.method,
        worthwhile=wanted,
        detectable=needed,
        verdict=kind,
        sentence=_sentence(names, said, rung, base, name, change, p, wanted, needed, comparisons),
    )


def _kind(
    gain: float, low: float, high: float, p: float, wanted: float
) -> Literal["worth_buying", "not_shown", "shown_worthless"]:
    if low > 0 and p < ERROR and gain >= wanted:
        return "worth_buying"
    return "shown_worthless" if high < wanted else "not_shown"


def _as_gain(name: str, change: Uplift) -> tuple[float, float, float]:
    """Value and interval, positive for the better."""
    if name in LOWER_IS_BETTER:
        return -change.value, -change.high, -change.low
    return change.value, change.low, change.high


def _change(rung: Rung, name: str) -> Uplift:
    return rung.folds_uplift.get(name, rung.uplift[name])


def _base(rungs: Sequence[Rung], rung: Rung, label_party: str) -> Rung:
    return base_of([other for other in rungs if other.model == rung.model], label_party)


def _trust(placebos: Sequence[Placebo]) -> Trust:
    """Where permuted rows appear to help, none; where they cost accuracy, of gains alone."""
    gains = [
        (-placebo.high, -placebo.low) if placebo.metric in LOWER_IS_BETTER else (placebo.low, placebo.high)
        for placebo in placebos
    ]
    if any(low > 0 for low, _ in gains):
        return "none"
    return "of gains" if any(high < 0 for _, high in gains) else "full"


def _sentence(
    names: Names, said: str, rung: Rung, base: Rung, name: str, change: Uplift, p: float, wanted: float, needed: float,
    comparisons: int,
) -> Text:  # fmt: skip
    values: dict[str, str | int | Text] = {
        "rung": names.party_set(rung),
        "base": names.party_set(base),
        "metric": metric_name(name),
        "change": signed(name, change.value),
        "low": signed(name, change.low),
        "high": signed(name, change.high),
        "wanted": figure(name, wanted),
        "needed": figure(name, needed),
        "p": f"< {_SMALLEST_P}" if p < _SMALLEST_P else f"= {p:.2g}",
        "corrected": say("corrected", comparisons=comparisons) if comparisons > 1 else Text(en="", zh=""),
        "out": names.parties(list(rung.kept_out)),
        "clause": ", ".join(dict.fromkeys(rung.kept_out.values())),
        "how": say("over_folds" if rung.folds_uplift else "on_test_rows"),
    }
    sentence = say(f"verdict_{said}", **values)
    return sentence if rung.in_time is None else _and_in_time(sentence, name, rung.in_time.uplift[name])


def _and_in_time(sentence: Text, name: str, change: Uplift) -> Text:
    """Where the newest are tested: what the change was in the time that was trained on, which is how decay shows."""
    signs = {"change": change.value, "low": change.low, "high": change.high}
    then = say("verdict_in_time", **{key: signed(name, value) for key, value in signs.items()})
    return Text(en=f"{sentence.en} {then.en}", zh=f"{sentence.zh}{then.zh}")

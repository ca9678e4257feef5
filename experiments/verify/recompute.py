"""Every metric by its definition, in plain Python over plain text: the second opinion of `fedwarn verify`.

Slow and obvious on purpose; it shares no code with the report. A row is (label, score, weight, tie-breaker), and the
probabilities of classes where there are any.
"""

import csv
import hashlib
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby
from math import atan, cos, exp, floor, fsum, log, pi, sqrt
from pathlib import Path
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One test row. weighted: whether the file declares weights; without, every weight is 1. amount: -1 if none."""

    label: float
    score: float
    weight: float
    tie: str
    weighted: bool
    classes: tuple[float, ...] = ()
    amount: float = -1.0


class Step(NamedTuple):
    """Rows of equal score: the weight of the bads and of the goods among them."""

    bads: float
    goods: float


Fold = tuple[str, str]
"""(repeat, fold)."""


def read_rows(folder: Path, part: str = "test") -> dict[tuple[str, str], list[Row]]:
    """The rows of one part of `scores.csv` by (rung, model), best ranked first."""
    rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
    with (folder / "scores.csv").open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            if line["part"] == part:
                rows[line["rung"], line["model"]].append(_row(line))
    return {key: sorted(found, key=lambda row: (-row.score, row.tie)) for key, found in rows.items()}


def read_folds(folder: Path) -> dict[tuple[str, str], dict[Fold, list[Row]]]:
    """The rows of `folds.csv` by (rung, model), then by fold, best ranked first; nothing where there are no folds."""
    path = folder / "folds.csv"
    found: dict[tuple[str, str], dict[Fold, list[Row]]] = defaultdict(lambda: defaultdict(list))
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            found[line["rung"], line["model"]][line["repeat"], line["fold"]].append(_row(line))
    return {
        key: {fold: sorted(rows, key=lambda row: (-row.score, row.tie)) for fold, rows in folds.items()}
        for key, folds in found.items()
    }


def read_absences(folder: Path, rows: dict[tuple[str, str], list[Row]]) -> dict[tuple[str, str, str], list[Row]]:
    """The test rows of `absences.csv` by (rung, model, absent partner), best ranked first; labels of `rows`."""
    path, found = folder / "absences.csv", defaultdict(list)
    if not path.is_file():
        return {}
    known = {key: {row.tie: row for row in ranked} for key, ranked in rows.items()}
    with path.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            row = known[line["rung"], line["model"]][hashlib.sha256(line["id"].encode()).hexdigest()]
            score, classes = float(line["score"]), _classes(line)
            found[line["rung"], line["model"], line["without"]].append(row._replace(score=score, classes=classes))
    return {key: sorted(ranked, key=lambda row: (-row.score, row.tie)) for key, ranked in found.items()}


def read_segments(folder: Path) -> dict[tuple[str, str], set[str]]:
    """Tie-breakers of the rows of each group, by (column, group)."""
    path, found = folder / "segments.csv", defaultdict(set)
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            for line in csv.DictReader(file):
                found[line["segment"], line["value"]].add(hashlib.sha256(line["id"].encode()).hexdigest())
    return found


def _row(line: dict[str, str]) -> Row:
    tie = hashlib.sha256(line["id"].encode()).hexdigest()
    weighted = "weight" in line
    weight = float(line["weight"]) if weighted else 1.0
    amount = float(line.get("amount", -1))
    return Row(float(line["label"]), float(line["score"]), weight, tie, weighted, _classes(line), amount)


def _classes(line: dict[str, str]) -> tuple[float, ...]:
    return tuple(float(line[name]) for name in line if name.startswith("score_"))


def recompute(rows: Sequence[Row], alert_rates: Iterable[float]) -> dict[str, float]:
    """All metrics of ranked rows."""
    steps = [_step(list(tied)) for _, tied in groupby(rows, key=lambda row: row.score)]
    auc = _auc(steps)
    found = {"auc": auc, "ks": _ks(steps), "gini": 2 * auc - 1, "pr_auc": _average_precision(steps)}
    found["brier"] = fsum(r.weight * (r.score - r.label) ** 2 for r in rows) / _weight(rows)
    share_of_bads = _weight(r for r in rows if r.label) / _weight(rows)
    for rate in alert_rates:
        caught, alerted = _caught(rows, rate)
        found[f"precision@{rate}"] = caught / alerted
        found[f"recall@{rate}"] = caught / _weight(r for r in rows if r.label)
        found[f"lift@{rate}"] = caught / alerted / share_of_bads
    return found


def recompute_numbers(rows: Sequence[Row], power: float) -> dict[str, float]:
    """All metrics of a regression whose variance grows as the mean to this power."""
    total = _weight(rows)
    return {
        "rmse": sqrt(fsum(r.weight * (r.score - r.label) ** 2 for r in rows) / total),
        "mae": fsum(r.weight * abs(r.score - r.label) for r in rows) / total,
        "deviance": fsum(r.weight * _deviance(r.label, r.score, power) for r in rows) / total,
    }


def recompute_classes(rows: Sequence[Row]) -> dict[str, float]:
    """All metrics of probabilities of classes; the score is the class of the largest."""
    total = _weight(rows)
    return {
        "mlogloss": fsum(-r.weight * log(max(r.classes[int(r.label)], 1e-16)) for r in rows) / total,
        "accuracy": _weight(r for r in rows if r.score == r.label) / total,
    }


def recompute_calibration(rows: Sequence[Row], kept: dict[str, Any] | None) -> dict[str, float]:
    """Figures of probabilities that a map of model.json makes of the scores, or of the scores themselves."""
    pds = [row.score if kept is None else _pd(row.score, kept) for row in rows]
    ranked = sorted(pds)
    gaps = [0.0] * 10
    for row, pd in zip(rows, pds, strict=True):
        gaps[10 * bisect_left(ranked, pd) // len(pds)] += row.weight * (pd - row.label)
    given = [pd if row.label else 1 - pd for row, pd in zip(rows, pds, strict=True)]
    total = _weight(rows)
    return {
        "brier": fsum(r.weight * (pd - r.label) ** 2 for r, pd in zip(rows, pds, strict=True)) / total,
        "logloss": fsum(-r.weight * log(max(p, 1e-12)) for r, p in zip(rows, given, strict=True)) / total,
        "ece": fsum(abs(gap) for gap in gaps) / total,
    }


def recompute_segment(rows: Sequence[Row], ties: set[str], rate: float) -> dict[str, float]:
    """Figures of the ranked rows of one group; alerts are those of all rows. 0 where there are no rows."""
    limit, taken, alerted = rate * _weight(rows), 0.0, set()
    for row in rows[: max(1, floor(rate * len(rows) + 1e-9))] if not rows[0].weighted else rows:
        taken += row.weight
        if not row.weighted or taken <= limit * (1 + 1e-9):
            alerted.add(row.tie)
    inside = [row for row in rows if row.tie in ties]
    bads = [row for row in inside if row.label]
    steps = [_step(list(tied)) for _, tied in groupby(inside, key=lambda row: row.score)]
    share = {
        name: _weight(r for r in among if r.tie in alerted) / _weight(among) if _weight(among) else 0.0
        for name, among in (("selection", inside), ("found", bads))
    }
    both = 0 < len(bads) < len(inside)
    return {"rows": len(inside), "bads": len(bads), "auc": _auc(steps) if both else 0.0, **share}


def recompute_bands(
    rows: Sequence[Row], kept: dict[str, Any], settings: dict[str, Any], cuts: dict[str, float | None]
) -> dict[str, dict[str, float]]:
    """Figures of each band by its cut-offs. kept: the map to a probability, as model.json has it."""
    found: dict[str, list[Row]] = {"red": [], "amber": [], "green": []}
    for row in rows:
        by_money = settings["rule"] == "expected-loss"
        measure = _pd(row.score, kept) * row.amount * settings["lgd"] if by_money else row.score
        # a hair below still reaches it: the same product in another order of rounding
        reached = [name for name, cut in cuts.items() if cut is not None and measure >= cut * (1 - 1e-12)]
        found[[*reached, "green"][0]].append(row)
    return {name: _band(inside, rows, kept, settings["lgd"]) for name, inside in found.items()}


def _band(inside: Sequence[Row], rows: Sequence[Row], kept: dict[str, Any], lgd: float) -> dict[str, float]:
    figures = {
        "rows": len(inside),
        "share": _weight(inside) / _weight(rows),
        "bads": round(fsum(row.label for row in inside)),
        "bads_share": _weight(r for r in inside if r.label) / _weight(r for r in rows if r.label),
    }
    if rows[0].amount >= 0:
        figures["amount"] = fsum(r.weight * r.amount for r in inside)
        figures["expected_loss"] = fsum(r.weight * r.amount * _pd(r.score, kept) * lgd for r in inside)
        figures["bad_amount"] = fsum(r.weight * r.amount * lgd for r in inside if r.label)
    return figures


def recompute_fold_test(changes: dict[Fold, float], low: float, high: float) -> dict[str, float]:
    """Mean and p of differences a fold by the corrected resampled t-test, and the level at which low .. high is it."""
    count, folds = len(changes), len({fold for _, fold in changes})
    mean = fsum(changes.values()) / count
    spread = fsum((change - mean) ** 2 for change in changes.values()) / (count - 1)
    error = sqrt(spread * (1 / count + 1 / (folds - 1)))
    if error == 0:
        return {"value": mean, "p": float(mean == 0), "level": 0.0}
    p = 1 - _student(abs(mean) / error, count - 1)
    return {"value": mean, "p": p, "level": _student((high - low) / 2 / error, count - 1)}


def recompute_holm(p: Sequence[float]) -> list[float]:
    """Each p times how many are not smaller than it; and never below that of a smaller one."""
    raised = {one: min(1.0, one * sum(other >= one for other in p)) for one in p}
    return [max(raised[other] for other in p if other <= one) for one in p]


def _student(t: float, freedom: int) -> float:
    """P(|T| <= t) by Simpson's rule; T is the square root of `freedom` times the tangent of an angle."""

    def area(end: float, steps: int = 4000) -> float:
        weights = [1, *[4, 2] * (steps // 2 - 1), 4, 1]
        return end / steps / 3 * fsum(w * cos(end * k / steps) ** (freedom - 1) for k, w in enumerate(weights))

    return area(atan(t / sqrt(freedom))) / area(pi / 2)


def _pd(score: float, kept: dict[str, Any]) -> float:
    """Platt's curve, or the line between the two nearest knots."""
    if kept["method"] == "platt":
        inside = min(max(score, 1e-12), 1 - 1e-12)
        return 1 / (1 + exp(-(kept["slope"] * log(inside / (1 - inside)) + kept["intercept"])))
    scores, pds = kept["scores"], kept["pds"]
    after = bisect_right(scores, score)
    if after in (0, len(scores)):
        return float(pds[0] if after == 0 else pds[-1])
    share = (score - scores[after - 1]) / (scores[after] - scores[after - 1])
    return float(pds[after - 1] + share * (pds[after] - pds[after - 1]))


def _deviance(y: float, mu: float, power: float) -> float:
    """Twice the log-likelihood that the prediction lacks, of one row."""
    if power == 0:
        return (y - mu) ** 2
    if power == 1:
        return 2 * ((y * log(y / mu) if y else 0.0) - (y - mu))
    saturated = pow(y, 2 - power) / (1 - power) / (2 - power)
    return 2 * float(saturated - y * pow(mu, 1 - power) / (1 - power) + pow(mu, 2 - power) / (2 - power))


def _weight(rows: Iterable[Row]) -> float:
    return fsum(row.weight for row in rows)


def _step(tied: Sequence[Row]) -> Step:
    return Step(_weight(r for r in tied if r.label), _weight(r for r in tied if not r.label))


def _auc(steps: Sequence[Step]) -> float:
    """Share of (bad, good) pairs in which the bad ranks higher; equal ranks count half."""
    won, bads_above = 0.0, 0.0
    for step in steps:
        won += step.goods * (bads_above + step.bads / 2)
        bads_above += step.bads
    return won / (bads_above * fsum(step.goods for step in steps))


def _ks(steps: Sequence[Step]) -> float:
    """Largest distance between the cumulative shares of bads and goods."""
    all_bads, all_goods = fsum(s.bads for s in steps), fsum(s.goods for s in steps)
    bads = goods = largest = 0.0
    for step in steps:
        bads, goods = bads + step.bads, goods + step.goods
        largest = max(largest, abs(bads / all_bads - goods / all_goods))
    return largest


def _average_precision(steps: Sequence[Step]) -> float:
    """Precision at each step, weighted by the share of bads found in it."""
    bads = goods = area = 0.0
    for step in steps:
        bads, goods = bads + step.bads, goods + step.goods
        area += step.bads * bads / (bads + goods) if bads + goods else 0.0
    return area / bads


def _caught(rows: Sequence[Row], rate: float) -> tuple[float, float]:
    """Bads among the alerts, and the alerts. Weighted: the last row counts with the part of it that fits."""
    if not rows[0].weighted:
        alerts = max(1, floor(rate * len(rows) + 1e-9))
        return fsum(row.label for row in rows[:alerts]), alerts
    limit = rate * _weight(rows)
    caught = taken = 0.0
    for row in rows:
        if taken >= limit:
            break
        part = min(row.weight, limit - taken)
        taken += part
        caught += part * row.label
    return caught, limit

"""Red, amber and green of a rung: cut-offs of the validation rows, and what the test rows show of each band."""

from typing import Literal

import numpy as np

from bank_node.decisions.banding import find_cuts
from bank_node.metrics.intervals import Metric, wilson_metric
from bank_node.metrics.scores import Key, Scored
from bank_node.models.bands import BANDS, band_numbers, expected_loss, measured
from bank_node.models.calibration import pd_of
from bank_node.record.facts import Facts
from protocol.job import Bands
from protocol.messages import F64


class Band(Facts):
    """One band of the test rows. share, bads_share: of all rows, of all bads. bad_rate, pd (mean): None without rows.

    amount: exposure. expected_loss: the sum of pd x amount x lgd. bad_amount: exposure of the bads x lgd, what was in
    fact lost. All three None where no amounts are declared. With declared weights all but counts are weighted.
    """

    name: Literal["red", "amber", "green"]
    rows: int
    share: float
    bads: int
    bads_share: float
    bad_rate: Metric | None
    pd: float | None
    amount: float | None
    expected_loss: float | None
    bad_amount: float | None


class Banded(Facts):
    """Cut-offs as `BandCuts` of the model folder has them, and the bands, red first."""

    red: float | None
    amber: float | None
    bands: list[Band]


def banded(scored: Scored, key: Key, settings: Bands | None) -> Banded | None:
    """The bands of one rung; None without settings, or where the rung could not be calibrated."""
    rows = scored.validation
    if settings is None or rows is None or key not in scored.calibrations:
        return None
    calibration, score = scored.calibrations[key].chosen, rows.scores[key]
    cuts = find_cuts(settings, rows.label, score, pd_of(calibration, score), rows.amount, rows.weight)
    score = scored.scores[key]
    pd = pd_of(calibration, score)
    number = band_numbers(cuts, measured(cuts, score, pd, scored.amount))
    bands = [_band(name, number == BANDS.index(name), scored, pd, cuts.lgd) for name in ("red", "amber", "green")]
    return Banded(red=cuts.red, amber=cuts.amber, bands=bands)


def _band(
    name: Literal["red", "amber", "green"], inside: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], scored: Scored,
    pd: F64, lgd: float,
) -> Band:  # fmt: skip
    weight = np.ones(len(pd)) if scored.weight is None else scored.weight
    bad = weight * scored.label
    total = float(weight[inside].sum())
    customer = None if scored.customer is None else scored.customer[inside]
    money = scored.amount if scored.amount is None else weight * scored.amount
    return Band(
        name=name,
        rows=int(inside.sum()),
        share=total / float(weight.sum()),
        bads=int(scored.label[inside].sum()),
        bads_share=float(bad[inside].sum()) / float(bad.sum()),
        bad_rate=wilson_metric(float(bad[inside].sum()) / total, weight[inside], customer) if total else None,
        pd=float((weight * pd)[inside].sum()) / total if total else None,
        amount=None if money is None else float(money[inside].sum()),
        expected_loss=None if money is None else float(expected_loss(pd, money, lgd)[inside].sum()),
        bad_amount=None if money is None else float((lgd * money * scored.label)[inside].sum()),
    )

"""Where the bands begin: cut-offs found on the validation part, so that the test part, and rows to come, are new.

| rule | red is | amber is |
|---|---|---|
| capacity | as many of the highest scores as fit into the share `red` of the rows | the next that fit into `amber` |
| expected-loss | the fewest rows that hold the share `red` of the expected loss | the next that hold `amber` |
| precision | the most of the highest scores of which the share `red` is bad | of the next, of which `amber` is |

Equal measures are never parted. With declared weights, shares are of the weight.
"""

import numpy as np

from bank_node.data.parts import Parts, labels_of
from bank_node.metrics.calibration_fits import LEAST_OF_A_CLASS
from bank_node.models.bands import BandCuts, expected_loss
from protocol.errors import DataError, UsageError
from protocol.job import Bands, Job
from protocol.messages import F64
from protocol.table import Table

_ROUNDING = 1e-9


def require_bandable(job: Job, table: Table, parts: Parts) -> None:
    """Before anything is sent. Raises: DataError: too few validation rows. UsageError: no amounts to go by."""
    if job.bands is None:
        return
    label = labels_of(parts, table, "validation")
    if min(int(label.sum()), int((1 - label).sum())) < LEAST_OF_A_CLASS:
        thing = f"the validation part has fewer than {LEAST_OF_A_CLASS} goods or bads, which [bands] need"
        raise DataError(table.party, thing, "raise split.validation, or give more rows")
    if job.bands.rule == "expected-loss" and table.amount is None:
        raise UsageError(table.party, "its node.toml names no amount column, and the job's bands go by it", "set it")


def find_cuts(settings: Bands, label: F64, score: F64, pd: F64, amount: F64 | None, weight: F64 | None) -> BandCuts:
    """The cut-offs of one model on its validation rows; each argument of shape (n,)."""
    weight = np.ones(len(score)) if weight is None else weight
    measure = score
    if settings.rule == "expected-loss":
        assert amount is not None
        measure = expected_loss(pd, amount, settings.lgd)
    at, rows, bads = _steps(measure, weight, label)
    money = at * rows
    red = _reach(settings.rule, settings.red, rows, bads, money, 0)
    amber = _reach(settings.rule, settings.amber, rows, bads, money, red)
    ends = [float(at[k - 1]) if k > before else None for k, before in ((red, 0), (amber, red))]
    return BandCuts(rule=settings.rule, red=ends[0], amber=ends[1], lgd=settings.lgd)


def _reach(rule: str, share: float, rows: F64, bads: F64, money: F64, start: int) -> int:
    """How many steps from the top are within the band or above it; `start` are above."""
    counted, caught, lost = (np.cumsum(each[start:]) for each in (rows, bads, money))
    if rule == "capacity":
        return start + int(np.searchsorted(counted, share * rows.sum() * (1 + _ROUNDING), side="right"))
    if rule == "expected-loss":
        needed = share * money.sum() * (1 - _ROUNDING)
        return start + (min(len(lost), int(np.searchsorted(lost, needed)) + 1) if needed > 0 else 0)
    precise = np.flatnonzero(caught >= share * counted * (1 - _ROUNDING))
    return start + (int(precise[-1]) + 1 if len(precise) else 0)


def _steps(measure: F64, weight: F64, label: F64) -> tuple[F64, F64, F64]:
    """From the top: each distinct measure, and the weight and the bads' weight at it, each of shape (steps,)."""
    at, which = np.unique(measure, return_inverse=True)
    rows, bads = (np.bincount(which, each).astype(np.float64) for each in (weight, weight * label))
    return at[::-1], rows[::-1], bads[::-1]

"""Lead time: from a customer's alert to its default, in months of 30.4375 days.

Only customers with an event count, and only alerts before it. The first alert says how early one could have acted; the
last, for how long the alarm had been silent when the default came.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from bank_node.report.early_warning.alerts import Flags
from bank_node.report.early_warning.watched import Watched
from protocol.messages import F64, I64

_DAYS: Final = 365.25 / 12
_MICROSECONDS: Final = 86_400e6


@dataclass(frozen=True)
class Leads:
    """By customer, shape (customers,). defaulted, warned: whether it did, and was alerted before.

    first, last: months from its first and last alert to the event; 0 where not warned.
    """

    defaulted: Flags
    warned: Flags
    first: F64
    last: F64

    def histogram(self, months: int) -> list[int]:
        """Warned customers by whole months from the first alert, 0 to `months` - 1, and all longer ones last."""
        whole = np.minimum(np.floor(self.first[self.warned]), months).astype(np.int64)
        return [int(count) for count in np.bincount(whole, minlength=months + 1)]


def leads(watched: Watched, alerted: Flags) -> Leads:
    """Lead times of all customers."""
    known = ~np.isnat(watched.event)
    defaulted = _any(watched, known)
    counted = known & alerted & (watched.date < watched.event)
    months = np.zeros(len(known))
    ahead = (watched.event[counted] - watched.date[counted]).astype("timedelta64[us]").astype(np.float64)
    months[counted] = ahead / _MICROSECONDS / _DAYS
    first, last = np.zeros(watched.customers), np.full(watched.customers, np.inf)
    np.maximum.at(first, watched.customer[counted], months[counted])
    np.minimum.at(last, watched.customer[counted], months[counted])
    warned = _any(watched, counted)
    return Leads(defaulted, warned, first, np.where(warned, last, 0.0))


def _any(watched: Watched, rows: Flags) -> Flags:
    counts: I64 = np.bincount(watched.customer[rows], minlength=watched.customers)
    return counts > 0

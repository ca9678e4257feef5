"""The stability index: how far one distribution has moved from another (docs/glossary.md).

Sum over bins of (share now - share then) * ln(share now / share then). Below 0.1 little has moved, above 0.25 much
(Siddiqi, Credit Risk Scorecards, 2006).
"""

from typing import Final

import numpy as np

from protocol.messages import F64, I64

EMPTY: Final = 0.5
"""What stands for the count of a bin without rows, so that the index is finite."""
_GROUPS: Final = 10


def index_of_counts(then: I64, now: I64) -> float:
    """The index over bins. then, now: counts, shape (k,); bins that are empty in both do not count."""
    used = (then > 0) | (now > 0)
    before, after = (_shares(counts[used]) for counts in (then, now))
    return float(((after - before) * np.log(after / before)).sum())


def stability_index(then: F64, now: F64) -> float:
    """The index of values against earlier ones, by ten groups of equal size of the earlier; ties stay together."""
    edges = np.unique(np.quantile(then, np.linspace(0, 1, _GROUPS + 1)[1:-1]))
    return index_of_counts(
        *(np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1) for values in (then, now))
    )


def _shares(counts: I64) -> F64:
    shares: F64 = np.where(counts > 0, counts, EMPTY) / max(1, int(counts.sum()))
    return shares

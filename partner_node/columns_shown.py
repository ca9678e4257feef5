"""How many of a partner's columns hide each other in a vector of partial scores.

A column of the table counts if its part of the score (all its terms together, however often the bank has laid it out)
differs over the rows by `LEAST_SHARE` of what the strongest column's does, and is not told by the parts of others, as
copies are: what counts is the rank of the parts. So neither a coefficient of 0, nor one that is next to nothing beside
another, nor a column laid out twice, nor a copy makes a score of few columns look like one of many.

The share is small since an honest fit may find that a column is worth nothing. Coefficients that give each column
digits of the score to itself, or hide some below the rounding, pass: the report's rows told, and `score_releases`,
bound what these give away.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from protocol.algorithms.glm import LEAST_SHARE, rounded
from protocol.contract import Contract, refuse
from protocol.he.base import I32

_TOLD: Final = 1e-9
"""Of the variance of a part: a smaller remainder is what arithmetic leaves."""


def columns_shown(columns: Sequence[str], values: I32, coefficients: Sequence[int]) -> int:
    """How many columns count in a score. columns: of each term, shape (d,). values: (n, d)."""
    if not len(values):
        return 0
    names = list(dict.fromkeys(columns))
    weights = np.zeros((len(columns), len(names)))
    for term, (name, coefficient) in enumerate(zip(columns, coefficients, strict=True)):
        weights[term, names.index(name)] = coefficient
    parts = values.astype(np.float64) @ weights  # whole numbers below 2^53, and so exact
    spread = np.ptp(parts, axis=0)
    counts = (spread > 0) & (spread >= LEAST_SHARE * spread.max())
    apart = parts[:, counts]
    apart -= apart.mean(axis=0)
    apart /= np.sqrt((apart**2).sum(axis=0))
    return int((np.linalg.eigvalsh(apart.T @ apart) > _TOLD).sum()) if counts.any() else 0


def _all_alike(values: I32, coefficients: Sequence[int], decimals: int) -> bool:
    """Whether every row has the same score, to whatever decimals it is asked for: then no column is shown."""
    scores = values.astype(np.int64) @ np.asarray(coefficients, dtype=np.int64)
    return len(scores) > 0 and all(not np.ptp(rounded(scores, coarse)) for coarse in range(decimals + 1))


def require_shown(
    party: str, contract: Contract, columns: Sequence[str], values: I32, coefficients: Sequence[int],
    hiding: bool = False,
) -> None:  # fmt: skip
    """hiding: whether the scores hide those of other partners, which scores that are all alike do not.

    Raises: RefusedError: fewer columns count than the contract's `min_glm_columns`, and scores are not all alike.
    """
    alike = _all_alike(values, coefficients, contract.score_decimals)
    if alike and not hiding:
        return
    shown, least = 0 if alike else columns_shown(columns, values, coefficients), contract.min_glm_columns
    if shown < least:
        raise refuse(
            party, "min_glm_columns",
            f"coefficients under which {shown} of its columns count in a score would show single ones, and {least} are "
            "the least",
            "use more of its columns, leave out copies of others, or agree on a lower clause",
        )  # fmt: skip

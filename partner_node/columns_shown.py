"""How many of a partner's columns hide each other in a vector of partial scores.

A column of the table counts if its part of the score (all its terms together, however often the bank has laid it out)
differs over the rows by one unit of the finest score that the contract admits, and by `LEAST_SHARE` of what the
strongest column's does. Columns whose parts are told by those of others, as copies are, do not count again: what counts
is the rank of the parts. So neither a coefficient of 0, nor one that rounding swallows, nor one tiny beside another,
nor a column laid out twice makes a score of few columns look like one of many.

What it does not stop: coefficients that give each column digits of the score to itself. The report's rows told, and
`score_releases`, bound what these give away.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from protocol.algorithms.glm import MOST_DECIMALS, rounded
from protocol.contract import Contract, refuse
from protocol.he.base import I32

LEAST_SHARE: Final = 1e-4
_TOLD: Final = 1e-9
"""Of the variance of a part: a smaller remainder is what arithmetic leaves."""


def columns_shown(columns: Sequence[str], values: I32, coefficients: Sequence[int], decimals: int) -> int:
    """How many columns count in a score. decimals: of the finest. columns: of each term, shape (d,). values: (n, d)."""
    if not len(values):
        return 0
    names = list(dict.fromkeys(columns))
    weights = np.zeros((len(columns), len(names)))
    for term, (name, coefficient) in enumerate(zip(columns, coefficients, strict=True)):
        weights[term, names.index(name)] = coefficient
    parts = values.astype(np.float64) @ weights  # whole numbers below 2^53, and so exact
    spread = np.ptp(parts, axis=0)
    counts = spread >= max(10.0 ** (MOST_DECIMALS - decimals), LEAST_SHARE * float(spread.max()))
    apart = parts[:, counts] - parts[:, counts].mean(axis=0)
    apart /= np.sqrt((apart**2).sum(axis=0))
    return int((np.linalg.eigvalsh(apart.T @ apart) > _TOLD).sum()) if counts.any() else 0


def _all_alike(values: I32, coefficients: Sequence[int], decimals: int) -> bool:
    """Whether every row has the same score, to whatever decimals it is asked for: then no column is shown."""
    scores = values.astype(np.int64) @ np.asarray(coefficients, dtype=np.int64)
    return len(scores) > 0 and all(not np.ptp(rounded(scores, coarse)) for coarse in range(decimals + 1))


def require_shown(
    party: str, contract: Contract, columns: Sequence[str], values: I32, coefficients: Sequence[int]
) -> None:
    """Raises: RefusedError: fewer columns count than the contract's `min_glm_columns`, and scores are not all alike."""
    if _all_alike(values, coefficients, contract.score_decimals):
        return
    shown, least = columns_shown(columns, values, coefficients, contract.score_decimals), contract.min_glm_columns
    if shown < least:
        raise refuse(
            party, "min_glm_columns",
            f"coefficients under which {shown} of its columns count in a score would show single ones, and {least} are "
            "the least",
            "use more of its columns, leave out copies of others, or agree on a lower clause",
        )  # fmt: skip

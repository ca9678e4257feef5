"""Of how many rows a run's partial scores have told the bins, a partner.

Where masks left the bank the sum of several partners' scores, what is computed is what that sum tells: rows are taken
by which of these partners hold them, since the others' parts are known to be 0, and all releases in which these took
part, singly or in a sum, are held against all their columns. A row counts as told if its bins are told by the partner's
own releases, or those of all columns together by all releases.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from bank_node.family.training import TrainedRung, Training
from bank_node.linear.release_leakage import Columns, told_rows
from bank_node.linear.task import FittedGlm, Released
from bank_node.record.facts import Leakage
from protocol.algorithms.glm import MOST_DECIMALS
from protocol.messages import F64, I64

Values = Mapping[str, Sequence[Sequence[int]]]


def with_releases(training: Training, trained: TrainedRung[FittedGlm], partner: str, leakage: Leakage) -> Leakage:
    """The same with what the partial scores told, of all rungs of the model so far: their columns are the same."""
    place = next(k for k, rung in enumerate(training.rungs) if rung is trained)
    fits: list[FittedGlm] = [one.fitted for one in training.rungs[: place + 1] if one.model == trained.model]
    values = {p: [term.values for term in fit.model.of(p)] for fit in fits for p in fit.model.parties[1:]}
    positions = {p: training.alignments[p].positions for p in values}
    releases = list({_named(r): r for fit in fits for r in fit.released}.values())
    mine = [release for release in releases if partner in release.coefficients]
    told = told_of(partner, releases, values, positions)
    summed = sum(len(release.coefficients) > 1 for release in mine)
    return leakage.model_copy(update={"releases": len(mine), "summed": summed, "told_rows": told})


def told_of(partner: str, releases: Sequence[Released], values: Values, positions: Mapping[str, I64]) -> float | None:
    """Share of the partner's rows that the bank holds whose bins are told; None without releases, or where the bank
    does not know what stands for a bin.

    values: what stands for each bin, a column, by partner. positions: of the bank's rows in each partner's row space.
    """
    mine = [release for release in releases if partner in release.coefficients]
    among = {p for release in mine for p in release.coefficients}
    if not mine or not all(all(values[p]) for p in among):
        return None
    held = positions[partner] >= 0
    rows = positions[partner][held]
    singly = [release for release in mine if len(release.coefficients) == 1]
    told = _told([partner], singly, values, rows)
    if len(among) > 1:
        others = np.array([positions[p][held] >= 0 for p in sorted(among)])
        for pattern in np.unique(others, axis=1).T:
            here = (others == pattern[:, None]).all(axis=0)
            holding = [p for p, holds in zip(sorted(among), pattern, strict=True) if holds]
            told[here] = np.maximum(told[here], _told(holding, releases, values, rows[here]))
    return float(told.mean()) if len(told) else 0.0


def _told(holding: Sequence[str], releases: Sequence[Released], values: Values, rows: I64) -> F64:
    """The chance of each row, at these places, that its bins at the partners that hold it are told."""
    of_them = [release for release in releases if set(holding) & set(release.coefficients)]
    if not of_them:
        return np.zeros(len(rows))
    columns = [
        Columns(
            values[p],
            np.array([r.coefficients.get(p, (0,) * len(values[p])) for r in of_them], dtype=np.int64),
            np.array([r.decimals.get(p, MOST_DECIMALS) for r in of_them], dtype=np.int64),
        )
        for p in holding
    ]
    return told_rows(columns, np.stack([release.scores[rows] for release in of_them]))


def _named(release: Released) -> tuple[object, ...]:
    """The same coefficients to the same decimals tell nothing more."""
    return tuple(sorted(release.coefficients.items())), tuple(sorted(release.decimals.items()))

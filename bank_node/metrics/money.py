"""What alerts save, in money: a loss matrix of two entries.

| | bad | good |
|---|---|---|
| alerted | saved x amount - cost | - cost |
| not alerted | 0 | 0 |

The r·n highest scores are alerted, as for precision at r. Figures are for so many customers of the test part's kind.
"""

import numpy as np

from bank_node.metrics.bootstrap import draws_of
from bank_node.metrics.ranking import Ranking, alerts
from bank_node.metrics.scores import Key, Scored
from protocol.job.stakes import Stakes
from protocol.messages import F64


def money(scored: Scored, key: Key, stakes: Stakes, weights: F64) -> F64:
    """What one rung's alerts save under B weightings of the rows, shape (B, n); shape (B,)."""
    ranking = Ranking.of(scored.label, scored.scores[key])
    amount = scored.amount if scored.amount is not None else np.full(len(scored.label), stakes.amount)
    gain = (stakes.saved * scored.label * amount)[ranking.order]
    ranked = weights[:, ranking.order]
    total, saved = np.cumsum(ranked, axis=1), np.cumsum(ranked * gain, axis=1)
    found = np.empty(len(weights))
    for b, line in enumerate(total):
        limit = (
            stakes.alert_rate * line[-1] if scored.weight is not None else alerts(stakes.alert_rate, round(line[-1]))
        )
        last = min(int(np.searchsorted(line, limit)), len(line) - 1)
        caught = saved[b, last] - gain[last] * (line[last] - limit)
        found[b] = (caught - stakes.alert_cost * limit) / line[-1]
    return found * (stakes.customers or len(scored.label))


def money_of(scored: Scored, stakes: Stakes, resamples: int, seed: int) -> dict[Key, tuple[float, F64]]:
    """By rung: the figure, and its bootstrap draws: those of every other metric."""
    whole = (np.ones(len(scored.label)) if scored.weight is None else scored.weight)[None, :]
    blocks: dict[Key, list[F64]] = {key: [] for key in scored.scores}
    for counts in draws_of(len(scored.label), resamples, seed, scored.customer):
        both = (counts @ scored.label > 0) & (counts @ (1 - scored.label.astype(np.float64)) > 0)
        weights = counts[both] if scored.weight is None else counts[both] * scored.weight
        for key, block in blocks.items():
            block.append(money(scored, key, stakes, weights))
    return {key: (float(money(scored, key, stakes, whole)[0]), np.concatenate(blocks[key])) for key in blocks}

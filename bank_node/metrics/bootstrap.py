"""Paired bootstrap: what every metric of every rung would have been on other samples of the same customers.

Rows are drawn with replacement from the whole test part (not class by class, since the share of bads is itself
uncertain, and precision depends on it); where customers have several dated rows, customers are, with all of these.
One draw serves all rungs, so that differences between rungs are paired.
A draw that holds one class only is left out: no metric is defined on it.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from bank_node.metrics.measures import measure_of, names_of
from bank_node.metrics.scores import Key, Scored
from protocol.draws import draw
from protocol.messages import F64, I64

_ENTRIES_A_BLOCK = 1_000_000


def resample(scored: Scored, alert_rates: Sequence[float], resamples: int, seed: int) -> dict[Key, dict[str, F64]]:
    """Every metric on every draw, by rung and key; shape (draws kept,), the same draws everywhere."""
    measures = {key: measure_of(scored, key, alert_rates) for key in scored.scores}
    blocks: dict[Key, list[dict[str, F64]]] = {key: [] for key in measures}
    for counts in draws_of(len(scored.label), resamples, seed, scored.customer):
        weights = counts if scored.weight is None else counts * scored.weight
        for key, measure in measures.items():
            blocks[key].append(measure(weights))
    names = names_of(scored.task, alert_rates)
    return {key: _joined(found, names) for key, found in blocks.items()}


def draws_of(rows: int, resamples: int, seed: int, customer: I64 | None) -> Iterator[F64]:
    """How often each row is drawn, in blocks of shape (B, rows): row by row, or customer by customer."""
    generator = draw(seed, "bootstrap")
    size, drawable = max(1, _ENTRIES_A_BLOCK // rows), rows if customer is None else int(customer.max()) + 1
    for start in range(0, resamples, size):
        drawn = [
            np.bincount(generator.integers(drawable, size=drawable), minlength=drawable)
            for _ in range(min(size, resamples - start))
        ]
        counts = np.stack(drawn).astype(np.float64)
        yield counts if customer is None else counts[:, customer]


def _joined(blocks: list[dict[str, F64]], names: Sequence[str]) -> dict[str, F64]:
    whole = {name: np.concatenate([block[name] for block in blocks]) for name in names}
    return {name: values[np.isfinite(values)] for name, values in whole.items()}

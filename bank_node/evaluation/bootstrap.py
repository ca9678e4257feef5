"""Paired bootstrap: what every metric of every rung would have been on other samples of the same customers.

Rows are drawn with replacement from the whole test part (not class by class, since the share of bads is itself
uncertain, and precision depends on it). One draw serves all rungs, so that differences between rungs are paired.
A draw that holds one class only is left out: no metric is defined on it.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from bank_node.evaluation.measures import measure_of, names_of
from bank_node.evaluation.scores import Key, Scored
from protocol.draws import draw
from protocol.messages import F64

_ENTRIES_A_BLOCK = 1_000_000


def resample(scored: Scored, alert_rates: Sequence[float], resamples: int, seed: int) -> dict[Key, dict[str, F64]]:
    """Every metric on every draw, by rung and key; shape (draws kept,), the same draws everywhere."""
    measures = {key: measure_of(scored, key, alert_rates) for key in scored.scores}
    blocks: dict[Key, list[dict[str, F64]]] = {key: [] for key in measures}
    for counts in draws_of(len(scored.label), resamples, seed):
        weights = counts if scored.weight is None else counts * scored.weight
        for key, measure in measures.items():
            blocks[key].append(measure(weights))
    names = names_of(scored.task, alert_rates)
    return {key: _joined(found, names) for key, found in blocks.items()}


def draws_of(rows: int, resamples: int, seed: int) -> Iterator[F64]:
    """How often each row is drawn, in blocks of shape (B, rows)."""
    generator = draw(seed, "bootstrap")
    size = max(1, _ENTRIES_A_BLOCK // rows)
    for start in range(0, resamples, size):
        drawn = [
            np.bincount(generator.integers(rows, size=rows), minlength=rows)
            for _ in range(min(size, resamples - start))
        ]
        yield np.stack(drawn).astype(np.float64)


def _joined(blocks: list[dict[str, F64]], names: Sequence[str]) -> dict[str, F64]:
    whole = {name: np.concatenate([block[name] for block in blocks]) for name in names}
    return {name: values[np.isfinite(values)] for name, values in whole.items()}

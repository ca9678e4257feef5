"""How often a report is wrong about a partner, and how often its intervals hold the truth.

First, a scenario whose partner knows nothing of the risk (`no-signal`) is run over many seeds of table, split and
training; a verdict "worth buying" is then an error. Second, two scores of known AUC are drawn for many simulated
samples of customers; the 95% interval of the uplift should hold the true difference in 95% of the samples.
"""

import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import tomli_w

from bank_node.metrics.intervals import Estimates
from bank_node.metrics.scores import Scored
from experiments.data.own import SCENARIOS
from experiments.run.run import run
from protocol.draws import draw
from protocol.settings import parse_toml

MOST_WRONG: Final = 0.1
"""Share of the seeds in which a partner that knows nothing may be called worth buying."""
LEVELS: Final = (0.93, 0.97)
_ROWS: Final = 4_000
_BAD_RATE: Final = 0.1
_DISTANCES: Final = 0.6, 0.75
"""Between the means of bads and goods, in standard deviations, of either score."""
_CORRELATION: Final = 0.8


def benchmark_verdicts(seeds: int = 20, samples: int = 500) -> dict[str, Any]:
    """Verdicts over seeds, and the share of intervals that cover. ratio: of the worse of both to its limit."""
    began = time.perf_counter()
    with ProcessPoolExecutor() as processes:
        verdicts = list(processes.map(_verdict, range(1, seeds + 1)))
        covered = list(processes.map(partial(_covers, _true_uplift()), range(samples), chunksize=25))
    bought, share = verdicts.count("worth_buying"), float(np.mean(covered)) if samples else 0.95
    off = abs(share - 0.95) / (LEVELS[1] - 0.95)
    return {
        "ratio": max(bought / max(MOST_WRONG * seeds, 1e-9), off),
        "ours_s": time.perf_counter() - began,
        "reference_s": None,
        "threads": os.cpu_count(),
        "verdicts": {kind: verdicts.count(kind) for kind in sorted(set(verdicts))},
        "coverage": share,
        "settings": {
            "seeds": seeds, "samples": samples, "rows_a_sample": _ROWS, "most_worth_buying": MOST_WRONG * seeds,
            "coverage_between": LEVELS,
        },
    }  # fmt: skip


def _verdict(seed: int) -> str:
    """What a report says of the partner that knows nothing, on another table, split and training."""
    values = parse_toml(SCENARIOS / "no-signal.toml")
    values["data"]["source"]["seed"] = values["split"]["seed"] = values["run"]["seed"] = seed
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "no-signal.toml"
        path.write_text(tomli_w.dumps(values), encoding="utf-8")
        report = run(
            path, Path(folder) / "out", fresh=True, progress=lambda *_: None, page=False,
            overrides={"transport": "in-process", "engine": "plaintext"},
        )  # fmt: skip
    return report.verdicts[0].verdict


def _true_uplift() -> float:
    first, second = (NormalDist().cdf(distance / 2**0.5) for distance in _DISTANCES)
    return second - first


def _covers(truth: float, sample: int) -> bool:
    """Whether the interval of one sample's uplift in AUC holds the true one."""
    generator = draw(sample, "simulated sample", 0)
    label = (generator.random(_ROWS) < _BAD_RATE).astype(np.uint8)
    common = generator.standard_normal(_ROWS) * _CORRELATION**0.5
    scores = {}
    for name, distance in zip(("bank", "all"), _DISTANCES, strict=True):
        own = generator.standard_normal(_ROWS) * (1 - _CORRELATION) ** 0.5
        scores[name, "m"] = 1 / (1 + np.exp(-(common + own + distance * label)))
    uplift = Estimates.of(Scored(label, None, scores, {}), (0.05,), 20, sample).uplift(
        ("all", "m"), ("bank", "m"), "auc"
    )
    return bool(uplift.low <= truth <= uplift.high)

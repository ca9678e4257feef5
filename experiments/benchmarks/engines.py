"""The engines side by side: one tree, and one step of a logistic regression, of the same two parties.

Bytes are those of queries and answers; what is sent once, keys and hints, stands apart. The difference is that of any
row's margin, of tree or regression, to the plaintext's. Libraries that are not installed are named, and left out.
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from experiments.laboratory import OPEN
from experiments.laboratory.glm import GlmLaboratory
from experiments.laboratory.warm import warm_kernels
from protocol.algorithms.glm import product_rows
from protocol.algorithms.glm_parameters import GlmParams
from protocol.algorithms.parameters import BoostingParams
from protocol.he.engines import about, hint_bytes, installed, integer_hint_bytes, names, new_keys
from protocol.messages import F64, Message, encoded_size
from protocol.role import Replies, Requests
from protocol.table import Column

_BANK_COLUMNS: Final = 4
_CONTRACT: Final = OPEN.model_copy(update={"histogram_noise": 4.0, "score_decimals": 9})


@dataclass
class _Counting(GlmLaboratory):
    """Counts what queries and answers weigh."""

    sent: int = 0

    def exchange(self, requests: Requests) -> Replies:
        replies = super().exchange(requests)
        self.sent += sum(encoded_size(message) for message in (*requests.values(), *replies.values()))
        return replies

    def reply(self, party: str, message: Message) -> Message:
        reply = super().reply(party, message)
        self.sent += encoded_size(message) + encoded_size(reply)
        return reply


def benchmark_engines(rows: int = 2_000, partner_columns: int = 6, bins: int = 8) -> dict[str, Any]:
    """A row an engine: seconds, bytes, largest difference, classical bits of security, what the receiver can read."""
    warm_kernels()
    found, margins = [], {}
    for engine in ("plaintext", "blind", "ckks", "paillier"):
        if installed(engine):
            figures, margins[engine] = _measured(engine, rows, partner_columns, bins)
            difference = float(np.abs(margins[engine] - margins["plaintext"]).max())
            bits = about(engine).classical_bits or None
            found.append(
                {"engine": engine, **figures, "max_difference": difference, "classical_bits": bits,
                 "receiver_reads": about(engine).reads}
            )  # fmt: skip
    settings = {"rows": rows, "bank_columns": _BANK_COLUMNS, "partner_columns": partner_columns, "bins": bins}
    return {
        "engines": found,
        "not_installed": [engine for engine in names() if not installed(engine)],
        "settings": {**settings, "trees": 1, "depth": 3, "newton_steps": 1},
    }


def _measured(engine: str, rows: int, columns: int, bins: int) -> tuple[dict[str, float], F64]:
    """Times and bytes of one engine, and the margins of tree and regression, shape (2, rows)."""
    with tempfile.TemporaryDirectory() as folder:
        lab = _laboratory(engine, rows, columns, Path(folder))
        began, worked = time.perf_counter(), time.process_time()
        lab.keys = new_keys(engine, "bank")
        keyed = time.perf_counter()
        tree = lab.train(BoostingParams(n_estimators=1, max_depth=3, max_bin=bins))
        grown, tree_bytes = time.perf_counter(), lab.sent
        fitted = lab.fit(GlmParams(max_bin=bins, min_iv=0.0, max_iter=1))
        ended = time.perf_counter()
    once = 2 * len(lab.keys.public) + hint_bytes(engine, lab.answerers["partner"].matrix.rows)
    once += integer_hint_bytes(engine, len(product_rows(columns)))
    figures = {
        "seconds": ended - began, "cpu_s": time.process_time() - worked,
        "keys_s": keyed - began, "tree_s": grown - keyed, "glm_s": ended - grown,
        "bytes": lab.sent, "tree_bytes": tree_bytes, "glm_bytes": lab.sent - tree_bytes, "bytes_once": once,
    }  # fmt: skip
    return figures, np.stack((tree.margin, fitted.margin))


def _laboratory(engine: str, rows: int, columns: int, folder: Path) -> _Counting:
    """Normal columns of both parties, and a label that follows all of them a little."""
    generator = np.random.default_rng(7)
    values = generator.standard_normal((_BANK_COLUMNS + columns, rows))
    risk = values.T @ np.linspace(0.6, 0.2, len(values)) - 1.5
    y = (generator.random(rows) < 1 / (1 + np.exp(-risk))).astype(np.float64)
    made = [Column(f"x{k}", "number", numbers=column) for k, column in enumerate(values)]
    bank, partner = made[:_BANK_COLUMNS], {"partner": made[_BANK_COLUMNS:]}
    return _Counting(y, bank, partner, {"partner": np.arange(rows)}, folder, _CONTRACT, engine)

"""Seeded public draws: sampling, rounding, dealing. They hide nothing, and must be the same at every run.

A draw is named by a seed and a purpose, so that adding one never shifts another; rows are drawn in order of id.
What hides something never comes from here: see `protocol.he.streams`.
"""

import hashlib

import numpy as np


def draw(seed: int | str, *purpose: object) -> np.random.Generator:
    """A Philox generator keyed by the seed and the purpose."""
    name = "\x1f".join(str(part) for part in (seed, *purpose)).encode()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(hashlib.sha256(name).digest()[:16], "little")))

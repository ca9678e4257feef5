"""Attacks by a bank on the sums that it opens, run for real on both halves of the product, and scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from partner_node.policy.budgets import Budgets
from protocol.he.base import OneHot
from protocol.he.engines import evaluator, secret_kit
from protocol.he.noise import high_bits, noise_of_node
from protocol.he.plan import Packing
from protocol.he.streams import fresh_key
from protocol.messages import I64


@dataclass(frozen=True)
class Score:
    """found: share of the secrets that the attack gets right. chance: what guessing gets right."""

    attack: str
    setting: str
    found: float
    chance: float

    @property
    def advantage(self) -> float:
        """0 for guessing, 1 for everything."""
        return max(0.0, (self.found - self.chance) / (1 - self.chance))

    def __str__(self) -> str:
        return f"{self.attack}, {self.setting}: found {self.found:.1%}, by chance {self.chance:.1%}"


class Target:
    """A partner under the blind product, its sums opened by the bank: what an attack may ask."""

    def __init__(self, matrix: OneHot, histogram_noise: float, folder: Path) -> None:
        self.matrix, self.noise, self._key = matrix, histogram_noise, fresh_key()
        seed, budgets = fresh_key(), Budgets(folder / "budgets.sqlite", "partner")
        self._partner = evaluator("blind", "bank", fresh_key(), matrix, seed, budgets)
        self._kit = secret_kit("blind", "partner", fresh_key(), seed, self._partner.hint(), matrix.n)

    def sums(self, vectors: I64, label: str, packing: Packing) -> I64:
        """Opened sums of one node's vectors, (1 or 2, R), with the partner's noise for what the bank declares."""
        columns: Sequence[int] = range(len(self.matrix.sizes))
        sizes = [int(size) for size in self.matrix.sizes]
        labels = [f"{label}/{k}" for k in range(len(vectors))]
        sealed = self._kit.seal(vectors, labels)
        query = self._partner.check(sealed.body, labels, columns)
        noise = noise_of_node(self._key, label.encode(), columns, sizes, self.noise, packing)
        hidden = [
            high_bits(self._key, name, bits, self.matrix.rows)
            for name, bits in zip(query.names, packing.bits, strict=True)
        ]
        answer = self._partner.answer(query, noise + np.stack(hidden))
        return self._kit.open(sealed, np.arange(self.matrix.rows), answer)

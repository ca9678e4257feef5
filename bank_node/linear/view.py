"""What a fit of a generalised linear model works on: the bank's columns as whole numbers, and each partner's design."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from bank_node.models.linear import OwnTerm, PartnerTerm
from bank_node.partners.partner_view import View
from protocol.algorithms.glm import LEAST_SHARE, VALUE, DesignColumn
from protocol.algorithms.sealing import RowKeys
from protocol.he.base import I32
from protocol.he.integers import IntegerKit
from protocol.messages import F64, I64

_LEAST_SHARE: Final = 50 * LEAST_SHARE
"""The bank's own, of what parts may be at most: well above the partner's, which knows how far its values spread."""


@dataclass(frozen=True)
class OwnDesign:
    """The bank's terms, and their whole numbers over its n rows, shape (n, d)."""

    terms: tuple[OwnTerm, ...]
    values: I32 = field(repr=False)

    def numbers(self, rows: I64) -> F64:
        """A one, then the columns, of some rows: shape (len(rows), 1 + d)."""
        return np.column_stack((np.ones(len(rows)), self.values[rows] / VALUE))


@dataclass(frozen=True, kw_only=True)
class DesignView(View):
    """One partner's columns in a model, as the bank sees them.

    design: their name. columns: of the design; numbers: of each in the partner's own list. not_held: what stands for a
    row that is not held, in thousandths, shape (d,). rows: length of the partner's row space. decimals: of partial
    scores. least: columns that have a part in them, or none has. keys: of the rows held, with one-sided alignment.
    """

    design: str
    columns: tuple[DesignColumn, ...]
    numbers: tuple[int, ...]
    not_held: I64
    rows: int
    decimals: int
    kit: IntegerKit = field(repr=False)
    least: int = 0
    keys: RowKeys | None = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """Columns, d."""
        return len(self.columns)

    def too_few(self, coefficients: F64) -> bool:
        """Whether the partner would refuse these, shape (d,): too few columns count, and not none. It knows how far its
        values spread, the bank only what stands for bins; so the bank asks for more than the partner does."""
        parts: dict[int, float] = {}
        for one, coefficient in zip(self.columns, coefficients.tolist(), strict=True):
            spread = max(one.values) - min(one.values) if one.values else VALUE
            parts[one.column] = parts.get(one.column, 0.0) + abs(coefficient) * spread / VALUE
        least = max(10.0**-self.decimals, _LEAST_SHARE * max(parts.values()))
        return bool(coefficients.any()) and sum(part >= least for part in parts.values()) < self.least

    def spread(self, rows: I64, values: I64) -> I64:
        """Lay vectors over some bank rows, shape (B, len(rows)), out over the row space, zero elsewhere."""
        out = np.zeros((len(values), self.rows), dtype=np.int64)
        at = self.positions[rows]
        out[:, at[at >= 0]] = values[:, at >= 0]
        return out

    def terms(self, coefficients: Sequence[int]) -> tuple[PartnerTerm, ...]:
        """The columns as a model keeps them."""
        each = zip(self.columns, self.numbers, self.not_held.tolist(), coefficients, strict=True)
        return tuple(
            PartnerTerm(party=self.name, column=number, values=c.values, not_held=n, coefficient=b)
            for c, number, n, b in each
        )

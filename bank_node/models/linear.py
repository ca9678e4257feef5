"""A generalised linear model, as the bank keeps it: an intercept, and a term a column of every party.

All of it are whole numbers (protocol/algorithms/glm.py says of what unit), so that scores are the same to the last bit
wherever they are computed. A term of a partner says what stands for its bins, if the bank has told it so, and what
stands for a row that it does not hold; which column it is, beyond its number, only the partner knows.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import msgspec
import numpy as np

from bank_node.models.canonical import Model
from bank_node.models.offset import Offset, offset_units
from protocol.algorithms.binning import NumberRule
from protocol.algorithms.glm import COEFFICIENT, UNIT, VALUE
from protocol.algorithms.preparing import Encoding
from protocol.messages import F64, I64
from protocol.table import Column

SCHEMA: Final = 1


def together(partners: Sequence[str]) -> str:
    """What several partners are called whose parts of a score are known in sum alone."""
    return " + ".join(sorted(partners))


class OwnTerm(Encoding, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column of the bank. coefficient: in millionths."""

    coefficient: int = 0


class PartnerTerm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column of a partner. column: its number there, from 0. values: as in `OwnTerm`, `missing` last.

    not_held: what stands for a row that the partner does not hold.
    """

    party: str
    column: int
    values: tuple[int, ...] = ()
    not_held: int = 0
    coefficient: int = 0

    @property
    def name(self) -> str:
        """As reports call it."""
        return f"column {self.column + 1}"


class LinearModel(Model, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fitted model. margin = scale * (intercept + sum of coefficient * value + partners' rounded scores) + offset.

    intercept: in millionths. decimals: to which each partner's scores are rounded. parties: the bank first.
    """

    FILE: ClassVar[str] = "linear.json"

    schema: int = SCHEMA
    intercept: int
    scale: float
    decimals: dict[str, int]
    own: tuple[OwnTerm, ...]
    theirs: tuple[PartnerTerm, ...]
    offset: Offset | msgspec.UnsetType = msgspec.UNSET

    @property
    def own_columns(self) -> dict[str, str]:
        offset = {} if isinstance(self.offset, msgspec.UnsetType) else {self.offset.column: "number"}
        return {t.column: "number" if isinstance(t.rule, NumberRule) else "category" for t in self.own} | offset

    @property
    def offset_columns(self) -> tuple[str, ...]:
        return () if isinstance(self.offset, msgspec.UnsetType) else (self.offset.column,)

    def of(self, party: str) -> tuple[PartnerTerm, ...]:
        """The terms of a partner."""
        return tuple(term for term in self.theirs if term.party == party)

    def asks(self, party: str) -> bool:
        """Whether a partner is needed to score."""
        return any(term.coefficient for term in self.of(party))

    def not_held(self, party: str) -> int:
        """The score, in 1 / UNIT, of a row that a partner does not hold."""
        return sum(term.coefficient * term.not_held for term in self.of(party))

    def own_score(self, columns: Mapping[str, Column], rows: int) -> I64:
        """Intercept, the bank's terms and offset, in 1 / UNIT, shape (rows,). Raises: DataError: a row lacks it."""
        score = np.full(rows, self.intercept * VALUE, dtype=np.int64)
        for term in self.own:
            score += term.encode(columns[term.column]).astype(np.int64) * term.coefficient
        if not isinstance(self.offset, msgspec.UnsetType):
            score += offset_units(self.offset, columns[self.offset.column].numbers, self.scale, self.parties[0])
        return score

    def margin(self, score: I64) -> F64:
        """The margin of whole scores."""
        return np.asarray(score / UNIT * self.scale)

    def coefficient(self, number: int) -> float:
        """A coefficient in units of the margin."""
        return number / COEFFICIENT * self.scale

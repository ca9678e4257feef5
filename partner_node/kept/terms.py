"""What stands behind a linear model at a partner: the columns by name, what encodes them, and their coefficients."""

import msgspec

from protocol.algorithms.binning import Rule, apply_rule
from protocol.algorithms.glm import of_bins, standardised
from protocol.algorithms.preparing import Prepared, encoded
from protocol.he.base import I32
from protocol.table import Column


class KeptTerm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One column of a model, as the partner keeps it: what turns its values into whole numbers.

    rule, values: bins, and what stands for each; without values, mean and deviation of the numbers, or all that they go
    through where more is declared.
    """

    column: str
    rule: Rule
    values: tuple[int, ...]
    mean: float
    deviation: float
    prepared: Prepared | msgspec.UnsetType = msgspec.UNSET

    def encode(self, column: Column) -> I32:
        """Whole numbers of a column, which may come from another table, shape (n,)."""
        if self.values:
            return of_bins(apply_rule(self.rule, column), self.values)
        if self.prepared is not msgspec.UNSET:
            return encoded(self.prepared, column.numbers)
        return standardised(column.numbers, self.mean, self.deviation)


class KeptTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What stands behind a model: its columns, and coefficients in millionths.

    among: all partners of it, where its scores leave under masks alone that hide them in the sum of theirs.
    """

    terms: tuple[KeptTerm, ...]
    coefficients: tuple[int, ...]
    among: tuple[str, ...] = ()

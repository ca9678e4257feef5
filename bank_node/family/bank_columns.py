"""The bank's own columns in bins, as every model family takes them."""

from dataclasses import dataclass

from bank_node.models.trees import BankSplit
from protocol.algorithms.binning import CategoryRule, Rule, in_order
from protocol.algorithms.boosting import Split
from protocol.algorithms.parameters import BoostingParams
from protocol.errors import DataError
from protocol.messages import U8


@dataclass(frozen=True)
class BankColumns:
    """The bank's own columns, binned. names, rules: d of them. bins: shape (n, d), uint8."""

    names: tuple[str, ...]
    rules: tuple[Rule, ...]
    bins: U8

    def directions(self, params: BoostingParams) -> tuple[int, ...]:
        """Which way the margin may go as each column grows: 1 up, -1 down, 0 free."""
        return tuple(params.monotone_constraints.get(name, 0) for name in self.names)

    def require_ordered(self, params: BoostingParams, bank: str) -> None:
        """Raises: DataError: a column of categories was given a direction."""
        for name, rule, direction in zip(self.names, self.rules, self.directions(params), strict=True):
            if direction and not in_order(rule):
                thing = f"column {name!r} holds categories, which have no direction"
                raise DataError(bank, thing, "take it out of monotone_constraints, or name it under ordered")

    def split(self, split: Split) -> BankSplit:
        """A split by its values, as the model file keeps it."""
        rule, name = self.rules[split.column], self.names[split.column]
        if isinstance(rule, CategoryRule):
            among = {category for b in split.left for category in rule.groups[b]}
            others = {category for group in rule.groups for category in group} - among
            return BankSplit(name, among=tuple(sorted(among)), others=tuple(sorted(others)))
        whole = len(split.left) == rule.ordinary
        return BankSplit(name, below=None if whole else float(rule.cuts[len(split.left) - 1]))

"""Hand aggregates of events: counts, sums, means, trends, gaps and the time since the last, by type and window.

One pass over the events of some customers; an event counts for a point only if it is not later, and for a window only
if it lies within so many months before the point.
"""

from dataclasses import dataclass
from typing import Final

from partner_node.encoders.event_base import UNITS
from partner_node.encoders.vocabulary import Vocabulary
from protocol.table.scan import quoted

_DAY: Final = 86_400


@dataclass(frozen=True)
class Aggregates:
    """The aggregates of a vocabulary. windows: in months, ascending. amounts: whether events have one."""

    vocabulary: Vocabulary
    windows: tuple[int, ...]
    amounts: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns, in order."""
        return tuple(self._expressions)

    def query(self, asked: str, events: str) -> str:
        """SQL: (entity, point, the columns) of the points that one query gives, from the events that the other does."""
        selected = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in self._expressions.items())
        return (
            f"SELECT a.entity, a.point, {selected} FROM ({asked}) a "
            f"JOIN ({events}) e ON e.entity = a.entity AND e.t <= a.point GROUP BY a.entity, a.point"
        )

    @property
    def _expressions(self) -> dict[str, str]:
        """Columns by name, in SQL."""
        found = {"days since first": _days("min(e.t)"), "types": f"count(DISTINCT {self._within('e.code')})::INTEGER"}
        found |= self._of_type("all", "true")
        for code, name in self.vocabulary.shown.items():
            found |= self._of_type(name, f"e.code = {code}")
        return found | self._gaps()

    def _of_type(self, name: str, test: str) -> dict[str, str]:
        count = {w: self._add("1", test, w) for w in self.windows}
        found = {f"{name} count {w}m": f"{sql}::INTEGER" for w, sql in count.items()}
        total = {w: self._add("e.amount", test, w) for w in self.windows if self.amounts}
        for w, sql in total.items():
            found[f"{name} sum {w}m"] = f"{sql} / {UNITS}.0"
            found[f"{name} mean {w}m"] = (
                f"{sql} / {UNITS}.0 / nullif({self._add('1', f'{test} AND e.amount IS NOT NULL', w)}, 0)"
            )
        short, long = self._trend_windows
        if short < long:
            found[f"{name} count trend"] = f"{count[short]} * {long / short} / nullif({count[long]}, 0)"
            if self.amounts:
                found[f"{name} sum trend"] = f"{total[short]} * {long / short} / nullif({total[long]}, 0)"
        return {**found, f"{name} days since last": _days(f"max(CASE WHEN {test} THEN e.t END)")}

    def _gaps(self) -> dict[str, str]:
        """Days between two events within the longest window: mean, longest, and how uneven they are."""
        longest = self.windows[-1]
        number = self._add("1", "e.gap IS NOT NULL", longest)
        mean = f"{self._add('e.gap', 'true', longest)} / nullif({number}, 0)"
        squares = f"{self._add('e.gap::HUGEINT * e.gap', 'true', longest)} / nullif({number}, 0)"
        return {
            "gap mean": f"{mean} / {_DAY}.0",
            "gap longest": f"max({self._within('e.gap')}) / {_DAY}.0",
            "gap deviation": f"sqrt(greatest(({squares}) - ({mean}) * ({mean}), 0)) / {_DAY}.0",
        }

    @property
    def _trend_windows(self) -> tuple[int, int]:
        """The window whose pace is held against that of the longest: a quarter's, if there is one."""
        return min(self.windows, key=lambda w: abs(w - 3)), self.windows[-1]

    def _add(self, value: str, test: str, window: int) -> str:
        within = f"e.t > a.point - INTERVAL {window} MONTH"
        return f"coalesce(sum(CASE WHEN {within} AND {test} THEN {value} END), 0)"

    def _within(self, value: str) -> str:
        return f"CASE WHEN e.t > a.point - INTERVAL {self.windows[-1]} MONTH THEN {value} END"


def _days(moment: str) -> str:
    return f"(epoch(a.point) - epoch({moment})) / {_DAY}.0"

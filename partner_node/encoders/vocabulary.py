"""What an encoder knows of an event: its type, rare ones merged, and which bins amounts and gaps fall into.

A vocabulary is fitted on the events up to one date and then pinned: later months are read through it unchanged.
"""

from typing import Final

import duckdb
from pydantic import BaseModel, ConfigDict

from protocol.table.scan import text

RARE: Final = 50
"""A type that occurs less often is merged with the other rare ones: a column of its own would speak of few people."""
MOST_KINDS: Final = 12
"""Types with columns of their own, the most frequent ones."""
OTHER: Final = "other types"
_RESERVED: Final = ("all", "gap")
"""Columns of all types together begin with these."""
_HOUR: Final = 3600
GAP_CUTS: Final = tuple(_HOUR * h for h in (1, 6, 18, 30, 54, 78, 126, 174, 246, 342, 510, 726, 1086, 1446, 2166, 4326))
"""Seconds between two events at which the bins of gaps part, from an hour to half a year."""
_LEVELS: Final = tuple(k / 8 for k in range(1, 8))


class Vocabulary(BaseModel):
    """kinds: types with a code of their own, from 1 on; 0 is all others. cuts: of each code's amounts, ascending.

    rest: whether the others together are frequent enough to have columns.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kinds: tuple[str, ...]
    cuts: tuple[tuple[int, ...], ...]
    rest: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Of the codes, each its own whatever the case of its letters: columns are called by them."""
        names = [OTHER]
        for kind in self.kinds:
            taken = {name.lower() for name in (*names, *_RESERVED)}
            while kind.lower() in taken:
                kind += "_1"
            names.append(kind)
        return tuple(names)

    @property
    def shown(self) -> dict[int, str]:
        """Codes with columns of their own, by name. None where all events are of one type."""
        names = {k: name for k, name in enumerate(self.names) if k or self.rest}
        return names if len(names) > 1 else {}

    @property
    def code(self) -> str:
        """SQL: the code of the type in the column `kind`."""
        cases = " ".join(f"WHEN {text(kind)} THEN {k + 1}" for k, kind in enumerate(self.kinds))
        return f"(CASE kind {cases} ELSE 0 END)::UTINYINT" if cases else "0::UTINYINT"


def fit_vocabulary(base: duckdb.DuckDBPyConnection, until: object) -> Vocabulary:
    """The vocabulary of the events in `raw` up to a date; ties go by name."""
    counted = base.execute(
        f"SELECT kind FROM raw WHERE t <= ? GROUP BY kind HAVING count(*) >= {RARE} "
        f"ORDER BY count(*) DESC, kind LIMIT {MOST_KINDS}",
        [until],
    ).fetchall()
    alone = Vocabulary(kinds=tuple(row[0] for row in counted), cuts=())
    levels = ", ".join(map(str, _LEVELS))
    found = dict(
        base.execute(
            f"SELECT {alone.code} AS code, quantile_disc(amount, [{levels}]) FROM raw "
            "WHERE t <= ? AND amount IS NOT NULL GROUP BY code",
            [until],
        ).fetchall()
    )
    cuts = tuple(tuple(sorted(set(found.get(code, ())))) for code in range(len(alone.names)))
    rest = f"SELECT count(*) >= {RARE} FROM raw WHERE t <= ? AND {alone.code} = 0"
    ((frequent,),) = base.execute(rest, [until]).fetchall()
    return alone.model_copy(update={"cuts": cuts, "rest": frequent})

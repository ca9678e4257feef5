"""[parties.X.encode]: a party's columns are made of its events or edges before a table is dealt out.

The work is `partner-node encode` and `encode-graph`; here stand what they are told. A job that nodes read has the
columns and no such section.
"""

import datetime as dt
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from protocol.settings.added_keys import Section
from protocol.table import Source


class MadeUp(Section):
    """Events or edges of the scenario's own generator."""

    kind: Literal["generated"]


class Encode(Section):
    """events: one row an event, with `id`, `time`, `type` and `amount`. edges: one row a link, with its two `ends`.

    windows: months. columns: learned ones. give: which of the two kinds of columns the party holds. fit_until: the
    last date of what is fitted on; the first point in time if not given. nodes: what the party knows of an edge's
    ends, with `id`, numbers, and the date of each record, `nodes_time`.
    """

    ADDED: ClassVar = ("nodes", "nodes_time")

    events: Source | MadeUp | None = None
    edges: Source | MadeUp | None = None
    nodes: Source | MadeUp | None = None
    nodes_time: str = ""
    id: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    time: str = Field(min_length=1)
    type: str = ""
    amount: str = ""
    windows: tuple[int, ...] = (1, 3, 6, 12)
    columns: int = Field(16, ge=0, le=64)
    give: Literal["all", "aggregates", "learned"] = "all"
    fit_until: dt.date | None = None
    seed: int = Field(7, ge=0)

    @model_validator(mode="after")
    def _one_kind(self) -> "Encode":
        if (self.events is None) == (self.edges is None):
            raise ValueError("columns are made of events or of edges; name one of the two")
        if self.events is not None and not self.id:
            raise ValueError("events need id, the columns that name the customer")
        if self.edges is not None and len(self.ends) != 2:
            raise ValueError("edges need ends, the two columns between which an edge goes")
        if self.nodes is not None and len(self.id) != 1:
            raise ValueError("nodes need id, the one column that names them")
        if self.give == "learned" and not self.columns:
            raise ValueError('give = "learned" needs columns, a number of learned columns')
        return self

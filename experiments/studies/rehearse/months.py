"""The tables of a contract year: who is a customer by which month, and what a partner then says of whom.

A scenario has one table. Its customers are put in the order of a date, and of equal dates in the order of a digest of
the id: the oldest 40% are the book, on which the first model is trained, and the rest arrive in equal parts, one a
month. A partner's table drifts by a stated model: each month a share of the customers known to it takes the row of a
donor, another customer of the partner with the same label. So what a row says stays as good a guess of the label as
ever, and what was told of the customer before is wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import numpy as np

from protocol.draws import draw
from protocol.job import Job
from protocol.messages import I64
from protocol.table.scan import quoted, text

BOOK: Final = 0.4
"""Share of the customers that the first model is trained on."""
DRIFT: Final = 0.05
"""Share of a partner's known customers whose rows change in a month."""


@dataclass(frozen=True)
class Year:
    """A year of tables. whole: each party's table of all customers, as dealt. date: column that orders customers.

    date may be "": then customers arrive in the order of a digest of their ids.
    """

    job: Job
    whole: Mapping[str, Path]
    months: int
    date: str
    base: duckdb.DuckDBPyConnection

    def __post_init__(self) -> None:
        self._number_customers()
        for partner in self.job.partners:
            self._begin(partner)

    def write(self, party: str, month: int, path: Path) -> None:
        """Write a party's table as it stands at the end of a month; 0 is the day of signing."""
        if party == self.job.bank:
            rows = f"SELECT t.* FROM {self._table(party)} t JOIN arrivals a USING (id_) WHERE a.month <= {month}"
        else:
            rows = self._partner_rows(party, month)
        self.base.execute(
            f"COPY (SELECT * EXCLUDE (id_) FROM ({rows}) ORDER BY id_) TO {text(str(path))} (FORMAT parquet)"
        )

    def drift(self, partner: str, month: int) -> int:
        """Let a partner's rows change in a month; how many customers take another row."""
        known = self._rows(
            f"SELECT s.place, a.bad FROM source{self._number(partner)} s JOIN arrivals a USING (id_) "
            f"WHERE a.month < {month} ORDER BY s.place"
        )
        rng = draw(self.job.run.seed, "drift", f"{partner} {month}")
        changed = rng.permutation(len(known))[: round(DRIFT * len(known))]
        donors = np.empty(len(changed), dtype=np.int64)
        for bad in (0, 1):
            pool = known[known[:, 1] == bad, 0]
            of_label = known[changed, 1] == bad
            if len(pool):
                donors[of_label] = rng.choice(pool, int(of_label.sum()))
        self.base.register("given", {"place": known[changed, 0], "taken": donors})
        self.base.execute(
            f"UPDATE source{self._number(partner)} s SET taken = given.taken FROM given WHERE s.place = given.place"
        )
        self.base.unregister("given")
        return len(changed)

    def taken(self, partner: str) -> I64:
        """The place of the row that each of a partner's customers takes, in order of place."""
        query = f"SELECT taken FROM source{self._number(partner)} ORDER BY place"
        return np.ma.getdata(self.base.sql(query).fetchnumpy()["taken"]).astype(np.int64)

    def differ(self, partner: str, before: I64) -> set[str]:
        """Ids of the customers who take another row than before."""
        places = np.flatnonzero(self.taken(partner) != before)
        self.base.register("given", {"place": places})
        found = self.base.sql(f"SELECT id_ FROM source{self._number(partner)} JOIN given USING (place)").fetchall()
        self.base.unregister("given")
        return {str(i) for (i,) in found}

    def newcomers(self, month: int, count: int, path: Path) -> None:
        """Write the bank's rows of a few customers that arrive in a month."""
        rows = (
            f"SELECT t.* FROM {self._table(self.job.bank)} t JOIN arrivals a USING (id_) "
            f"WHERE a.month = {month} ORDER BY id_ LIMIT {count}"
        )
        self.base.execute(f"COPY (SELECT * EXCLUDE (id_) FROM ({rows})) TO {text(str(path))} (FORMAT parquet)")

    def parted(self, table: Path, month: int, known: Path, new: Path) -> None:
        """Write the rows of a bank's table as two: of customers from before a month, and of the month."""
        first, ids = quoted(self.job.data.id[0]), "SELECT id_ FROM arrivals WHERE month"
        for path, when in ((known, f"< {month}"), (new, f">= {month}")):
            rows = f"SELECT * FROM read_parquet({text(str(table))}) WHERE CAST({first} AS VARCHAR) IN ({ids} {when})"
            self.base.execute(f"COPY ({rows}) TO {text(str(path))} (FORMAT parquet)")

    def _number_customers(self) -> None:
        """By id: the month of arrival, 0 for the book, and the label."""
        order = f"TRY_CAST({quoted(self.date)} AS TIMESTAMP), " if self.date else ""
        label = quoted(self.job.data.label)
        month = f"CAST(FLOOR((share - {BOOK}) / {1 - BOOK} * {self.months}) AS INTEGER)"
        share = f"(row_number() OVER (ORDER BY {order}sha256(id_)) - 1) / COUNT(*) OVER () AS share"
        self.base.execute(
            f"CREATE TABLE arrivals AS SELECT id_, {label}::INTEGER AS bad, CASE WHEN share < {BOOK} THEN 0 "
            f"ELSE 1 + LEAST({month}, {self.months - 1}) END AS month "
            f"FROM (SELECT *, {share} FROM {self._table(self.job.bank)})"
        )

    def _begin(self, partner: str) -> None:
        """A partner's customers, each at a place, whose row is at first its own."""
        number, place = self._number(partner), "row_number() OVER (ORDER BY id_) - 1 AS place_"
        taken = "SELECT id_, place_ AS place, place_ AS taken"
        self.base.execute(f"CREATE TABLE held{number} AS SELECT *, {place} FROM {self._table(partner)}")
        self.base.execute(f"CREATE TABLE source{number} AS {taken} FROM held{number}")

    def _partner_rows(self, partner: str, month: int) -> str:
        """Its customers known by the month, and strangers, who are none of the bank's."""
        number, keys = self._number(partner), ", ".join(quoted(c) for c in self.job.data.id)
        names = ", ".join(f"own.{quoted(c)}" for c in self.job.data.id)
        return (
            f"SELECT own.id_, {names}, taken.* EXCLUDE (id_, place_, {keys}) FROM source{number} s "
            f"JOIN held{number} own ON own.place_ = s.place JOIN held{number} taken ON taken.place_ = s.taken "
            f"LEFT JOIN arrivals a ON a.id_ = s.id_ WHERE coalesce(a.month, 0) <= {month}"
        )

    def _table(self, party: str) -> str:
        ids = " || '|' || ".join(f"CAST({quoted(c)} AS VARCHAR)" for c in self.job.data.id)
        return f"(SELECT *, {ids} AS id_ FROM read_parquet({text(str(self.whole[party]))}))"

    def _rows(self, query: str) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        found = self.base.sql(query).fetchnumpy()
        return np.stack([np.ma.getdata(column).astype(np.int64) for column in found.values()], axis=1)

    def _number(self, partner: str) -> int:
        return self.job.partners.index(partner)

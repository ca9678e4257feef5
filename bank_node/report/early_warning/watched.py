"""The test rows of `scores.csv` with their dates from `early_warning.csv`, in the order in which rows are ranked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from bank_node.data.saved import add_table
from bank_node.metrics.scores import EVALUATED, IN_TIME, Key
from protocol.errors import DataError
from protocol.messages import F64, I64
from protocol.table.dates import Moments

WATCHED_FILE: Final = "early_warning.csv"
_COLUMNS: Final = {
    "id": "VARCHAR", "customer": "VARCHAR", "date": "TIMESTAMP", "event": "TIMESTAMP", "vintage": "TIMESTAMP",
}  # fmt: skip


@dataclass(frozen=True)
class Watched:
    """Test rows in tie order, n of them, of `customers` customers.

    customer: number of each row's, from 0. date: where it stands. event, vintage: NaT where there is none. amount:
    exposure, None where not declared; all of shape (n,). reference: by rung and model, the scores against which later
    months are held: of rows tested in time where there are some, else of those trained on.
    """

    customers: int
    customer: I64
    date: Moments
    event: Moments
    vintage: Moments
    amount: F64 | None
    reference: dict[Key, F64]

    @property
    def month(self) -> Moments:
        """The month of each row."""
        month: Moments = self.date.astype("datetime64[M]")
        return month


def watched_in(base: duckdb.DuckDBPyConnection, folder: Path, keys: Sequence[Key], rows: int) -> Watched:
    """The test rows. base: with `scores.csv` loaded. rows: how many of them the scores have.

    Raises: DataError: the file is not there, no table of dates, or not over the test rows.
    """
    try:
        add_table(base, "watched", folder / WATCHED_FILE, _COLUMNS)
    except duckdb.Error:
        raise _broken() from None
    exposed = any(name == "amount" for name, *_ in base.table("scores").description)
    query = (
        f"SELECT customer, date, event, vintage, {'amount' if exposed else 'NULL AS amount'} FROM watched JOIN "
        "(SELECT * FROM scores WHERE rung = ? AND model = ? AND part = ?) USING (id) ORDER BY sha256(id), id"
    )
    found = base.execute(query, [*keys[0], EVALUATED]).fetchnumpy()
    if len(found["customer"]) != rows:
        raise _broken()
    names, customer = np.unique(np.ma.getdata(found["customer"]).astype(str), return_inverse=True)
    dates = {name: _moments(found[name]) for name in ("date", "event", "vintage")}
    exposure = np.ma.getdata(found["amount"]).astype(np.float64) if exposed else None
    reference = {key: _reference(base, key) for key in keys}
    return Watched(len(names), customer.astype(np.int64), **dates, amount=exposure, reference=reference)


def _reference(base: duckdb.DuckDBPyConnection, key: Key) -> F64:
    """Scores in time; without such, those of the training rows."""
    query = "SELECT score FROM scores WHERE rung = ? AND model = ? AND part = ? ORDER BY score"
    for part in (IN_TIME, "train"):
        scores: F64 = np.ma.getdata(base.execute(query, [*key, part]).fetchnumpy()["score"]).astype(np.float64)
        if len(scores):
            break
    return scores


def _moments(values: Any) -> Moments:
    moments: Moments = np.ma.getdata(values).astype("datetime64[us]")
    moments[np.ma.getmaskarray(values)] = np.datetime64("NaT")
    return moments


def _broken() -> DataError:
    return DataError("report", f"{WATCHED_FILE} is not over the test rows of scores.csv", "train again")

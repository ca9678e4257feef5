"""What is kept of the test rows for watching them month by month: `early_warning.csv`.

Columns: id, customer, date, event, vintage. A customer is an id without its date; event and vintage are empty where
they are not declared, or not known.
"""

import csv
import io

import numpy as np
import numpy.typing as npt

from protocol.errors import DataError
from protocol.job import EarlyWarning, Job
from protocol.table import Table
from protocol.table.dates import Moments, date_texts


def months_after(moments: Moments, months: int) -> Moments:
    """The end of the day so many months later; of a longer month's last days, the last day of the shorter one."""
    days = moments.astype("datetime64[D]")
    month = days.astype("datetime64[M]")
    first = (month + months).astype("datetime64[D]")
    last = (month + months + 1).astype("datetime64[D]") - 1
    ends = days == (month + 1).astype("datetime64[D]") - 1
    later: Moments = np.where(ends, last, np.minimum(first + (days - month.astype("datetime64[D]")), last))
    return (later + 1).astype("datetime64[us]")


def require_windows(job: Job, table: Table) -> None:
    """Labels must be what the events say: 1 where one falls within the performance window after the row's date.

    Raises: DataError: some are not.
    """
    watched = job.early_warning
    if watched is None or not watched.event:
        return
    event, dates = table.dates[watched.event], _dates(table)
    assert table.label is not None
    within = (event > dates) & (event < months_after(dates, watched.performance))
    wrong = int((within != (table.label > 0)).sum())
    if wrong:
        thing = f"has {wrong} rows whose label is not what {watched.event!r} says for {watched.performance} months"
        raise DataError(table.party, thing, "correct performance, the event or the label")
    late = int((event <= dates).sum())
    if late:
        thing = f"has {late} rows dated at or after the event in {watched.event!r}"
        raise DataError(table.party, thing, "leave out rows of customers that have already defaulted")


def watched_rows(watched: EarlyWarning, table: Table, tested: npt.NDArray[np.bool_]) -> bytes:
    """The file's text, the test rows in order of id."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["id", "customer", "date", "event", "vintage"])
    given = [_dates(table), *(table.dates.get(name) for name in (watched.event, watched.vintage))]
    chosen = np.flatnonzero(tested)
    columns = [[""] * len(chosen) if moments is None else _texts(moments[chosen]) for moments in given]
    ids = ([values[i].decode() for i in chosen] for values in (table.written_ids, table.entity_ids))
    rows.writerows(zip(*ids, *columns, strict=True))
    return text.getvalue().encode()


def _dates(table: Table) -> Moments:
    """When a row stands: as_of where it has one."""
    dates = table.as_of if table.as_of is not None else table.time
    assert dates is not None
    return dates


def _texts(moments: Moments) -> list[str]:
    return ["" if absent else text for text, absent in zip(date_texts(moments), np.isnat(moments), strict=True)]

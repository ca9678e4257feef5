"""Whether a column that a job names is the party's."""

from typing import TYPE_CHECKING

from protocol.errors import nearest

if TYPE_CHECKING:
    from protocol.job.fields import JobFields


def require_own(job: "JobFields", party: str, column: str, key: str) -> None:
    """Raises: ValueError: it is no column of the party, and no part of a date that it has."""
    columns = job.parties[party].columns
    if column not in columns and column.rpartition(".")[0] not in columns:
        raise ValueError(f"{key} names {column!r}, which is no column of {party}{nearest(column, list(columns))}")

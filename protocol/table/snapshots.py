"""Tables of a database: read once, into a Parquet file that everything else reads and names by its SHA-256.

The query runs in a read-only transaction of PostgreSQL, by its own driver (ADBC), and passes to DuckDB as Arrow, so
that no further package is needed. The URI comes from the environment or a file, and is in no message, log or file:
what the driver says may hold it, or values of the table, so that of its errors only the kind is told.
"""

import os
import re
from collections.abc import Sequence
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb

from protocol.errors import DataError, FedwarnError, UsageError
from protocol.files import disk_error, own_folder

if TYPE_CHECKING:
    from protocol.table.spec import Source

SNAPSHOTS: Final = "snapshots"
"""The folder in a node's state folder."""
_EXTRA: Final = "pip install 'fedwarn[postgres]'"
_ROWS_A_GROUP: Final = 10_240
_EXACT: Final = 2**53
_CONNECT_S: Final = 10
_SAID: Final = {
    "28P01": "it refuses the password",
    "28000": "it refuses the user",
    "3D000": "it has no such database",
    "42P01": "the query names a table that is not there",
    "42703": "the query names a column that is not there",
    "42601": "the query is no valid SQL",
    "42501": "the user may not read what the query selects",
    "25006": "the query writes, and is run read-only",
    "57014": "the query was cancelled, or took longer than the server allows",
}
"""What is told of an error, by its SQLSTATE."""
_WHILE_READING: Final = {
    "read-only transaction": _SAID["25006"],
    "canceling statement": _SAID["57014"],
    "permission denied": _SAID["42501"],
}
_UNREACHED: Final = {
    "password authentication failed": _SAID["28P01"],
    "no password supplied": "it wants a password, and the URI has none",
    "no pg_hba.conf entry": _SAID["28000"],
    "Connection refused": "nothing answers at its address",
    "could not translate host name": "its host is not known",
    "timeout expired": f"it does not answer within {_CONNECT_S} s",
    "No such file or directory": "its socket is not there",
    "SSL": "it wants other TLS settings",
    'missing "="': "the URI is none",
    "invalid URI": "the URI is none",
    "invalid connection option": "the URI has an option that is not known",
    "does not exist": _SAID["3D000"],
}


def at_hand(source: "Source", party: str) -> "Source":
    """The source as a file: of a database, its snapshot, which is drawn where there is none.

    Raises:
        UsageError: the driver is not installed, the URI is not there, or the database does not answer it.
        DataError: the query cannot be run, or selects more rows than max_rows.
    """
    if source.kind != "sql":
        return source
    if not source.path.is_file():
        draw_snapshot(source, party)
    most = type(source).model_fields["max_rows"].default
    return source.model_copy(update={"kind": "parquet", "uri": "", "query": "", "max_rows": most})


def draw_snapshot(source: "Source", party: str) -> None:
    """Read a database into the snapshot of its source, in place of the one before. Raises: as `at_hand`."""
    uri = _uri_of(source, party)
    try:
        from adbc_driver_postgresql import dbapi
    except ImportError:
        thing = "its table is in a database, and the package adbc-driver-postgresql is not installed"
        raise UsageError(party, thing, f"{_EXTRA}, or give the table as a file") from None
    raw, whole = (source.path.with_name(f"{source.path.name}.{end}") for end in ("raw", "part"))
    try:
        own_folder(source.path.parent)
        with (
            _connected(dbapi, uri, party) as connection,
            closing(connection.cursor()) as cursor,
            duckdb.connect() as base,
        ):
            base.execute("SET TimeZone = 'UTC'")
            types = _select(cursor, source, base, raw, party)
            _write(base, raw, whole, types)
        os.chmod(whole, 0o600)
        whole.replace(source.path)
    except OSError as error:
        raise disk_error(error, source.path) from None
    finally:
        raw.unlink(missing_ok=True)
        whole.unlink(missing_ok=True)


def _uri_of(source: "Source", party: str) -> str:
    """The URI from where it stands. Raises: UsageError: it is not there."""
    where, _, name = source.uri.partition(":")
    if where == "env":
        uri = os.environ.get(name, "")
        thing = f"its table is in a database, and the environment has no variable {name}"
    elif where == "file":
        try:
            uri = Path(name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeError):
            uri = ""
        thing = f"its table is in a database, and the file {Path(name).name} of its URI is not there or empty"
    else:
        uri, thing = "", "its table is in a database, and the source has no uri"
    if not uri:
        raise UsageError(party, thing, 'put the URI there, and write uri = "env:NAME" or "file:PATH"')
    if not re.match("postgres(ql)?://", uri):
        raise UsageError(party, "the URI of its database does not begin with postgresql://", "correct it there")
    waits = "connect_timeout=" in uri
    return uri if waits else f"{uri}{'&' if '?' in uri else '?'}connect_timeout={_CONNECT_S}"


def _connected(dbapi: Any, uri: str, party: str) -> Any:
    """A connection. Raises: UsageError."""
    try:
        return dbapi.connect(uri)
    except Exception as error:
        said, unknown = str(error), "it does not accept the connection"
    why = next((reason for part, reason in _UNREACHED.items() if part in said), unknown)
    raise UsageError(party, f"its database cannot be read: {why}", "correct the URI, or see to the database")


def _select(cursor: Any, source: "Source", base: duckdb.DuckDBPyConnection, raw: Path, party: str) -> list[str]:
    """Write what the query selects as it comes; PostgreSQL's types of the columns, none if there are no rows.

    Raises: UsageError: the disk is full. DataError: it cannot be run, or selects too many rows.
    """
    # The line end closes a comment in the query's last line.
    inner = f"({source.query.strip().rstrip(';')}\n) AS selected"
    try:
        cursor.execute("SET TRANSACTION READ ONLY")
        cursor.execute(f"SELECT * FROM {inner} LIMIT {source.max_rows + 1}")
        selected = base.from_arrow(cursor.fetch_arrow())
        names = list(selected.columns)
        selected.write_parquet(str(raw), row_group_size=_ROWS_A_GROUP)
        typed = ", ".join(f"pg_typeof({_quoted(name)})::text" for name in names)
        cursor.execute(f"SELECT {typed} FROM {inner} LIMIT 1")
        types = [kind for row in base.from_arrow(cursor.fetch_arrow()).fetchall() for kind in row]
    except duckdb.IOException:
        raise UsageError(party, "the snapshot of its database cannot be written", "free some space") from None
    except Exception as error:
        raise _refused(error, party) from None
    ((rows,),) = base.sql(f"SELECT count(*) FROM read_parquet('{_text(raw)}')").fetchall()
    if rows > source.max_rows:
        thing = f"its query selects more than max_rows = {source.max_rows:,} rows"
        raise DataError(party, thing, "select fewer, or raise max_rows in the source")
    return types


def _refused(error: Exception, party: str) -> FedwarnError:
    """The error of a query: by its SQLSTATE before the first row, and later by the words, which have none."""
    said = str(error)
    found = re.search(r"SQLSTATE: ([0-9A-Z]{5})", said)
    if found:
        why = _SAID.get(found[1], f"it answers with SQLSTATE {found[1]}")
    else:
        failed = "the query fails on some of its rows" if "ERROR:" in said else "it broke off"
        why = next((reason for part, reason in _WHILE_READING.items() if part in said), failed)
    remedy = "correct the query in the source, or try it by psql"
    return DataError(party, f"its database cannot be read: {why}", remedy)


def _write(base: duckdb.DuckDBPyConnection, raw: Path, whole: Path, types: Sequence[str]) -> None:
    """Write the snapshot: NUMERIC, which comes as text of digits, becomes numbers where no digit of an id is lost."""
    read, selected = f"read_parquet('{_text(raw)}')", []
    columns = [_quoted(row[0]) for row in base.sql(f"DESCRIBE SELECT * FROM {read}").fetchall()]
    for column, kind in zip_longest(columns, types):
        number = f"TRY_CAST({column} AS DOUBLE)"
        test = f"SELECT max(abs({number})) FROM {read} WHERE {column} NOT LIKE '%.%'"
        exact = kind == "numeric" and (base.sql(test).fetchall()[0][0] or 0) < _EXACT
        selected.append(f"{number} AS {column}" if exact else column)
    listed, form = ", ".join(selected), f"(FORMAT parquet, ROW_GROUP_SIZE {_ROWS_A_GROUP})"
    base.execute(f"COPY (SELECT {listed} FROM {read}) TO '{_text(whole)}' {form}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(path: Path) -> str:
    return str(path).replace("'", "''")

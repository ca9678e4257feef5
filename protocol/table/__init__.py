"""Tables: what a party holds, read by DuckDB; the ids of its rows, and their dates."""

from protocol.table.reading import Described, describe, file_sha256, read_table, source_sha256
from protocol.table.spec import Grades, Sentinel, Source, TableSpec
from protocol.table.table import I32, Column, Table

__all__ = [
    "I32",
    "Column",
    "Described",
    "Grades",
    "Sentinel",
    "Source",
    "Table",
    "TableSpec",
    "describe",
    "file_sha256",
    "read_table",
    "source_sha256",
]

"""Tables: what a party holds, read by DuckDB; the ids of its rows, and their dates."""

from protocol.table.reading import feature_names, file_sha256, mostly_unique_names, read_table
from protocol.table.spec import Grades, Sentinel, Source, TableSpec
from protocol.table.table import I32, Column, Table

__all__ = [
    "I32",
    "Column",
    "Grades",
    "Sentinel",
    "Source",
    "Table",
    "TableSpec",
    "feature_names",
    "file_sha256",
    "mostly_unique_names",
    "read_table",
]

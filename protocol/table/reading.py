"""Reading a party's table: looked at, loaded, put in order of id, every column typed and cleaned."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from protocol.errors import DataError, UsageError, nearest
from protocol.messages import I64
from protocol.table.dates import Moments, date_texts
from protocol.table.features import (
    emptied,
    features_of,
    names_of_features,
    names_rows,
    note_on_feature,
    notes_on,
    notes_on_numbers,
    require_graded,
    require_usable,
    varies,
)
from protocol.table.folders import files_of, folder_sha256, is_folder
from protocol.table.ids import AS_WRITTEN, IdRule, id_order, normalise_ids
from protocol.table.loaded import NOTHING, Loaded
from protocol.table.notes import Note
from protocol.table.opening import made_plain
from protocol.table.scan import as_text
from protocol.table.snapshots import at_hand
from protocol.table.spec import Source, TableSpec
from protocol.table.special import amount_of, as_of, label_of, notes_on_ids, notes_on_label, numbers_of, weight_of
from protocol.table.stored import ColumnStore
from protocol.table.table import Column, Table
from protocol.table.texts import ReadAs


def read_table(
    source: Source, spec: TableSpec, party: str, to_train: bool = True, segments: Sequence[str] = (),
    remembered: Mapping[str, ReadAs] = NOTHING, store: Path | None = None,
) -> Table:  # fmt: skip
    """Read, check and clean a party's table. to_train: a column must vary; rows to be scored need not.

    segments: columns to be read besides the features, or once more. remembered: how a model read columns of text.
    store: a folder in which the values of a table that is too large for memory may lie.

    Raises:
        UsageError: the file is missing, or the disk of the store is full.
        DataError: wrong checksum, changed while it was read, unreadable, a column or value that is missing or
            wrong, ids null or double, no rows, no usable column.
    """
    source = at_hand(source, party)
    before = _state_of(source, party)
    sha256 = source_sha256(source, party)
    if source.sha256 and sha256 != source.sha256:
        raise DataError(
            party, f"{source.path.name} has another SHA-256 than declared", "get the right file, or correct sha256"
        )
    with (
        made_plain(source, party) as plain,
        duckdb.connect() as base,
        closing(Loaded(base, plain, spec, party, remembered)) as loaded,
    ):
        table = _read(loaded, sha256, to_train, segments, store)
    if _state_of(source, party) != before:
        thing = f"{source.path.name} was written while it was read"
        raise DataError(party, thing, "wait until it is whole, and run again")
    return table


def _state_of(source: Source, party: str) -> list[tuple[int, ...]]:
    """What of a source's files differs after one was written again."""
    require_source(source, party)
    files = files_of(source.path, party) if is_folder(source.path) else [source.path]
    return [(state.st_ino, state.st_size, state.st_mtime_ns) for state in map(os.stat, files)]


@dataclass(frozen=True)
class Described:
    """What `read_table` makes of its columns. features: their names. notes: what is read otherwise or dropped.

    columns: of the file, which the features are made of.
    """

    features: tuple[str, ...]
    mostly_unique: tuple[str, ...]
    notes: tuple[Note, ...]
    columns: tuple[str, ...] = ()


def describe(source: Source, spec: TableSpec, party: str) -> Described:
    """What `read_table` would make of its columns, in its order.

    Raises: UsageError: the file is missing. DataError: it is no table, has no rows, or lacks a column.
    """
    source = at_hand(source, party)
    require_source(source, party)
    with (
        made_plain(source, party) as plain,
        duckdb.connect() as base,
        closing(Loaded(base, plain, spec, party)) as loaded,
    ):
        _require_columns(loaded, ())
        columns = _wanted(loaded)
        texts = [c for c in columns if c in loaded.texts]
        loaded.load((*spec.id, *([spec.as_of] if spec.as_of else [])), columns)
        order, unique, useless = np.arange(loaded.rows), list[str](), list[Note]()
        for column in (column for name in texts for column in features_of(loaded, name, order)):
            unique += [column.name] if names_rows(column) else []
            useless += [note] if (note := note_on_feature(column)) else []
        features = tuple(f for name in columns for f in (names_of_features(loaded, name) if name in texts else [name]))
        numbers = [c for c in columns if c not in loaded.texts]
        notes = (*notes_on_ids(loaded), *notes_on(loaded, texts), *useless)
        return Described(features, tuple(unique), (*notes, *notes_on_numbers(loaded, numbers)), tuple(columns))


def source_sha256(source: Source, party: str) -> str:
    """Checksum of a source's file, or of its folder of files. Raises: UsageError if it is not there."""
    require_source(source, party)
    return folder_sha256(source.path, party) if is_folder(source.path) else file_sha256(source.path, party)


def file_sha256(path: Path, party: str) -> str:
    """Checksum of a file. Raises: UsageError if it is not there."""
    require_file(path, party)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_source(source: Source, party: str) -> None:
    """Raises: UsageError: its file is not there, or is a folder of other files than Parquet."""
    if source.kind != "parquet" or not is_folder(source.path):
        require_file(source.path, party)


def require_file(path: Path, party: str) -> None:
    """Raises: UsageError: it is not there, or is a folder."""
    if path.is_dir():
        raise UsageError(party, f"{path.name} is a folder, and a table is one file", "join its files into one")
    if not path.is_file():
        raise UsageError(party, f"the file {path.name} is not at {path.parent}", "correct the path")


def _read(loaded: Loaded, sha256: str, to_train: bool, segments: Sequence[str], store: Path | None) -> Table:
    spec = loaded.spec
    _require_columns(loaded, segments)
    wanted = _wanted(loaded)
    loaded.load((*spec.special, *segments), wanted)
    kept = ColumnStore(store) if store is not None and loaded.large else None
    given = [loaded.ids(c) for c in spec.id]
    dated = as_of(loaded) if spec.as_of else None
    ids = _ids(loaded, given, dated, spec.id_rule)
    order = id_order(ids)
    columns, unique, useless = _features(loaded, wanted, order, to_train, kept)
    label = label_of(loaded, order) if spec.label else None
    notes = (*notes_on_ids(loaded), *notes_on_label(loaded, label), *notes_on(loaded, (*wanted, *segments)))
    return Table(
        party=loaded.party,
        ids=[ids[i] for i in order],
        written=_written(loaded, given, dated, order, ids),
        columns=columns,
        label=label,
        weight=weight_of(loaded, order) if spec.weight else None,
        amount=amount_of(loaded, spec.amount, order) if spec.amount else None,
        time=loaded.moments(spec.time)[order] if spec.time else None,
        as_of=None if dated is None else dated[order],
        dates={name: loaded.some_moments(name)[order] for name in spec.dates},
        numbers={name: numbers_of(loaded, name, order) for name in spec.further_numbers},
        entities=[] if dated is None else _entities(loaded, given, order),
        part=loaded.values(as_text(spec.part))[order] if spec.part else None,
        segments=tuple(made for name in segments for made in features_of(loaded, name, order)),
        order=order,
        sentinels=loaded.scan.sentinels(wanted, loaded.tables_of(wanted)),
        mostly_unique=unique,
        reading=(*notes, *useless),
        read_as={name: loaded.read(name).read for name in (*wanted, *spec.further_numbers) if name in loaded.texts},
        unused=tuple(c for c in loaded.types if c not in (*spec.special, *wanted, *segments)),
        sha256=sha256,
    )


def _wanted(loaded: Loaded) -> tuple[str, ...]:
    """Columns that are features: those listed, or all that are not special."""
    spec = loaded.spec
    return spec.columns if spec.columns is not None else tuple(c for c in loaded.types if c not in spec.special)


def _require_columns(loaded: Loaded, segments: Sequence[str]) -> None:
    spec = loaded.spec
    if spec.as_of and spec.as_of not in loaded.types:
        thing = f"{loaded.name} has no date column {spec.as_of!r}, and the job is at points in time"
        raise DataError(loaded.party, thing, "give every record its date, and name the column as as_of")
    loaded.scan.require_distinct(None if spec.columns is None else (*spec.special, *spec.columns))
    for name in (*spec.special, *(spec.columns or ()), *segments):
        if name not in loaded.types:
            thing = f"column {name!r} is not in {loaded.name}{nearest(name, list(loaded.types))}"
            raise DataError(loaded.party, thing, "correct the name, or take it out")


def _ids(loaded: Loaded, given: Sequence[Sequence[Any]], dated: Moments | None, rule: IdRule) -> list[bytes]:
    """Ids in the order of the file; of a dated table they are (entity, date)."""
    dates = [date_texts(dated)] if dated is not None else []
    return normalise_ids([*given, *dates], loaded.party, loaded.name, rule=rule)


def _written(
    loaded: Loaded, given: Sequence[Sequence[Any]], dated: Moments | None, order: I64, ids: list[bytes]
) -> list[bytes]:
    """Ids as they are written out, in order: with the letters' case of the file. Empty where they are `ids`."""
    written = _ids(loaded, given, dated, AS_WRITTEN)
    return [written[i] for i in order.tolist()] if written != ids else []


def _entities(loaded: Loaded, given: Sequence[Sequence[Any]], order: I64) -> list[bytes]:
    """Ids without dates, in order."""
    entities = normalise_ids(given, loaded.party, loaded.name, repeated=True, rule=loaded.spec.id_rule)
    return [entities[i] for i in order.tolist()]


def _features(
    loaded: Loaded, wanted: Sequence[str], order: I64, to_train: bool, store: ColumnStore | None
) -> tuple[tuple[Column, ...], tuple[str, ...], list[Note]]:
    """The features; of a table to train on, those that name rows are emptied, and named; and what is said of them.

    One after another, so that a table that is stored is never in memory as a whole.
    """
    columns, unique, notes, usable = list[Column](), list[str](), list[Note](), list[bool]()
    for column in (made for name in wanted for made in features_of(loaded, name, order)):
        if to_train:
            require_graded(loaded, column)
            notes += [note] if (note := note_on_feature(column)) else []
            if names_rows(column):
                unique.append(column.name)
                column = emptied(column)
            usable.append(varies(column))
        columns.append(store.keep(column) if store else column)
    if to_train:
        require_usable(loaded, usable, unique)
    return tuple(columns), tuple(unique), notes

"""A Parquet table in a folder of files: `path = "lake/dt=*"`, whose folders `key=value` are columns of the table."""

import hashlib
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final

from protocol.errors import DataError, UsageError

_MARKS: Final = frozenset("*?[")


def is_folder(path: Path) -> bool:
    """Whether a path names a folder, or folders and files by a pattern, and not one file."""
    return path.is_dir() or (bool(_MARKS & set(str(path))) and not path.is_file())


def files_of(path: Path, party: str) -> list[Path]:
    """The Parquet files of a folder, in order of their names.

    Raises: UsageError: the pattern names none. DataError: a folder above the pattern looks like a partition.
    """
    root = _root(path)
    pattern = str(path.relative_to(root))
    matched = [path] if path.is_dir() else list(root.glob(pattern))
    found = (sorted(one.rglob("*.parquet")) if one.is_dir() else [one] for one in matched)
    files = sorted({file for some in found for file in some if file.is_file()})
    if not files:
        thing = f"{path.name} names no Parquet file at {path.parent}"
        raise UsageError(party, thing, "correct the path; files have to be named .parquet")
    above = next((part for part in root.parts if "=" in part), "")
    if above:
        thing = f"the folder {above} lies above the table in {root.name}, and would be read as a column"
        raise DataError(party, thing, "move the table, or rename that folder")
    return files


def partitions(path: Path, files: Sequence[Path]) -> list[str]:
    """The columns that folders name."""
    parts = files[0].relative_to(_root(path)).parts[:-1]
    return [part.partition("=")[0] for part in parts if "=" in part]


def folder_sha256(path: Path, party: str) -> str:
    """Checksum of a folder: of the names of its files, and their contents."""
    root, state = _root(path), hashlib.sha256(b"fedwarn.v1 folder")
    for file in files_of(path, party):
        with file.open("rb") as opened:
            content = hashlib.file_digest(opened, "sha256").digest()
        name = file.relative_to(root).as_posix().encode()
        state.update(len(name).to_bytes(8, "little") + name + content)
    return state.hexdigest()


def _root(path: Path) -> Path:
    """The folder of the whole table: above the first part that is a pattern or a partition at the end of the path."""
    root = path if path.is_dir() else Path(*takewhile(lambda part: not _MARKS & set(part), path.parts))
    while "=" in root.name:
        root = root.parent
    return root

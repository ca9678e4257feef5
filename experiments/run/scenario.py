"""Scenarios whose table is made up: `source = {kind = "generated", ...}` becomes a file, and the scenario one that any
node can read.

    source = {kind = "generated", generator = "beijing-real-estate", rows = 20000, seed = 7}

A party whose columns are to be made of events (`[parties.X.encode]`) gets them here, too: encoding.py.

Table and scenario are written to a cache (XDG_CACHE_HOME, ~/.cache/fedwarn) under names that say what is in them, so
that the same source is made once. Numbers are written as text, and depend on no version of a library.
"""

import csv
import hashlib
import json
import os
from functools import partial
from pathlib import Path
from typing import Any, Literal

import duckdb
import tomli_w
from pydantic import BaseModel, ConfigDict, Field

from experiments.data import generators
from experiments.data.generators import GENERATORS
from experiments.run.encoding import with_encodings
from protocol.errors import UsageError, nearest
from protocol.files import own_folder, write_whole, writing_whole
from protocol.job import Job, load_job
from protocol.settings import check_settings, parse_toml, resolve
from protocol.table import file_sha256


class Generated(BaseModel):
    """A source that is made up. strength: of what partners know by themselves, 1 as calibrated."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["generated"]
    generator: str
    rows: int = Field(default=20_000, ge=400, le=1_000_000)
    seed: int = 7
    strength: float = Field(default=1.0, ge=0, le=5)


def load_scenario(path: Path) -> Job:
    """The job of a scenario file, its table made if it is made up. Raises: UsageError."""
    return load_job(concrete(path))


def concrete(path: Path) -> Path:
    """A scenario whose sources are all files: this one, or another that says the same.

    Raises: UsageError: a key is wrong, there is no such generator, or the cache cannot be written.
    """
    values = parse_toml(path)
    data = values.get("data")
    source = data.get("source") if isinstance(data, dict) else None
    parties = [party for party in values.get("parties", {}).values() if isinstance(party, dict)]
    made_up = isinstance(source, dict) and source.get("kind") == "generated"
    encoding = any("encode" in party for party in parties)
    if not isinstance(data, dict) or not isinstance(source, dict) or not (made_up or encoding):
        return path
    given = check_settings(Generated, source, f"{path.name}, data.source") if made_up else None
    if given:
        table = made(given)
        data["source"] = {"kind": "csv", "path": str(table), "sha256": file_sha256(table, "data")}
    for party in parties:
        if isinstance(party.get("source"), dict) and "path" in party["source"]:
            party["source"]["path"] = str(resolve(Path(party["source"]["path"]), path))
    cache = own_folder(_cache())
    if encoding:
        values = with_encodings(values, path, cache, partial(_made_besides, given))
    text = f"# made from {path.name}, whose table is {json.dumps(source)}\n{tomli_w.dumps(values)}"
    written = cache / f"{path.stem}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.toml"
    write_whole(written, text.encode())
    return written


def made(source: Generated) -> Path:
    """The table of a source, as CSV."""
    if source.generator not in GENERATORS:
        hint = nearest(source.generator, list(GENERATORS))
        raise UsageError("data", f"there is no generator {source.generator!r}{hint}", "correct data.source.generator")
    path = own_folder(_cache()) / f"{source.generator}-{_name(source)}.csv"
    if not path.exists():
        columns = GENERATORS[source.generator].table(source.rows, source.seed, source.strength)
        with writing_whole(path, 0o600) as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(columns)
            out.writerows(zip(*(_texts(values) for values in columns.values()), strict=True))
    return path


def _made_besides(source: Generated | None, part: str) -> Path:
    """The file of a generator's events, edges or nodes."""
    generator = source and GENERATORS.get(source.generator)
    if source is None or not hasattr(generator, part):
        which = source.generator if source else "data.source"
        raise UsageError("data", f"{which} makes no {part}", f"name the file of the {part}, or another generator")
    path = own_folder(_cache()) / f"{source.generator}-{part}-{_name(source)}.parquet"
    if not path.exists():
        columns = getattr(generator, part)(source.rows, source.seed, source.strength)
        beside = path.with_suffix(".part")
        with duckdb.connect() as base:
            base.register("made", columns)
            base.execute(f"COPY made TO '{beside}' (FORMAT parquet)")
        beside.replace(path)
    return path


def _name(source: Generated) -> str:
    """What is asked for and how it is made: the same name is the same table."""
    code = b"".join(path.read_bytes() for path in sorted(Path(generators.__file__).parent.glob("*.py")))
    return hashlib.sha256(source.model_dump_json().encode() + code).hexdigest()[:16]


def _texts(values: Any) -> list[Any]:
    """A column as Python's own values: its writing of a number is the shortest that reads the same."""
    listed: list[Any] = values.tolist()
    return listed


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fedwarn"

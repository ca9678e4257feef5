"""`fedwarn verify`: does a run's folder tell the truth about itself?

Point metrics are computed a second time, from `scores.csv` read as plain text and by the definitions in plain
Python, sharing no code with the report. Intervals, uplifts and sentences are computed again by the report's own
code. Models are held against their checksums, and the receipts of each pair of parties against each other.
"""

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from bank_node.families.catalogue import FAMILIES
from bank_node.report.report import read_report
from experiments.verify.figures import absences, document, folds, points, segments
from experiments.verify.maps import bands, calibrations
from experiments.verify.run_folder import RunFolder
from protocol.algorithms.boosting import Sums, SumsQuery
from protocol.errors import IntegrityError
from protocol.he.engines import about
from protocol.job.ladder import folder_of
from protocol.ledger.receipts import broken, read_receipt, reconcile


@dataclass(frozen=True)
class Held:
    """Which receipts a run's folder has. pairs: the bank and each partner whose receipts were held against each other.

    lacking: parties of the run without a receipt, so that nobody has checked what they say.
    """

    pairs: tuple[tuple[str, str], ...]
    lacking: tuple[str, ...]

    def __str__(self) -> str:
        agree = ", ".join(" and ".join(pair) for pair in self.pairs)
        said = [f"the receipts of {agree} agree"] if agree else ["no two receipts were there to be compared"]
        return "; ".join([*said, *([f"no receipt of {', '.join(self.lacking)}"] if self.lacking else [])])


def receipts_held(folder: Path) -> Held:
    """Which receipts `verify` could hold against each other. A run of the bank alone has none, and lacks none."""
    report = read_report(folder)
    parties = [party for party in report.data.parties if party != report.label_party]
    there = {read_receipt(path).party for path in _receipt_files(folder)}
    pairs = [(report.label_party, p) for p in parties if {report.label_party, p} <= there]
    wanted = [report.label_party, *parties] if parties else []
    return Held(tuple(pairs), tuple(party for party in wanted if party not in there))


def verify(folder: Path) -> list[str]:
    """Everything in a run's folder that does not agree, a sentence each; empty if all does.

    Raises: UsageError: a file of the run is missing or of another version. DataError: scores that admit no figures.
    """
    checks = (
        document,
        points,
        folds,
        absences,
        calibrations,
        segments,
        bands,
        _watch_list,
        _models,
        _receipts,
        _engine,
    )
    run = RunFolder(folder)
    return [found for check in checks for found in check(run)]


def require_verified(folder: Path) -> None:
    """Raises: IntegrityError: something does not agree; the first of it is named."""
    found = verify(folder)
    if found:
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        raise IntegrityError("verify", f"{found[0]}{more}", "report this run's figures to nobody; run it again")


def _engine(run: RunFolder) -> Iterator[str]:
    """The engine that the report names against what the receipts of all parties say was sent."""
    encrypted = {
        entry.encrypted
        for path in _receipt_files(run.path)
        for entry in read_receipt(path).entries
        if entry.kind in (SumsQuery.KIND, Sums.KIND)
    }
    engine = run.facts.engine
    if encrypted and encrypted != {about(engine).encrypts}:
        yield f"the report says engine {engine}, and the receipts say otherwise"


def _watch_list(run: RunFolder) -> Iterator[str]:
    """watchlist.csv against the bands and scores of the headline's rung, worst first."""
    path, report = run.path / "watchlist.csv", run.report
    key = report.headline.rung, report.headline.model
    bands = next(rung.bands for rung in report.rungs if (rung.name, rung.model) == key)
    if bands is None or not path.is_file():
        return
    with path.open(newline="", encoding="utf-8") as file:
        told = [(line["id"], line["band"], float(line["score"])) for line in csv.DictReader(file)]
    wanted = [band.name for band in bands.bands[:2] for _ in range(band.rows)]
    scores = {row.tie: row.score for row in run.rows[key]}
    found = [(hashlib.sha256(name.encode()).hexdigest(), score) for name, _, score in told]
    if [band for _, band, _ in told] != wanted or len({tie for tie, _ in found}) != len(found):
        yield "watchlist.csv has not the red and amber customers of the report"
    elif any(scores.get(tie) != score for tie, score in found):
        yield "watchlist.csv has other customers or scores than the test part of scores.csv"


def _models(run: RunFolder) -> Iterator[str]:
    """The file of every model under models/RUNG/MODEL against model_sha256."""
    if not (run.path / "models").is_dir():
        return
    for rung in run.report.rungs:
        place = run.path / "models" / folder_of(rung.name) / rung.model
        names = [family.stored.FILE for family in FAMILIES.values()]
        path = next((place / name for name in names if (place / name).is_file()), place / names[0])
        name = f"the model {rung.model!r} of rung {rung.name!r}"
        if not path.is_file():
            yield f"{name} is missing from models/"
        elif hashlib.sha256(path.read_bytes()).hexdigest() != rung.model_sha256:
            yield f"{name} is not the one whose checksum the report gives"


def _receipts(run: RunFolder) -> Iterator[str]:
    """Each pair of receipts tells the same story; one alone at least holds together."""
    files = _receipt_files(run.path)
    found = (
        [broken(read_receipt(files[0]))] if len(files) == 1 else [reconcile(a, b) for a, b in combinations(files, 2)]
    )
    yield from (str(mismatch.error()) for mismatch in found if mismatch is not None)


def _receipt_files(folder: Path) -> list[Path]:
    return sorted((folder / "receipts").glob("*.jsonl"))

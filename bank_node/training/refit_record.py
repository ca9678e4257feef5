"""What a later refit takes from a run: `refit.json`, beside the run's facts.

It holds the terms that were agreed on, the shapes of the partners' bins, and which splits each model
may use. It holds no bit of any row: those stay in the state folder of the bank's node.
"""

import json
from pathlib import Path
from typing import Any, Final

import msgspec

from bank_node.families.catalogue import family_in
from bank_node.family.fitted import KnownModel
from bank_node.family.training import Training
from protocol.algorithms.agreement import Welcome
from protocol.algorithms.binning import ColumnShape, Cutting
from protocol.errors import IntegrityError, UsageError
from protocol.files import write_whole

REFIT_FILE: Final = "refit.json"
SCHEMA: Final = 1


class KnownLayout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A partner's bins of one cutting. layout: their name. rows: of the row space. columns: their shapes."""

    partner: str
    cutting: Cutting
    layout: str
    rows: int
    columns: tuple[ColumnShape, ...]


class RefitRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a refit needs besides the bank's table and the bits of its state folder.

    job: as JSON. data: SHA-256 of the bank's table. welcomes, contracts: by partner, as agreed on.
    runs: the number of the run at each partner. subject: what all of them call it.
    """

    job: dict[str, Any]
    data: str
    welcomes: dict[str, Welcome]
    contracts: dict[str, dict[str, Any]]
    runs: dict[str, int]
    subject: str
    layouts: tuple[KnownLayout, ...]
    models: tuple[KnownModel, ...]
    schema: int = SCHEMA


def record_of(training: Training) -> RefitRecord:
    """What a finished training leaves for refits."""
    sessions = training.sessions
    return RefitRecord(
        job=training.job.model_dump(mode="json", by_alias=True),
        data=training.table.sha256,
        welcomes={p: sessions.welcomes[p] for p in training.alignments},
        contracts={p: sessions.contracts[p].model_dump() for p in training.alignments},
        runs=dict(training.runs),
        subject=training.subject,
        layouts=tuple(
            KnownLayout(partner, cutting, view.layout, view.known.rows, view.columns)
            for (partner, cutting), view in training.views.items()
        ),
        models=tuple(
            known
            for trained in training.rungs
            if not trained.rung.placebo and (known := family_in(training, trained.model).known(trained))
        ),
    )


def write_record(training: Training, out: Path) -> None:
    """Leave `refit.json` in a run's folder."""
    write_whole(out / REFIT_FILE, msgspec.json.encode(record_of(training)))


def read_record(folder: Path, party: str) -> RefitRecord:
    """The record of a run. Raises: UsageError: the folder has none. IntegrityError: it cannot be read."""
    path = folder / REFIT_FILE
    if not path.is_file():
        thing = f"{folder} has no {REFIT_FILE}: it is no folder of a finished training of boosted trees"
        raise UsageError(party, thing, "name the folder that `train --out` or `fedwarn run --out` wrote")
    try:
        raw = path.read_bytes()
        if json.loads(raw).get("schema") != SCHEMA:
            raise UsageError(party, f"{path.name} was written by another version", "train again")
        return msgspec.json.decode(raw, type=RefitRecord)
    except (ValueError, msgspec.MsgspecError):
        raise IntegrityError(party, f"{path} cannot be read", "train again") from None

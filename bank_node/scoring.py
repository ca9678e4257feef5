"""`bank-node score`: new rows through a model folder, with the partners that its splits need."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bank_node.algorithms.objective import RESPONSES
from bank_node.algorithms.scoring import Told, absent, ask_for_bits, handles_of, margins
from bank_node.config import BankConfig
from bank_node.models.folder import ModelFolder
from bank_node.models.trees import TreeModel
from bank_node.standing import Progress, Standing
from protocol.algorithms.alignment import BankAlignment
from protocol.errors import DataError, RefusedError, TransportError, UsageError
from protocol.files import write_whole
from protocol.messages import F64
from protocol.role import Exchange, drive
from protocol.table import Column, Source, Table, read_table


@dataclass(frozen=True)
class Scored:
    """Rows in order of id, their prediction, and the parties whose columns each score rests on.

    score: shape (n,), or a probability a class, shape (n, classes).
    """

    ids: list[bytes]
    score: F64
    parties_used: list[str]

    def write(self, path: Path) -> None:
        """id, score, parties_used, and probabilities of classes; as scores.csv has them, written exactly."""
        each = self.score.T if self.score.ndim == 2 else np.empty((0, len(self.ids)))
        score = self.score.argmax(axis=1) if self.score.ndim == 2 else self.score
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["id", "score", "parties_used", *(f"score_{k}" for k in range(len(each)))])
        ids = (i.decode() for i in self.ids)
        rows.writerows(zip(ids, score.tolist(), self.parties_used, *each.tolist(), strict=True))
        write_whole(path, text.getvalue().encode(), 0o644)


def parties_absent(given: Sequence[str], model: TreeModel) -> set[str]:
    """The partners to do without, from PARTNER=missing or PARTNER=fail. Raises: UsageError."""
    choices = {}
    for text in given:
        party, _, choice = text.rpartition("=")
        if party not in model.parties[1:] or choice not in ("missing", "fail"):
            partners = ", ".join(model.parties[1:]) or "none"
            raise UsageError("--absent", f"{text!r} is not PARTNER=missing or PARTNER=fail", f"partners are {partners}")
        choices[party] = choice
    return {party for party, choice in choices.items() if choice == "missing"}


def read_rows(config: BankConfig, model: TreeModel, data: Path) -> Table:
    """The rows to score: ids, and the bank's columns that the model uses. Raises: UsageError, DataError."""
    kind: str = "parquet" if data.suffix == ".parquet" else "csv"
    spec = config.data.model_copy(update={"label": "", "weight": "", "amount": "", "time": "", "part": ""})
    made = {split.column for split in model.bank_splits}
    columns = tuple(c for c in config.data.columns or () if c in made or any(m.rsplit(".", 1)[0] == c for m in made))
    if config.data.columns is not None:
        spec = spec.model_copy(update={"columns": columns})
    source = Source.model_validate({"kind": kind, "path": data})
    table = read_table(source, spec, config.party, to_train=False)
    missing = made - {column.name for column in table.columns}
    if missing:
        raise DataError(
            config.party, f"{data.name} lacks {sorted(missing)[0]!r}, which the model uses", "add the column"
        )
    kinds = {split.column: "category" if split.among or split.others else "number" for split in model.bank_splits}
    for column in table.columns:
        if kinds.get(column.name, column.kind) != column.kind:
            thing = (
                f"column {column.name!r} of {data.name} is a {column.kind}, and was a {kinds[column.name]} in training"
            )
            raise DataError(config.party, thing, "write it as it was then")
    return table


def score(
    config: BankConfig, folder: ModelFolder, table: Table, exchange: Exchange, without: set[str], progress: Progress
) -> Scored:
    """Score the rows. without: partners not to be asked, whose splits take their default directions.

    Raises: FedwarnError of a partner that is needed and cannot be asked.
    """
    model = folder.trees
    folder.require_settings(config)
    needed = [p for p in model.parties if p != config.party and handles_of(model, p)]
    asked = [p for p in needed if p not in without]
    for partner in asked:
        if partner not in config.partners:
            raise UsageError(config.party, f"its node.toml has no [partners.{partner}]", "add its address")
    alignments: dict[str, BankAlignment] = {}
    told: dict[str, Told] = {p: absent(model, p, table.rows) for p in needed if p in without}
    if asked:
        standing = Standing(config, table, exchange, progress)
        with _absence_offered():
            standing.agree(asked, job="", model=model.sha256)
            for partner in asked:
                folder.require_contract(partner, standing.contracts[partner])
            alignments = standing.align(asked)
            told |= drive(ask_for_bits(model, folder.about.alignment, alignments), exchange)
    columns: Mapping[str, Column] = {column.name: column for column in table.columns}
    margin = margins(model, config.party, columns, told, table.rows)
    return Scored(table.ids, RESPONSES[model.objective](margin), _parties_used(config.party, alignments, table.rows))


@contextmanager
def _absence_offered() -> Iterator[None]:
    """Name, in the error of a partner that is down or refuses, the way to do without it."""
    try:
        yield
    except (TransportError, RefusedError) as error:
        remedy = f"{error.remedy}; or score without it: --absent {error.party}=missing"
        raise type(error)(error.party, error.thing, remedy) from error


def _parties_used(bank: str, alignments: Mapping[str, BankAlignment], rows: int) -> list[str]:
    """The bank, and the partners that hold the row, joined by "|"."""
    out = [bank] * rows
    for partner, alignment in alignments.items():
        out = [
            f"{used}|{partner}" if at >= 0 else used for used, at in zip(out, alignment.positions.tolist(), strict=True)
        ]
    return out

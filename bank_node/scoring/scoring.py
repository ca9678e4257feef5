"""`bank-node score`: new rows through a model folder, with the partners that its splits need."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bank_node.data.rows import source_of
from bank_node.families.scorers import AllAnswers, scorer_of, told_at
from bank_node.family.objective import RESPONSES
from bank_node.models.calibration import pd_of
from bank_node.models.folder import Model, ModelFolder, offsets_of, own_columns
from bank_node.partners.contracts import require_contracts
from bank_node.partners.sessions import PartnerSessions, Progress
from bank_node.scoring.met import Met
from bank_node.scoring.refreshed import KeptAnswers, kept_answers
from bank_node.settings.config import BankConfig
from protocol.algorithms.alignment import BankAlignment
from protocol.errors import DataError, RefusedError, TransportError, UsageError
from protocol.files import writing_whole
from protocol.messages import F64, I64
from protocol.role import Exchange, drive
from protocol.table import Column, Table, read_table

Align = Callable[[Sequence[str]], dict[str, BankAlignment]]


@dataclass(frozen=True)
class Scored:
    """Rows in order of id, their prediction, and the parties whose columns each score rests on.

    score: shape (n,), or a probability a class, shape (n, classes). pd: calibrated probabilities of default, shape
    (n,), where the model was calibrated. points: of a scorecard, shape (n,). met: what was met in the rows.
    """

    ids: list[bytes]
    score: F64
    parties_used: list[str]
    pd: F64 | None = None
    points: F64 | None = None
    met: Met | None = None

    def write(self, path: Path) -> None:
        """id, score, parties_used, and probabilities of classes or of default; floats written exactly."""
        with writing_whole(path) as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(self.header)
            rows.writerows(self.lines())

    @property
    def header(self) -> list[str]:
        """Names of the columns written."""
        classes = self.score.shape[1] if self.score.ndim == 2 else 0
        further = [f"score_{k}" for k in range(classes)] + ["pd"] * (self.pd is not None)
        further += ["points"] * (self.points is not None)
        return ["id", "score", "parties_used", *further]

    def lines(self) -> Iterator[tuple[object, ...]]:
        """A line a row."""
        each = list(self.score.T) if self.score.ndim == 2 else []
        each += [column for column in (self.pd, self.points) if column is not None]
        score = self.score.argmax(axis=1) if self.score.ndim == 2 else self.score
        ids = (i.decode() for i in self.ids)
        return zip(ids, score.tolist(), self.parties_used, *(column.tolist() for column in each), strict=True)


def parties_absent(given: Sequence[str], model: Model) -> set[str]:
    """The partners to do without, from PARTNER=missing or PARTNER=fail. Raises: UsageError."""
    choices = {}
    for text in given:
        party, _, choice = text.rpartition("=")
        if party not in model.parties[1:] or choice not in ("missing", "fail"):
            partners = ", ".join(model.parties[1:]) or "none"
            raise UsageError("--absent", f"{text!r} is not PARTNER=missing or PARTNER=fail", f"partners are {partners}")
        choices[party] = choice
    return {party for party, choice in choices.items() if choice == "missing"}


def read_rows(config: BankConfig, folder: ModelFolder, data: Path) -> Table:
    """The rows to score: ids, and the bank's columns that the model uses. Raises: UsageError, DataError."""
    spec = config.data.model_copy(update={"label": "", "weight": "", "amount": "", "time": "", "part": ""})
    model, kinds = folder.model, own_columns(folder.model)
    made = set(kinds)
    columns = tuple(c for c in config.data.columns or () if c in made or any(m.rsplit(".", 1)[0] == c for m in made))
    columns += tuple(c for c in offsets_of(model) if c not in columns)
    if config.data.columns is not None:
        spec = spec.model_copy(update={"columns": columns})
    table = read_table(source_of(config, data), spec, config.party, to_train=False, remembered=folder.remembered)
    missing = made - {column.name for column in table.columns}
    if missing:
        raise DataError(
            config.party, f"{data.name} lacks {sorted(missing)[0]!r}, which the model uses", "add the column"
        )
    for column in table.columns:
        if kinds.get(column.name, column.kind) != column.kind:
            thing = (
                f"column {column.name!r} of {data.name} is a {column.kind}, and was a {kinds[column.name]} in training"
            )
            raise DataError(config.party, thing, "write it as it was then")
    return table


def partners_asked(config: BankConfig, folder: ModelFolder, without: set[str]) -> list[str]:
    """The partners whose splits the model uses, but for those to do without.

    Raises: UsageError, PeerError: the model is not this node's, or a partner is not among its settings. RefusedError: a
    contract is over.
    """
    folder.require_settings(config)
    model, scorer = folder.model, scorer_of(folder.model)
    asked = [p for p in model.parties if p != config.party and scorer.needs(p) and p not in without]
    if folder.masked and asked and without:
        raise UsageError(
            "--absent",
            f"the model's partners tell the sum of their scores alone, and it takes {sorted(without)[0]} to open it",
            "use the model of a rung without it, or do without all partners",
        )  # fmt: skip
    for partner in asked:
        if partner not in config.partners:
            raise UsageError(config.party, f"its node.toml has no [partners.{partner}]", "add its address")
    require_contracts(config, asked)
    return asked


def score(
    config: BankConfig, folder: ModelFolder, table: Table, exchange: Exchange, without: set[str], progress: Progress
) -> Scored:
    """Score the rows. without: partners not to be asked, whose splits take their default directions.

    Raises: FedwarnError of a partner that is needed and cannot be asked.
    """
    model, scorer = folder.model, scorer_of(folder.model)
    asked = partners_asked(config, folder, without)
    places: dict[str, I64] = {}
    told = {p: scorer.absent(p, table.rows) for p in model.parties if p in without}
    if asked:
        sessions = PartnerSessions(config, table, exchange, progress)
        kept = kept_answers(config, folder, asked)
        if kept is not None:
            alignments, answers = known_of(kept, folder, sessions, sessions.keys)
        else:
            alignments, answers = answers_of(folder, sessions, asked, sessions.align)
        places = {p: a.positions for p, a in alignments.items()}
        told |= told_at(answers, places)
    columns: Mapping[str, Column] = {column.name: column for column in table.columns}
    used = parties_used(config.party, places, table.rows)
    margin = scorer.margins(config.party, columns, told, table.rows)
    met = Met(folder)
    met.add(table.columns, table.rows, places)
    return replace(scored_of(folder, table.written_ids, margin, used), met=met)


def answers_of(
    folder: ModelFolder, sessions: PartnerSessions, asked: Sequence[str], align: Align
) -> tuple[dict[str, BankAlignment], AllAnswers]:
    """The rows aligned with the partners asked, and what these answer.

    Raises: FedwarnError of a partner that cannot be asked.
    """
    with absence_offered(folder.masked):
        sessions.agree(asked, job="", pools=folder.about.pool)
        for partner in asked:
            folder.require_contract(partner, sessions.contracts[partner])
        alignments = align(asked)
        script = scorer_of(folder.model).ask(folder.about.pool, alignments, folder.masked)
        answers = drive(script, sessions.exchange)
    sessions.part(asked, job="", pools=folder.about.pool)
    return alignments, answers


def known_of(
    kept: KeptAnswers, folder: ModelFolder, sessions: PartnerSessions, ids: list[bytes]
) -> tuple[dict[str, BankAlignment], AllAnswers]:
    """The same as `answers_of`, by what a refresh has kept; partners are asked for ids that are new alone.

    Raises: FedwarnError of a partner that is needed for one and cannot be asked.
    """

    def agree(partners: Sequence[str]) -> None:
        sessions.agree(partners, job="", pools=folder.about.pool)
        for partner in partners:
            folder.require_contract(partner, sessions.contracts[partner])

    with absence_offered(folder.masked):
        return kept.of(ids, agree, sessions.exchange)


def scored_of(folder: ModelFolder, ids: list[bytes], margin: F64, used: list[str]) -> Scored:
    """What the model says of rows with these margins, shape (n,), or (n, classes)."""
    score, calibration = RESPONSES[folder.model.objective](margin), folder.about.calibration
    card = folder.scorecard
    pd, points = pd_of(calibration, score) if calibration else None, card.scale.points(margin) if card else None
    return Scored(ids, score, used, pd, points)


@contextmanager
def absence_offered(masked: bool) -> Iterator[None]:
    """Name, in the error of a partner that is down or refuses, the way to do without it."""
    way = "score by the model of a rung without it" if masked else "score without it: --absent {}=missing"
    try:
        yield
    except (TransportError, RefusedError) as error:
        remedy = f"{error.remedy}; or {way.format(error.party)}"
        raise type(error)(error.party, error.thing, remedy) from error


def parties_used(bank: str, places: dict[str, I64], rows: int) -> list[str]:
    """The bank, and the partners that hold the row, joined by "|"."""
    held = sum(((at >= 0).astype(np.int64) << k for k, at in enumerate(places.values())), np.zeros(rows, np.int64))
    names = ["|".join((bank, *(p for k, p in enumerate(places) if mask >> k & 1))) for mask in range(1 << len(places))]
    return [names[mask] for mask in held.tolist()]

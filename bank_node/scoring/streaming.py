"""Scoring a file of any length: aligned once, answered once by each partner, then walked and written part by part.

In memory are one part, where each row stands at each partner and its key there (40 bytes), and the partners' answers,
whose size is that of their tables.
"""

import csv
from functools import partial
from pathlib import Path

import numpy as np

from bank_node.data.rows import PART, Rows
from bank_node.decisions.watch_list import WatchList
from bank_node.families.scorers import AllAnswers, Part, scorer_of, told_at
from bank_node.models.folder import ModelFolder
from bank_node.models.linear import together
from bank_node.partners.sessions import PartnerSessions, Progress
from bank_node.scoring.met import Met
from bank_node.scoring.refreshed import kept_answers
from bank_node.scoring.scoring import answers_of, known_of, parties_used, partners_asked, scored_of
from bank_node.settings.config import BankConfig
from bank_node.trees.scorer import Told
from protocol.algorithms.alignment import BankAlignment
from protocol.files import writing_whole
from protocol.messages import I64
from protocol.role import Exchange
from protocol.table import Table


def score_rows(
    config: BankConfig, folder: ModelFolder, rows: Rows, out: Path, exchange: Exchange, without: set[str],
    progress: Progress, watch: WatchList | None = None, strict: float | None = None,
) -> Met:  # fmt: skip
    """Write `Scored.write`'s columns for every row, in the order of the file; the output is there whole or not at all.

    without: partners not to be asked. watch: is shown every part, too. strict: the share of the rows by which a column
    or partner may differ from training; None for any.
    Returns: what was met in the rows.
    Raises: FedwarnError of a partner that is needed and cannot be asked; DataError by `strict`.
    """
    met = Met(folder)
    scorer = scorer_of(folder.model)
    asked = partners_asked(config, folder, without)
    alignments: dict[str, BankAlignment] = {}
    answers: AllAnswers = {}
    if asked:
        sessions = PartnerSessions(config, Table(config.party, [], ()), exchange, progress)
        kept = kept_answers(config, folder, asked)
        if kept is not None:
            alignments, answers = known_of(kept, folder, sessions, _keys(rows))
        else:
            alignments, answers = answers_of(folder, sessions, asked, partial(sessions.align_rows, rows=rows))
    nowhere = np.full(PART, -1, dtype=np.int64)
    with writing_whole(out) as file:
        lines = csv.writer(file, lineterminator="\n")
        for first, count in rows.parts(PART):
            part, places = (
                rows.table(first, count),
                {p: a.positions[first : first + count] for p, a in alignments.items()},
            )
            told = _told(config.party, folder, count, answers, places)
            columns = {column.name: column for column in part.columns}
            margin = scorer.margins(config.party, columns, told, count)
            scored = scored_of(folder, part.ids, margin, parties_used(config.party, places, count))
            met.add(part.columns, count, {p: places.get(p, nowhere[:count]) for p in asked})
            if watch is not None:
                watch.add(part.ids, scored.score, part.amount, columns, told)
            if not first:
                lines.writerow(scored.header)
            lines.writerows(scored.lines())
            progress("score", first + count, rows.rows)
        if strict is not None:
            met.require_within(config.party, strict)
    return met


def _keys(rows: Rows) -> list[bytes]:
    """The ids of all rows, as alignment takes them."""
    return [key for first, count in rows.parts(PART) for key in rows.keys(first, count)]


def _told(
    bank: str, folder: ModelFolder, rows: int, answers: AllAnswers, places: dict[str, I64]
) -> dict[str, Told | Part]:
    """Of one part. A partner that was not asked is not held by any row."""
    scorer = scorer_of(folder.model)
    told = {p: scorer.absent(p, rows) for p in folder.model.parties if p != bank and scorer.needs(p)}
    if folder.masked:
        parts = [part.score for part in told.values() if isinstance(part, Part)]
        told = {together(list(told)): Part(np.sum(parts, axis=0))}
    return told | told_at(answers, places)

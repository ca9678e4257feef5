"""A partner's own report card: how well its data cover the bank's customers, how old they are, how they drift, what
its columns tell. It lies in the partner's node folder, for its eyes alone: the bank is told no column by name.

Information values are given as bands, in which a column cannot be told from others like it.
"""

import os
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from bank_node.data.parts import Parts, assign_parts
from bank_node.metrics.stability import index_of_counts
from bank_node.settings.config import load_config as load_bank
from bank_node.training.own_table import read_own_table
from experiments.run.rerun import Finished
from experiments.verify.joined import rows_behind
from partner_node.algorithms.binning import bin_table
from protocol.algorithms.woe import Evidence
from protocol.files import write_whole
from protocol.messages import F64, I64
from protocol.table import Column, Table, read_table

Band = Literal["none", "weak", "medium", "strong"]
_BANDS: Final[tuple[tuple[float, Band], ...]] = ((0.02, "none"), (0.1, "weak"), (0.3, "medium"))
"""Siddiqi, Credit Risk Scorecards, 2006."""
CARD_FILE: Final = "card.json"
CARD_PAGE: Final = "card.html"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CardColumn(_Part):
    """One column. missing: share of the matched rows. drift: stability index of the test rows over the training's."""

    name: str
    missing: float
    band: Band
    drift: float


class Card(_Part):
    """One partner's. coverage: share of the bank's rows that it holds; of the bads and of the goods among them.

    age_days: median age of the record behind a row, 90% of them are younger than age_days_90; None without dates.
    """

    partner: str
    held: int
    coverage: float
    coverage_bads: float
    coverage_goods: float
    age_days: float | None
    age_days_90: float | None
    columns: list[CardColumn]


def cards(run: Finished) -> dict[str, Card]:
    """Every partner's card, from both tables in clear: only whoever dealt them out can make it."""
    bank = run.parties[run.job.bank]
    config = load_bank(bank.folder / "node.toml")
    table = read_own_table(config, run.job)
    parts = assign_parts(run.job.split, table)
    found = {}
    for partner in run.job.partners:
        own = run.parties[partner]
        theirs = read_table(own.source, own.spec, partner)
        found[partner] = _card(run, table, parts, theirs, rows_behind(table, theirs, config.grid))
    return found


def write_card(card: Card, folder: Path, page: str) -> None:
    """Into the partner's folder, readable by its owner alone."""
    owner = folder.stat()
    for name, text in ((CARD_FILE, card.model_dump_json(indent=1) + "\n"), (CARD_PAGE, page)):
        write_whole(folder / name, text.encode())
        if os.geteuid() == 0:
            os.chown(folder / name, owner.st_uid, owner.st_gid)


def _card(run: Finished, table: Table, parts: Parts, theirs: Table, rows: I64) -> Card:
    assert table.label is not None
    bad, held = table.label > 0, rows >= 0
    ages = _ages(table, theirs, rows)
    return Card(
        partner=theirs.party,
        held=theirs.rows,
        coverage=float(held.mean()),
        coverage_bads=float(held[bad].mean()),
        coverage_goods=float(held[~bad].mean()),
        age_days=None if ages is None else float(np.median(ages)),
        age_days_90=None if ages is None else float(np.quantile(ages, 0.9)),
        columns=_columns(run, table, parts, theirs, rows),
    )


def _columns(run: Finished, table: Table, parts: Parts, theirs: Table, rows: I64) -> list[CardColumn]:
    """Those that have two bins, the strongest first."""
    assert table.label is not None
    least = run.job.contract.smallest_bin(theirs.rows)
    binned = bin_table(theirs.party, theirs.columns, run.job.cutting, least, run.parties[theirs.party].spec.monotone)
    bad, train, test = table.label > 0, (parts == "train") & (rows >= 0), (parts == "test") & (rows >= 0)
    found = []
    for j, (name, shape) in enumerate(zip(binned.names, binned.shapes, strict=True)):
        bins = np.where(rows >= 0, binned.bins[rows, j], 0)
        counts = [np.bincount(bins[part], minlength=shape.size) for part in (train, train & bad, test)]
        drift = index_of_counts(counts[0], counts[2])
        column = next(c for c in theirs.columns if c.name == name)
        missing = float(_missing(column)[rows[rows >= 0]].mean())
        iv = Evidence(counts[0], counts[1]).iv
        band: Band = next((band for limit, band in _BANDS if iv < limit), "strong")
        found.append((iv, CardColumn(name=name, missing=missing, band=band, drift=drift)))
    return [column for _, column in sorted(found, key=lambda pair: -pair[0])]


def _missing(column: Column) -> npt.NDArray[np.bool_]:
    """Which rows have no value, shape (n,)."""
    gone: npt.NDArray[np.bool_] = np.isnan(column.numbers) if column.kind == "number" else column.codes < 0
    return gone


def _ages(table: Table, theirs: Table, rows: I64) -> F64 | None:
    """Days between a row's date and that of the record behind it, of the rows that have one."""
    if table.as_of is None or theirs.as_of is None or not (rows >= 0).any():
        return None
    held = rows >= 0
    return (table.as_of[held] - theirs.as_of[rows[held]]) / np.timedelta64(1, "D")

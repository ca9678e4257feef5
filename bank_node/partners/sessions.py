"""The bank's standing with its partners: terms agreed, rows aligned, hints at hand.

All of it outlives a run. An alignment serves every job on the same table, a hint every rung, seed and resumed run on
the same alignment and binning, and a revealed split is never asked again.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bank_node.data.rows import Rows
from bank_node.partners.alignment import DatedRows, align, align_in_parts
from bank_node.partners.books import compare, seen, sign_greeting
from bank_node.partners.contracts import clauses_with
from bank_node.partners.hints import Hints
from bank_node.partners.known_splits import load_known
from bank_node.partners.partner_view import PartnerView
from bank_node.settings.config import BankConfig
from protocol.algorithms import agreement
from protocol.algorithms.agreement import Hello, Terms, Welcome
from protocol.algorithms.alignment import PART, BankAlignment, load, save
from protocol.algorithms.binning import Cutting, Hint, HintQuery, Layout, LayoutQuery, sizes_of
from protocol.algorithms.boosting import Splits
from protocol.algorithms.glm import Design, Designed, DesignHint, DesignHintQuery, product_rows
from protocol.algorithms.sealing import SplitPads
from protocol.contract import Contract
from protocol.errors import ALIGN_ANEW, DataError, IntegrityError, RefusedError, TransportError
from protocol.files import file_named, own_folder
from protocol.he.engines import hint_parts, integer_kit, require, secret_kit
from protocol.he.integers import IntegerKit
from protocol.he.parameters import INTEGERS, ONE_HOT, N
from protocol.he.streams import derive, digest
from protocol.role import Exchange, ask, drive
from protocol.table import Table
from protocol.table.dates import coded, grid_keys

LOG: Final = logging.getLogger(__name__)
Progress = Callable[[str, int, int], None]
"""Told a phase, how much of it is done, and how much there is."""


@dataclass
class PartnerSessions:
    """One bank, its partners by name, and a way to exchange messages with them."""

    config: BankConfig
    table: Table
    exchange: Exchange
    progress: Progress = lambda phase, done, total: None
    welcomes: dict[str, Welcome] = field(default_factory=dict)
    contracts: dict[str, Contract] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(self.config.engine, self.config.party)
        config, self._master = self.config, b""
        own_folder(config.state)
        self._hints = Hints(config.state / "hints", config.party, config.engine, self.progress)

    def terms(self, partner: str) -> Terms:
        """What this node says of itself to a partner, under the contract that is signed with it, if there is one."""
        config, clauses = self.config, clauses_with(self.config, partner)
        return agreement.terms(config.party, config.engine, config.alignment_terms, config.split_rows, clauses)

    def seal_under(self, master: bytes) -> None:
        """Seal all that follows under the keys of one run. master: drawn for it alone."""
        self._master = master

    @property
    def _kit_key(self) -> bytes:
        """The key from which this engine's sealing keys are derived; an empty master would make them guessable."""
        if not self._master:
            raise ValueError("nothing is sealed before a run has its master")
        return derive(self._master, "engine", self.config.engine.encode())

    def agree(self, partners: Sequence[str], job: str, pools: Mapping[str, str] | None = None) -> None:
        """The first exchange with each partner, and with an empty job the last one of a run.

        Args:
            job: digest of what is about to be run.
            pools: to be scored by.

        Raises:
            PeerError: the nodes are not set alike.
            RefusedError: a partner has not approved the job, or a state folder is an older copy.
        """
        books = sign_greeting(self.config)
        asked = {p: (pools or {}).get(p, "") for p in partners}
        asked = {p: (pools or {}).get(p, "") for p in partners}
        hellos = {
            p: Hello(terms=self.terms(p), job=job, pool=asked[p], books=books, yours=seen(self.config, p))
            for p in partners
        }
        for party, welcome in drive(ask(hellos, Welcome), self.exchange).items():
            self.contracts[party] = agreement.agree(self.terms(party), welcome.terms)
            self.welcomes[party] = welcome
        compare(self.config, {p: self.welcomes[p] for p in partners})

    def part(self, partners: Sequence[str], job: str, pools: Mapping[str, str] | None = None) -> None:
        """Greet again at the end: each side then holds the other's state of books as the run has left it.

        A copy of a state folder from before or during the run is noticed only by a later signed state. The run is
        whole without it: a partner that is gone, or refuses by now, is logged.
        Raises: as `agree`, of this node alone.
        """
        try:
            self.agree(partners, job, pools)
        except (TransportError, RefusedError) as error:
            if error.party == self.config.party:
                raise
            LOG.warning("%s was not greeted at the end of the run: %s", error.party, error)

    def align(self, partners: Sequence[str], anew: bool = False) -> dict[str, BankAlignment]:
        """The alignments with these partners; kept ones of the same two tables are used again.

        Raises: DataError, IntegrityError, PeerError.
        """
        kept = {} if anew else {p: a for p in partners if (a := self.kept(p))}
        shared = self.config.alignment == "shared"
        missing = [p for p in partners if p not in kept]
        if missing and shared:
            missing = list(partners)  # all partners of a job share one order of rows
        if missing:
            (ids, dated), config, told = self._keys(), self.config, partial(self.progress, "align")
            columns, alignment = len(config.data.id), config.alignment
            script = align(config.party, missing, ids, columns, alignment, told, config.dating, dated)
            for party, made in drive(script, self.exchange).items():
                self._keep(party, made)
                kept[party] = made
        return {p: kept[p] for p in partners}

    def kept(self, partner: str, rows: str = "") -> BankAlignment | None:
        """The alignment kept with a partner that was agreed with; of the table, or of a file's rows by their digest."""
        path = self._alignment_file(partner, rows)
        return load(BankAlignment, path, partner) if path.exists() else None

    def _keys(self) -> tuple[list[bytes], DatedRows | None]:
        """What the bank blinds: its rows' ids, dated by the grid; or ids alone, where dates are sent afterwards."""
        table, grid = self.table, self.config.grid
        if table.as_of is None:
            return table.ids, None
        if grid is not None:
            return grid_keys(table.entities, table.as_of, grid, table.party), None
        ids, entity = coded(table.entities)
        return ids, DatedRows(entity, table.as_of.astype(np.int64))

    @property
    def keys(self) -> list[bytes]:
        """The ids of the table's rows, as alignment takes them."""
        return self._keys()[0]

    def align_rows(self, partners: Sequence[str], rows: Rows) -> dict[str, BankAlignment]:
        """`align` for rows of a file that is read part by part; without the partners that hold none of them."""
        kept = {p: a for p in partners if (a := self.kept(p, rows.digest))}
        shared = self.config.alignment == "shared"
        missing = list(partners) if shared and len(kept) < len(partners) else [p for p in partners if p not in kept]
        if missing:
            config, told = self.config, partial(self.progress, "align")
            parts = (rows.keys(first, count) for first, count in rows.parts(PART))
            columns, alignment = len(config.data.id), config.alignment
            script = align_in_parts(config.party, missing, parts, rows.rows, columns, alignment, told, config.dating)
            made = drive(script, self.exchange)
            for party, one in made.items():
                save(one, self._alignment_file(party, rows.digest))
            kept = {p: a for p, a in kept.items() if p not in missing} | made
        return {p: kept[p] for p in partners if p in kept}

    def view(self, partner: str, alignment: BankAlignment, cutting: Cutting) -> PartnerView:
        """A partner ready to be trained with. Asks for a hint only if none is kept for these bins."""
        asked = {partner: LayoutQuery(alignment=alignment.alignment, cutting=cutting)}
        layout = drive(ask(asked, Layout), self.exchange)[partner]
        _require_rows(partner, layout.rows, alignment.rows)
        _require_columns(partner, layout)

        def hint(nonce: bytes, public: bytes, rows: range) -> npt.NDArray[Any]:
            first, count = (rows.start, len(rows)) if len(parts) > 1 else (0, 0)
            query = HintQuery(
                layout=layout.layout, engine=self.config.engine, nonce=nonce, keys=public, first=first, count=count
            )
            told = drive(ask({partner: query}, Hint), self.exchange)[partner].hint
            _require_height(partner, told, len(rows))
            if told.shape[1] not in (0, N):
                raise IntegrityError(
                    partner,
                    f"sent a hint of {told.shape[1]} columns, where {N} are right",
                    "run the same version there",
                )
            return told

        parts = hint_parts(self.config.engine, int(sizes_of(layout.columns).sum()))
        kept = self._hints.of(layout.layout, partner, hint, alignment.alignment, layout.nonce, ONE_HOT, parts)
        return PartnerView(
            name=partner,
            layout=layout.layout,
            columns=layout.columns,
            positions=alignment.positions,
            kit=secret_kit(self.config.engine, partner, self._kit_key, kept.seed, kept.hint, layout.rows, kept.keys),
            known=load_known(self.known_file(layout.layout), layout.rows),
            split_rows=self.config.split_rows,
            most_thresholds=self.contracts[partner].max_thresholds_a_column,
            pads=SplitPads(keys, Splits.KIND, layout.layout) if (keys := alignment.row_keys) else None,
        )

    def design(self, partner: str, design: Design, rows: int) -> tuple[str, IntegerKit]:
        """Columns of a partner laid out for a linear model: their name, and what opens sums over them.

        rows: of the alignment. Raises: RefusedError: its contract admits no such model.
        """
        designed = drive(ask({partner: design}, Designed), self.exchange)[partner]
        _require_rows(partner, designed.rows, rows)

        def hint(nonce: bytes, public: bytes, _: range) -> npt.NDArray[Any]:
            query = DesignHintQuery(design=designed.design, engine=self.config.engine, nonce=nonce, keys=public)
            told = drive(ask({partner: query}, DesignHint), self.exchange)[partner].hint
            _require_height(partner, told, len(product_rows(len(design.columns))))
            return told

        kept = self._hints.of(designed.design, partner, hint, designed.design, designed.nonce, INTEGERS)
        kit = integer_kit(self.config.engine, partner, self._kit_key, kept.seed, kept.hint, rows, kept.keys)
        return designed.design, kit

    def known_file(self, layout: str) -> Path:
        """Where the revealed splits of a layout are kept."""
        return file_named(self.config.state / "known", layout, ".npz", self.config.party)

    def _folder(self, name: str) -> Path:
        return own_folder(self.config.state / name)

    def _alignment_file(self, partner: str, rows: str = "") -> Path:
        """Of the table, or of the rows of a file by their digest."""
        dating = [said.encode() for said in (self.config.dating, self.config.data.id_rule.text) if said]
        ids = [rows.encode()] if rows else self.table.ids
        tables = digest(*ids, self.welcomes[partner].data.encode(), *dating).hex()
        return (
            self._folder("alignments")
            / f"{digest(partner.encode(), tables.encode()).hex()}-{self.config.alignment}.npz"
        )

    def _keep(self, partner: str, alignment: BankAlignment) -> None:
        save(alignment, self._alignment_file(partner))


def _require_columns(partner: str, layout: Layout) -> None:
    """Raises: IntegrityError: no column, one told twice, or bins that are told otherwise than they are counted."""
    numbers = [shape.number for shape in layout.columns]
    rules = [(shape, shape.rule) for shape in layout.columns if shape.rule is not None]
    as_told = all((rule.ordinary, rule.missing) == (shape.ordinary, shape.missing) for shape, rule in rules)
    if not numbers or len(set(numbers)) < len(numbers) or not as_told:
        raise IntegrityError(partner, "laid out columns that cannot be", "run the same version on both sides")


def _require_height(partner: str, hint: npt.NDArray[Any], rows: int) -> None:
    """Raises: IntegrityError: a hint, or a part of one, of other rows than were asked for."""
    if len(hint) != rows:
        raise IntegrityError(
            partner, f"sent a hint of {len(hint)} rows, where its layout has {rows}", "run the same version there"
        )


def _require_rows(partner: str, told: int, aligned: int) -> None:
    if told != aligned:
        raise DataError(partner, "has another number of rows than when it was aligned", ALIGN_ANEW)

"""The bank's standing with its partners: terms agreed, rows aligned, hints at hand.

All of it outlives a run. An alignment serves every job on the same table, a hint every rung, seed and resumed run on
the same alignment and binning, and a revealed split is never asked again.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bank_node.algorithms.alignment import DatedRows, align, align_in_parts
from bank_node.algorithms.partner_view import KnownSplits, PartnerView
from bank_node.config import BankConfig
from bank_node.scoring.rows import Rows
from protocol.algorithms import agreement
from protocol.algorithms.agreement import Hello, Terms, Welcome
from protocol.algorithms.alignment import PART, BankAlignment, load, save
from protocol.algorithms.binning import Cutting, Hint, HintQuery, Layout, LayoutQuery
from protocol.algorithms.boosting import Split
from protocol.algorithms.glm import Design, DesignColumn, Designed, DesignHint, DesignHintQuery
from protocol.contract import Contract
from protocol.errors import ALIGN_ANEW, DataError
from protocol.he.base import NO_KEYS, KeyPair
from protocol.he.blind.public import public_seed
from protocol.he.engines import integer_kit, new_keys, require, secret_kit
from protocol.he.integers import IntegerKit
from protocol.he.parameters import INTEGERS, ONE_HOT, Parameters
from protocol.he.streams import derive, digest, fresh_key
from protocol.node.files import kept_key, own_folder, write_whole
from protocol.role import Exchange, ask, drive
from protocol.table import Table
from protocol.table.dates import coded, grid_keys

Progress = Callable[[str, int, int], None]
"""Told a phase, how much of it is done, and how much there is."""


@dataclass
class Standing:
    """One bank, its partners by name, and a way to exchange messages with them."""

    config: BankConfig
    table: Table
    exchange: Exchange
    progress: Progress = lambda phase, done, total: None
    welcomes: dict[str, Welcome] = field(default_factory=dict)
    contracts: dict[str, Contract] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(self.config.engine, self.config.party)
        self._master = kept_key(own_folder(self.config.state) / "bank.key")

    @property
    def terms(self) -> Terms:
        """What this node says of itself."""
        config = self.config
        return agreement.terms(config.party, config.engine, config.alignment, config.split_rows, config.contract)

    def agree(self, partners: Sequence[str], job: str, model: str = "") -> None:
        """The first exchange with each partner. job, model: digest of what is about to be run or scored by.

        Raises: PeerError: the nodes are not set alike. RefusedError: a partner has not approved the job.
        """
        hellos = {p: Hello(terms=self.terms, job=job, model=model) for p in partners}
        for party, welcome in drive(ask(hellos, Welcome), self.exchange).items():
            self.contracts[party] = agreement.agree(self.terms, welcome.terms)
            self.welcomes[party] = welcome

    def align(self, partners: Sequence[str], anew: bool = False) -> dict[str, BankAlignment]:
        """The alignments with these partners; kept ones of the same two tables are used again.

        Raises: DataError, IntegrityError, PeerError.
        """
        kept = {} if anew else {p: a for p in partners if (a := self._kept(p))}
        shared = self.config.alignment == "shared"
        missing = [p for p in partners if p not in kept]
        if missing and shared:
            missing = list(partners)  # all partners of a job share one order of rows
        if missing:
            columns = len(self.config.data.id)
            ids, dated = self._keys()
            advance = lambda done, total: self.progress("align", done, total)  # noqa: E731
            script = align(
                self.config.party, missing, ids, columns, self.config.alignment, advance, self.config.dating, dated
            )  # fmt: skip
            for party, alignment in drive(script, self.exchange).items():
                self._keep(party, alignment)
                kept[party] = alignment
        return {p: kept[p] for p in partners}

    def kept(self, partner: str) -> BankAlignment | None:
        """The alignment kept with a partner that was agreed with."""
        return self._kept(partner)

    def _keys(self) -> tuple[list[bytes], DatedRows | None]:
        """What the bank blinds: its rows' ids, dated by the grid; or ids alone, where dates are sent afterwards."""
        table, grid = self.table, self.config.grid
        if table.as_of is None:
            return table.ids, None
        if grid is not None:
            return grid_keys(table.entities, table.as_of, grid, table.party), None
        ids, entity = coded(table.entities)
        return ids, DatedRows(entity, table.as_of.astype(np.int64))

    def align_rows(self, partners: Sequence[str], rows: Rows) -> dict[str, BankAlignment]:
        """`align` for rows of a file that is read part by part; without the partners that hold none of them."""
        kept = {p: a for p in partners if (a := self._kept(p, rows.digest))}
        shared = self.config.alignment == "shared"
        missing = list(partners) if shared and len(kept) < len(partners) else [p for p in partners if p not in kept]
        if missing:
            parts = (rows.keys(first, count) for first, count in rows.parts(PART))
            advance = lambda done, total: self.progress("align", done, total)  # noqa: E731
            columns = len(self.config.data.id)
            script = align_in_parts(
                self.config.party,
                missing,
                parts,
                rows.rows,
                columns,
                self.config.alignment,
                advance,
                self.config.dating,
            )
            made = drive(script, self.exchange)
            for party, alignment in made.items():
                save(alignment, self._alignment_file(party, rows.digest))
            kept = {p: a for p, a in kept.items() if p not in missing} | made
        return {p: kept[p] for p in partners if p in kept}

    def view(self, partner: str, alignment: BankAlignment, cutting: Cutting) -> PartnerView:
        """A partner ready to be trained with. Asks for a hint only if none is kept for these bins."""
        asked = {partner: LayoutQuery(alignment=alignment.alignment, cutting=cutting)}
        layout = drive(ask(asked, Layout), self.exchange)[partner]
        _require_rows(partner, layout.rows, alignment.rows)

        def hint(nonce: bytes, public: bytes) -> npt.NDArray[Any]:
            query = HintQuery(layout=layout.layout, engine=self.config.engine, nonce=nonce, keys=public)
            return drive(ask({partner: query}, Hint), self.exchange)[partner].hint

        seed, kept, keys = self._hint(layout.layout, partner, hint, alignment.alignment, layout.nonce, ONE_HOT)
        master = derive(self._master, "engine", self.config.engine.encode())
        return PartnerView(
            name=partner,
            layout=layout.layout,
            columns=layout.columns,
            positions=alignment.positions,
            kit=secret_kit(self.config.engine, partner, master, seed, kept, layout.rows, keys),
            known=load_known(self.known_file(layout.layout), layout.rows),
            split_rows=self.config.split_rows,
        )

    def design(self, partner: str, layout: str, rows: int, columns: tuple[DesignColumn, ...]) -> tuple[str, IntegerKit]:
        """Columns of a partner laid out for a linear model: their name, and what opens sums over them.

        rows: of the alignment. Raises: RefusedError: its contract admits no such model.
        """
        asked = {partner: Design(layout=layout, columns=columns)}
        designed = drive(ask(asked, Designed), self.exchange)[partner]
        _require_rows(partner, designed.rows, rows)

        def hint(nonce: bytes, public: bytes) -> npt.NDArray[Any]:
            query = DesignHintQuery(design=designed.design, engine=self.config.engine, nonce=nonce, keys=public)
            return drive(ask({partner: query}, DesignHint), self.exchange)[partner].hint

        seed, kept, keys = self._hint(designed.design, partner, hint, designed.design, designed.nonce, INTEGERS)
        master = derive(self._master, "engine", self.config.engine.encode())
        return designed.design, integer_kit(self.config.engine, partner, master, seed, kept, rows, keys)

    def known_file(self, layout: str) -> Path:
        """Where the revealed splits of a layout are kept."""
        return self._folder("known") / f"{layout}.npz"

    def _hint(
        self, name: str, partner: str, ask_for: Callable[[bytes, bytes], npt.NDArray[Any]], seeded: str,
        theirs: bytes, ring: Parameters,
    ) -> tuple[bytes, npt.NDArray[Any], KeyPair]:  # fmt: skip
        """The public seed and the hint of a layout or design, and the keys under it, kept from before or asked for now.

        ask_for: the hint, by the bank's nonce and public keys. seeded: what the seed names. theirs: the partner's.
        """
        path = self._folder("hints") / f"{name}-{self.config.engine}.npz"
        if not path.exists():
            nonce, keys = fresh_key(), new_keys(self.config.engine, self.config.party)
            self.progress("hint", 0, 1)
            hint = ask_for(nonce, keys.public)
            self.progress("hint", 1, 1)
            _save_hint(path, public_seed(seeded, [self.config.party, partner], [nonce, theirs], ring), hint, keys)
        return _kept_hint(path)

    def _folder(self, name: str) -> Path:
        return own_folder(self.config.state / name)

    def _alignment_file(self, partner: str, rows: str = "") -> Path:
        """Of the table, or of the rows of a file by their digest."""
        dating = [self.config.dating.encode()] if self.config.dating else []
        ids = [rows.encode()] if rows else self.table.ids
        tables = digest(*ids, self.welcomes[partner].data.encode(), *dating).hex()
        return (
            self._folder("alignments")
            / f"{digest(partner.encode(), tables.encode()).hex()}-{self.config.alignment}.npz"
        )

    def _kept(self, partner: str, rows: str = "") -> BankAlignment | None:
        path = self._alignment_file(partner, rows)
        return load(BankAlignment, path, partner) if path.exists() else None

    def _keep(self, partner: str, alignment: BankAlignment) -> None:
        save(alignment, self._alignment_file(partner))


def load_known(path: Path, rows: int) -> KnownSplits:
    """The splits that a partner has revealed for a layout; none if there is no file."""
    known = KnownSplits(rows)
    if path.exists():
        with np.load(path, allow_pickle=False) as kept:
            splits = msgspec.json.decode(kept["splits"].tobytes(), type=list[Split])
            known.sides = dict(zip(splits, kept["sides"], strict=True))
            known.spent = bool(kept["spent"])
            known.information_share = float(kept["information_share"])
    return known


def save_known(path: Path, known: KnownSplits) -> None:
    """Keep what a partner has revealed: asked once, free from then on."""
    splits = np.frombuffer(msgspec.json.encode(list(known.sides)), dtype=np.uint8)
    sides = np.stack(list(known.sides.values())) if known.sides else np.zeros((0, known.rows), dtype=np.int8)
    _save(
        path,
        splits=splits,
        sides=sides,
        spent=np.array(known.spent),
        information_share=np.array(known.information_share),
    )


def _require_rows(partner: str, told: int, aligned: int) -> None:
    if told != aligned:
        raise DataError(partner, "has another number of rows than when it was aligned", ALIGN_ANEW)


def _save_hint(path: Path, seed: bytes, hint: npt.NDArray[Any], keys: KeyPair) -> None:
    octets = {"seed": seed, "secret": keys.secret, "public": keys.public}
    _save(path, hint=hint, **{name: np.frombuffer(value, dtype=np.uint8) for name, value in octets.items()})


def _kept_hint(path: Path) -> tuple[bytes, npt.NDArray[Any], KeyPair]:
    """The seed, the hint, and the keys under it, if the engine has some."""
    with np.load(path, allow_pickle=False) as kept:
        keys = KeyPair(kept["secret"].tobytes(), kept["public"].tobytes()) if "secret" in kept else NO_KEYS
        return kept["seed"].tobytes(), kept["hint"], keys


def _save(path: Path, **arrays: npt.NDArray[Any]) -> None:
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    write_whole(path, content.getvalue())

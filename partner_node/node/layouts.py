"""Layouts: the table in bins under an alignment, each with its hint, and the role that answers for it."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from partner_node.algorithms.binning import BinnedTable
from partner_node.algorithms.boosting import BoostingAnswerer, BoostingState, KeptHandle
from partner_node.algorithms.sealing import sealer_of
from partner_node.algorithms.woe import count_bins
from partner_node.node.agreement import Agreement
from partner_node.node.alignments import Alignments
from partner_node.node.bins import Bins
from partner_node.node.exact import require_exact
from partner_node.node.holdings import Holdings
from partner_node.node.told import ToldSides
from partner_node.policy.budgets import Run
from partner_node.store.pools import SCHEMA, Pool
from protocol.algorithms import binning, boosting
from protocol.algorithms.binning import Cutting
from protocol.algorithms.woe import BinCounts, BinCountsQuery, InformationValues, Noted
from protocol.contract import Contract, refuse
from protocol.errors import ALIGN_ANEW, IntegrityError
from protocol.files import file_named, own_folder, write_whole
from protocol.he.blind.public import public_seed
from protocol.he.engines import evaluator
from protocol.he.streams import fresh_key
from protocol.messages import Message


class Layouts:
    """What is known of a layout is on disk, by its name; the role that answers is built from that."""

    def __init__(self, own: Holdings, agreement: Agreement, alignments: Alignments) -> None:
        self._own, self._agreement, self._alignments = own, agreement, alignments
        self._bins, self._told = Bins(own, agreement), ToldSides(own)
        self._answerers: dict[str, BoostingAnswerer] = {}

    def lay_out(self, query: binning.LayoutQuery) -> binning.Layout:
        """Bin the columns, and give the result a name. Raises: IntegrityError, RefusedError, DataError."""
        if not query.cutting.possible:
            raise IntegrityError(
                self._own.config.bank, "asked for an impossible number of bins", "run the same version"
            )
        plan = self._agreement.plan
        if query.cutting not in plan.cuttings if plan else query.cutting.special:
            raise self._agreement.not_as_approved(f"does not bin its columns into {query.cutting.text}")
        aligned, table = self._alignments.find(query.alignment), self._bins.of(query.cutting)
        name = self._own.name_of("layout", query.alignment.encode(), table.digest)
        if not self._file(name).exists():
            cutting = msgspec.json.encode(query.cutting).decode()
            self._write(name, {"alignment": query.alignment, "cutting": cutting, "nonce": fresh_key().hex()})
        return binning.Layout(
            layout=name,
            rows=len(aligned.order),
            columns=table.shapes,
            dropped=table.dropped,
            nonce=bytes.fromhex(self._facts(name)["nonce"]),
        )

    def hint(self, query: binning.HintQuery) -> binning.Hint:
        """Fix the public seed by the bank's nonce, and compute the hint, or the part of it that is asked for.

        Raises: IntegrityError: a part is of another hint than the one that was begun, or lies outside of it.
        """
        self._own.require_engine(query.engine, query.keys)
        facts = self._facts(query.layout)
        if not query.first:
            if query.keys:
                write_whole(self._keys_file(query.layout), query.keys)
            self._write(query.layout, {**facts, "bank_nonce": query.nonce.hex()})
            self._answerers.pop(query.layout, None)
        elif facts.get("bank_nonce") != query.nonce.hex():
            raise IntegrityError(self._own.config.bank, "asks for a part of another hint than it began", ALIGN_ANEW)
        answerer = self.answerer(query.layout)
        whole = answerer.matrix.rows
        rows = range(query.first, query.first + query.count if query.count else whole)
        if not rows or rows.stop > whole:
            raise IntegrityError(
                self._own.config.bank, f"asks for rows {rows.start} to {rows.stop} of a hint of {whole}", ALIGN_ANEW
            )
        return binning.Hint(hint=answerer.evaluator.hint(rows))

    def open(self, opening: boosting.Opening) -> Message:
        """Open a job, and remember it: after a restart, a training goes on in its middle."""
        self._agreement.require_job(opening.job)
        plan, facts = self._agreement.plan, self._facts(opening.layout)
        self._require_columns(opening.layout, facts)
        if plan and not plan.admits(_cutting(facts), opening.equations):
            raise self._agreement.not_as_approved(f"does not plan {opening.equations} equations for one model")
        answerer = self.answerer(opening.layout)
        answerer.state = replace(answerer.state, approved=plan.by_kind if plan else None)
        reply = answerer.handle(opening)
        opened = {"job": opening.job, "run": str(opening.run), "opened_rows": str(opening.rows)}
        self._write(opening.layout, {**facts, **opened})
        return reply

    def count(self, query: BinCountsQuery) -> BinCounts:
        """Exact counts a bin, if the job has bin tables."""
        plan = self._agreement.plan
        if plan and not any(model.bin_tables for model in plan.models):
            raise self._agreement.not_as_approved("counts no bins")
        require_exact(self._own)
        return count_bins(self.in_job(query.layout), query)

    def note(self, told: InformationValues) -> Noted:
        """Keep what the bank says of our columns, for whoever runs this node to read."""
        config, most = self._own.config, self._agreement.contract.max_iv_decimals
        table = self._bins.of(_cutting(self._facts(told.layout)))
        if not 0 < told.decimals <= most:
            raise refuse(
                config.party, "max_iv_decimals", f"was told information values to {told.decimals} decimals",
                f"tell them to {most} at most" if most else "tell none",
            )  # fmt: skip
        if len(told.values) != len(table.names):
            raise IntegrityError(config.bank, "told values of other columns", "run the same version")
        values = {name: value / 10**told.decimals for name, value in zip(table.names, told.values, strict=True)}
        folder, job = own_folder(config.state / "information_values"), self._agreement.job
        _write_json(folder / f"{job[:32]}.json", {"job": job, "columns": values})
        return Noted(layout=told.layout)

    def answerer(self, layout: str) -> BoostingAnswerer:
        """The role that answers for a layout; built anew from disk after a restart.

        Raises: IntegrityError: the bank names none of ours, or asks before it has a hint.
        """
        if layout not in self._answerers:
            facts, keys = self._facts(layout), self._keys_file(layout)
            if "bank_nonce" not in facts:
                raise IntegrityError(self._own.config.bank, "asks before it has a hint", ALIGN_ANEW)
            self._answerers[layout] = self._build(layout, facts, keys.read_bytes() if keys.exists() else b"")
        return self._answerers[layout]

    def in_job(self, layout: str) -> BoostingAnswerer:
        """The same, for what only a run of the job under way may ask, of the columns that it was approved for.

        Raises: IntegrityError: the layout is of other columns or bins. PeerError: its run is of another job.
        """
        self._require_columns(layout, self._facts(layout))
        answerer = self.answerer(layout)
        if answerer.state.run is not None:
            self._agreement.require_under_way(answerer.state.run.job)
        return answerer

    def _require_columns(self, layout: str, facts: dict[str, str]) -> None:
        """Raises: IntegrityError: a layout is not of the columns and bins that hold for the job under way."""
        table = self._bins.of(_cutting(facts))
        if self._own.name_of("layout", facts["alignment"].encode(), table.digest) != layout:
            raise IntegrityError(
                self._own.config.bank, "asks of a layout of another job's columns", "lay them out anew"
            )

    def opened_for(self, job: str) -> tuple[list[BinnedTable], int]:
        """The ways of binning that a job was opened on last, or all there are; the most rows that it matched."""
        config = self._own.config
        known = [json.loads(path.read_text()) for path in (config.state / "layouts").glob("*.json")]
        of_job = [facts for facts in known if facts.get("job") == job] or known
        cuttings, names = dict.fromkeys(map(_cutting, of_job)), {facts["alignment"] for facts in of_job}
        matches = max((self._alignments.find(name).matches for name in names), default=0)
        return [self._bins.of(cutting) for cutting in cuttings], matches

    @property
    def bank_rows(self) -> int:
        """Rows of the bank in the largest alignment on which an approved job was opened; 0 before the first."""
        known = [json.loads(path.read_text()) for path in (self._own.config.state / "layouts").glob("*.json")]
        names = {facts["alignment"] for facts in known if "job" in facts}
        return max((self._alignments.bank_rows(name) for name in names), default=0)

    def under(self, contract: Contract) -> None:
        """Other clauses hold from now on."""
        for answerer in self._answerers.values():
            answerer.contract = contract

    def _build(self, layout: str, facts: dict[str, str], keys: bytes) -> BoostingAnswerer:
        own, config, plan = self._own, self._own.config, self._agreement.plan
        aligned, table = self._alignments.find(facts["alignment"]), self._bins.of(_cutting(facts))
        nonces = [bytes.fromhex(facts["bank_nonce"]), bytes.fromhex(facts["nonce"])]
        seed = public_seed(facts["alignment"], [config.bank, config.party], nonces)
        matrix = table.aligned(np.asarray(aligned.order))
        state = BoostingState(
            bank=config.bank,
            data=config.policy.account,
            alignment=facts["alignment"],
            matches=aligned.matches,
            records=own.table.rows,
            rows=int(facts.get("opened_rows", 0)),
            run=self._run(facts),
            approved=plan.by_kind if plan else None,
        )
        return BoostingAnswerer(
            party=config.party,
            state=state,
            table=table,
            matrix=matrix,
            evaluator=evaluator(config.engine, config.bank, own.key, matrix, seed, own.budgets, keys),
            contract=self._agreement.contract,
            budgets=own.budgets,
            split_rows=config.split_rows,
            enforced=config.policy.equation_budget == "enforced",
            keep=self._keep,
            sealer=sealer_of(aligned.row_keys, layout, partial(own.budgets.pad_of, facts["alignment"], table.digest)),
            bound=not config.policy.noise_seed,
        )

    def _run(self, facts: dict[str, str]) -> Run | None:
        """The run that was opened last on a layout."""
        config = self._own.config
        if "run" not in facts:
            return None
        return self._own.budgets.run(config.bank, config.policy.account, facts["job"], int(facts["run"]))

    def _keep(self, run: Run, handles: tuple[KeptHandle, ...]) -> str:
        own = self._own
        contract = self._agreement.contract.digest
        self._told.remember(handles)
        return own.pools.keep(Pool(SCHEMA, own.table.sha256, run.job, run.number, contract, handles))

    def _file(self, name: str) -> Path:
        config = self._own.config
        return file_named(config.state / "layouts", name, ".json", config.bank)

    def _keys_file(self, layout: str) -> Path:
        """The bank's public keys, on engines that have some."""
        return self._file(layout).with_suffix(".keys")

    def _facts(self, layout: str) -> dict[str, str]:
        facts: dict[str, str] = json.loads(self._own.known_file(layout, self._file).read_text())
        return facts

    def _write(self, layout: str, facts: dict[str, str]) -> None:
        _write_json(self._file(layout), facts)


def trained_on(state: Path, job: str) -> str | None:
    """The alignment that a job was opened on, or else the one that any was opened on last; None if none was.

    state: the node's state folder. job: its SHA-256.
    """
    files = sorted((state / "layouts").glob("*.json"), key=lambda path: path.stat().st_mtime)
    opened = [facts for path in files if "job" in (facts := json.loads(path.read_text()))]
    opened.sort(key=lambda facts: bool(facts["job"] == job))
    return str(opened[-1]["alignment"]) if opened else None


def _write_json(path: Path, value: object) -> None:
    write_whole(path, json.dumps(value).encode())


def _cutting(facts: dict[str, str]) -> Cutting:
    """How the columns of a layout are binned, from its file."""
    if "cutting" not in facts:  # written by version 0.1.0
        return Cutting(int(facts["max_bin"]))
    return msgspec.json.decode(facts["cutting"], type=Cutting)

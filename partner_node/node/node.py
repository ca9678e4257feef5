"""A partner's node: its table, its budgets, and the one place where a message meets the role that answers it.

What leaves is decided here: only the messages named in `_desks` are answered, only for the bank of the config, and
only after that bank has agreed to the terms.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from partner_node.algorithms.alignment import AlignmentAnswerer, AlignmentState, dated_records
from partner_node.algorithms.binning import BinnedTable, bin_table, require_named, require_ordered, require_preparable
from partner_node.algorithms.boosting import BoostingAnswerer, BoostingState, KeptHandle
from partner_node.algorithms.checkup import CHECKUP, BankSeen, CheckupAnswerer, schema_digest
from partner_node.algorithms.glm import (
    GlmAnswerer,
    release_label,
    require_columns,
    scores_of,
    terms_of,
    values_of,
)
from partner_node.algorithms.scoring import ScoringAnswerer
from partner_node.algorithms.woe import count_bins
from partner_node.config import PartnerConfig
from partner_node.kept.bins import kept_bins
from partner_node.kept.cache import Cache
from partner_node.kept.models import AGAIN, KeptModels
from partner_node.kept.terms import KeptTerm, KeptTerms
from partner_node.policy.budgets import Budgets
from partner_node.policy.policy import APPROVALS, CLAUSE, Approval, Approvals
from protocol.algorithms import agreement, alignment, binning, boosting, checkup, glm
from protocol.algorithms.alignment import PartnerAlignment
from protocol.algorithms.binning import Cutting
from protocol.algorithms.scoring import ScoringQuery
from protocol.algorithms.woe import BinCounts, BinCountsQuery, InformationValues, Noted
from protocol.contract import Contract, refuse
from protocol.errors import IntegrityError, PeerError, RefusedError
from protocol.he.blind.public import public_seed
from protocol.he.engines import evaluator, integer_evaluator, require
from protocol.he.parameters import INTEGERS
from protocol.he.streams import derive, digest, fresh_key
from protocol.job.workload import Workload
from protocol.messages import Message
from protocol.node.files import kept_key, own_folder, write_whole
from protocol.role import Answerer
from protocol.table import read_table


class Agreed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was agreed last: on disk, so that a restarted node goes on under it. job: what is asked for is asked for
    this job, "" if the bank only greeted."""

    contract: dict[str, float]
    job: str


class KeptDesign(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Columns laid out for linear models. layout: of whose bins. nonces: in hex; the bank's comes with the hint."""

    layout: str
    terms: tuple[KeptTerm, ...]
    nonce: str
    bank_nonce: str = ""


class PartnerNode:
    """Answers one bank. Survives a restart: everything it must remember is in its state folder."""

    def __init__(self, config: PartnerConfig, cache: Cache | None = None) -> None:
        """Read the table. cache: of a node that is made anew again and again. Raises: DataError, UsageError."""
        require(config.engine, config.party)
        self.config, self._cache = config, cache
        own_folder(config.state)
        self.table = read_table(config.data.source, config.data, config.party)
        require_ordered(config.party, self.table.columns, config.data.monotone)
        require_named(config.party, self.table.columns, config.policy.names, "[policy] names")
        require_preparable(config.party, self.table.columns, config.data.prepare)
        self.budgets = Budgets(config.state / "budgets.sqlite", config.party)
        self.budgets.open_account(config.policy.account, self.table.sha256)
        self.approvals = Approvals(config.state / APPROVALS, config.party)
        self._models = KeptModels(config.state / "models", config.party)
        self._lock = threading.Lock()
        self._agreement = config.state / "agreement.json"
        self._key = kept_key(config.state / "partner.key")
        self._terms = agreement.terms(config.party, config.engine, config.alignment, config.split_rows, config.contract)
        ids, dated = dated_records(self.table, config.grid)
        self._aligning = AlignmentAnswerer(
            config.party, config.bank, config.alignment, len(config.data.id), ids, self._keep_alignment, dated=dated
        )
        self._checkup = CheckupAnswerer(
            config.bank, self.table.entity_ids, schema_digest(self._key, self.table), time.time, self._keep_checkup
        )
        self._binned: dict[tuple[Cutting, int], BinnedTable] = {}
        self._layouts: dict[str, BoostingAnswerer] = {}
        self._designs: dict[str, GlmAnswerer] = {}

    def handle(self, peer: str, message: Message) -> Message:
        """The reply to one message of the authenticated peer.

        Raises: FedwarnError: what is wrong with it; the session turns it into a refusal.
        """
        if peer != self.config.bank:
            raise PeerError(
                peer, f"is not the bank that {self.config.party} answers", "correct `bank` in its node.toml"
            )
        with self._lock:
            if isinstance(message, agreement.Hello):
                return self._welcome(message)
            if not self._agreement.exists():
                raise PeerError(peer, "has not agreed to the terms", "begin with `bank-node align`")
            if isinstance(message, checkup.Probe | checkup.FormatsQuery):
                return self._checkup.handle(message)
            self._approved(self._agreed.job)
            role = self._role(message)
            if role is not None:
                return role.handle(message)
            match message:
                case binning.LayoutQuery():
                    return self._lay_out(message)
                case binning.HintQuery():
                    return self._hint(message)
                case boosting.Opening():
                    return self._open(message)
                case InformationValues():
                    return self._note(message)
                case BinCountsQuery():
                    return self._count(message)
                case glm.Design():
                    return self._design(message)
                case glm.DesignHintQuery():
                    return self._design_hint(message)
                case ScoringQuery():
                    return self._score(message)
        raise PeerError(
            peer, f"sent {message.KIND}, which a partner does not answer", "run the same version on both sides"
        )

    def _role(self, message: Message) -> Answerer | None:
        """The role that answers a message by itself, if one does."""
        match message:
            case alignment.Start() | alignment.BlindedIds() | alignment.OwnIdsQuery():
                return self._aligning
            case alignment.Matched() | alignment.Positions() | alignment.Dated():
                return self._aligning
            case boosting.SumsQuery() | boosting.SplitQuery() | boosting.NodeSplitQuery() | boosting.Handles():
                return self._answerer(message.layout)
            case glm.CrossQuery() | glm.Coefficients() | glm.KeepTerms():
                return self._fitting(message.design)
        return None

    @property
    def aligning(self) -> AlignmentState:
        """The alignment under way: all that this node must remember and has not in its state folder."""
        return self._aligning.state

    @aligning.setter
    def aligning(self, state: AlignmentState) -> None:
        self._aligning.state = state

    def close(self) -> None:
        """Close budgets and approvals."""
        self.budgets.close()
        self.approvals.close()

    # -- agreement ---------------------------------------------------------------------------------------------

    def _welcome(self, hello: agreement.Hello) -> agreement.Welcome:
        contract = agreement.agree(self._terms, hello.terms)
        job = self._models.job_of(hello.model) if hello.model else hello.job
        if hello.job or hello.model:
            self._approved(job)
        write_whole(self._agreement, msgspec.json.encode(Agreed(contract.model_dump(), job)))
        for answerer in self._layouts.values():
            answerer.contract = contract
        policy = self.config.policy
        return agreement.Welcome(
            terms=self._terms,
            data=self.table.sha256,
            rows=self.table.rows,
            columns=len(self.table.columns),
            equation_budget=policy.equation_budget,
            noise_key="derived from the run's seed" if policy.noise_seed else "from the operating system",
        )

    def _approved(self, job: str) -> Approval | None:
        """The job's approval, None where none is needed. Raises: RefusedError: it is needed, and not there."""
        return self.approvals.require(job) if self.config.policy.approve == "manual" else None

    @property
    def _agreed(self) -> Agreed:
        return msgspec.json.decode(self._agreement.read_bytes(), type=Agreed)

    @property
    def _contract(self) -> Contract:
        return Contract.model_validate(self._agreed.contract)

    def _keep_checkup(self, seen: BankSeen) -> None:
        write_whole(self.config.state / CHECKUP, msgspec.json.encode(seen))

    # -- alignment ---------------------------------------------------------------------------------------------

    def _keep_alignment(self, finished: PartnerAlignment) -> None:
        folder = own_folder(self.config.state / "alignments")
        alignment.save(finished, folder / f"{finished.alignment}.npz")

    def _alignment(self, name: str) -> PartnerAlignment:
        """A kept alignment. Raises: DataError: none of that name."""
        known = name if name.isalnum() else "none"
        return alignment.load(PartnerAlignment, self.config.state / "alignments" / f"{known}.npz", self.config.party)

    # -- binning -----------------------------------------------------------------------------------------------

    def _bins(self, cutting: Cutting) -> BinnedTable:
        key = cutting, self._contract.min_rows_per_bin
        if key not in self._binned:
            policy = self.config.policy
            self._binned[key] = replace(
                self._cut(*key),
                told_as=policy.names,
                told_bins=frozenset(policy.tell_bins),
                prepare=self.config.data.prepare,
            )
        return self._binned[key]

    def _cut(self, cutting: Cutting, min_rows: int) -> BinnedTable:
        data = self.config.data
        make = partial(bin_table, self.config.party, self.table.columns, cutting, min_rows, data.monotone)
        if self._cache is None:
            return make()
        how = msgspec.json.encode((cutting, min_rows)), data.model_dump_json(exclude={"source"}).encode()
        key = digest(b"fedwarn.v1 bins", self.table.sha256.encode(), *how)
        return kept_bins(self._cache, key.hex(), make)

    def _lay_out(self, query: binning.LayoutQuery) -> binning.Layout:
        """Bin the columns, and give the result a name."""
        if not query.cutting.possible:
            raise IntegrityError(self.config.bank, "asked for an impossible number of bins", "run the same version")
        plan = self._plan()
        if plan and query.cutting not in plan.cuttings:
            raise self._not_as_approved(f"does not bin its columns into {query.cutting.text}")
        aligned, table = self._alignment(query.alignment), self._bins(query.cutting)
        name = digest(b"fedwarn.v1 layout", query.alignment.encode(), table.digest).hex()
        path = self._layout_file(name)
        if not path.exists():
            cutting = msgspec.json.encode(query.cutting).decode()
            facts = {"alignment": query.alignment, "cutting": cutting, "nonce": fresh_key().hex()}
            _write_json(path, facts)
        return binning.Layout(
            layout=name,
            rows=len(aligned.order),
            columns=table.shapes,
            dropped=table.dropped,
            nonce=bytes.fromhex(json.loads(path.read_text())["nonce"]),
        )

    def _hint(self, query: binning.HintQuery) -> binning.Hint:
        """Fix the public seed by the bank's nonce, and compute the hint."""
        self._require_engine(query.engine)
        facts = self._facts(query.layout)
        if query.keys:
            write_whole(self._keys_file(query.layout), query.keys)
        _write_json(self._layout_file(query.layout), {**facts, "bank_nonce": query.nonce.hex()})
        self._layouts.pop(query.layout, None)
        return binning.Hint(hint=self._answerer(query.layout).evaluator.hint())

    def _require_engine(self, engine: str) -> None:
        if engine != self.config.engine:
            raise PeerError(self.config.bank, f"asks for engine {engine}", "set the same engine at both nodes")

    def _layout_file(self, name: str) -> Path:
        folder = own_folder(self.config.state / "layouts")
        return folder / f"{name}.json"

    def _keys_file(self, layout: str) -> Path:
        """The bank's public keys, on engines that have some."""
        return self._layout_file(layout).with_suffix(".keys")

    def _facts(self, layout: str) -> dict[str, str]:
        facts: dict[str, str] = json.loads(self._known(layout, self._layout_file).read_text())
        return facts

    def _known(self, name: str, file_of: Callable[[str], Path]) -> Path:
        """A file of ours that the bank names. Raises: IntegrityError: there is none."""
        path = file_of(name) if name.isalnum() else Path("none")
        if not path.exists():
            raise IntegrityError(self.config.bank, "names an unknown layout or hint", "run `bank-node align` again")
        return path

    # -- boosting ----------------------------------------------------------------------------------------------

    def _open(self, opening: boosting.Opening) -> Message:
        """Open a job, and remember it: after a restart, a training goes on in its middle."""
        if opening.job != self._agreed.job:
            raise PeerError(self.config.bank, "opens another job than it agreed on", "run the job again")
        plan = self._plan()
        if plan and not plan.admits(_cutting(self._facts(opening.layout)), opening.equations):
            raise self._not_as_approved(f"does not plan {opening.equations} equations for one model")
        answerer = self._answerer(opening.layout)
        answerer.state = replace(answerer.state, approved=plan.equations if plan else None)
        reply = answerer.handle(opening)
        opened = {"job": opening.job, "opened_rows": str(opening.rows)}
        _write_json(self._layout_file(opening.layout), {**self._facts(opening.layout), **opened})
        return reply

    def _note(self, told: InformationValues) -> Noted:
        """Keep what the bank says of our columns, for whoever runs this node to read."""
        table, most = self._bins(_cutting(self._facts(told.layout))), self._contract.max_iv_decimals
        if not 0 < told.decimals <= most:
            raise refuse(
                self.config.party, "max_iv_decimals", f"was told information values to {told.decimals} decimals",
                f"tell them to {most} at most" if most else "tell none",
            )  # fmt: skip
        if len(told.values) != len(table.names):
            raise IntegrityError(self.config.bank, "told values of other columns", "run the same version")
        values = {name: value / 10**told.decimals for name, value in zip(table.names, told.values, strict=True)}
        folder = own_folder(self.config.state / "information_values")
        _write_json(folder / f"{self._agreed.job[:32]}.json", {"job": self._agreed.job, "columns": values})
        return Noted(layout=told.layout)

    def _count(self, query: BinCountsQuery) -> BinCounts:
        """Exact counts a bin, if the job has bin tables."""
        plan = self._plan()
        if plan and not any(model.bin_tables for model in plan.models):
            raise self._not_as_approved("counts no bins")
        return count_bins(self._answerer(query.layout), query)

    # -- linear models -----------------------------------------------------------------------------------------

    def _design(self, message: glm.Design) -> glm.Designed:
        """Lay columns out as whole numbers, and give the result a name."""
        require_columns(self.config.party, self._contract, message.columns)
        plan = self._plan()
        if plan and not any(len(message.columns) <= model.columns for model in plan.models):
            raise self._not_as_approved(f"plans no linear model of {len(message.columns)} columns")
        layout = self._answerer(message.layout)
        terms = terms_of(self.config.bank, self.config.party, layout.table, self.table.columns, message.columns)
        text = msgspec.json.encode(terms)
        name = digest(b"fedwarn.v1 design", message.layout.encode(), layout.table.digest, text).hex()
        path = self._design_file(name)
        if not path.exists():
            write_whole(path, msgspec.json.encode(KeptDesign(message.layout, tuple(terms), fresh_key().hex())))
        return glm.Designed(design=name, rows=layout.matrix.n, nonce=bytes.fromhex(self._kept_design(name).nonce))

    def _design_hint(self, query: glm.DesignHintQuery) -> glm.DesignHint:
        """Fix the public seed by the bank's nonce, and compute the hint."""
        self._require_engine(query.engine)
        kept = msgspec.structs.replace(self._kept_design(query.design), bank_nonce=query.nonce.hex())
        if query.keys:
            write_whole(self._design_file(query.design).with_suffix(".keys"), query.keys)
        write_whole(self._design_file(query.design), msgspec.json.encode(kept))
        self._designs.pop(query.design, None)
        return glm.DesignHint(hint=self._fitting(query.design).evaluator.hint())

    def _design_file(self, name: str) -> Path:
        return own_folder(self.config.state / "designs") / f"{name}.json"

    def _kept_design(self, name: str) -> KeptDesign:
        return msgspec.json.decode(self._known(name, self._design_file).read_bytes(), type=KeptDesign)

    def _fitting(self, name: str) -> GlmAnswerer:
        """The role that answers for a design; built anew from disk after a restart."""
        kept = self._kept_design(name) if name not in self._designs else None
        if kept:
            if not kept.bank_nonce:
                raise IntegrityError(self.config.bank, "asks before it has a hint", "run the job again")
            self._designs[name] = self._build_design(name, kept)
        answerer = self._designs[name]
        answerer.layout = self._answerer(answerer.layout_name)
        return answerer

    def _build_design(self, name: str, kept: KeptDesign) -> GlmAnswerer:
        config, layout = self.config, self._answerer(kept.layout)
        file = self._design_file(name).with_suffix(".keys")
        public = file.read_bytes() if file.exists() else b""
        nonces = [bytes.fromhex(kept.bank_nonce), bytes.fromhex(kept.nonce)]
        seed = public_seed(name, [config.bank, config.party], nonces, INTEGERS)
        return GlmAnswerer(
            design=name,
            layout_name=kept.layout,
            layout=layout,
            terms=kept.terms,
            values=values_of(kept.terms, self.table.columns, config.party),
            order=np.asarray(self._alignment(layout.state.alignment).order),
            build=lambda matrix: integer_evaluator(
                config.engine, config.bank, self._key, matrix, seed, self.budgets, public
            ),
            keep=partial(self._keep_terms, layout.state.alignment),
        )

    def _keep_terms(self, aligned: str, model: str, terms: KeptTerms) -> None:
        self._models.keep(model, self.table.sha256, aligned, self._agreed.job, self._contract, (), terms)

    def _plan(self) -> Workload | None:
        """What the approved file of the job plans; None where no file was approved."""
        approval = self._approved(self._agreed.job)
        return approval.workload if approval else None

    def _not_as_approved(self, thing: str) -> RefusedError:
        return refuse(self.config.party, CLAUSE, f"the job's approved file {thing}", "run the job as it was approved")

    def _answerer(self, layout: str) -> BoostingAnswerer:
        """The role that answers for a layout; built anew from disk after a restart."""
        if layout not in self._layouts:
            facts = self._facts(layout)
            if "bank_nonce" not in facts:
                raise IntegrityError(self.config.bank, "asks before it has a hint", "run `bank-node align` again")
            keys = self._keys_file(layout)
            self._layouts[layout] = self._build(facts, keys.read_bytes() if keys.exists() else b"")
        return self._layouts[layout]

    def _build(self, facts: dict[str, str], keys: bytes) -> BoostingAnswerer:
        config, contract, plan = self.config, self._contract, self._plan()
        aligned, table = self._alignment(facts["alignment"]), self._bins(_cutting(facts))
        nonces = [bytes.fromhex(facts["bank_nonce"]), bytes.fromhex(facts["nonce"])]
        seed = public_seed(facts["alignment"], [config.bank, config.party], nonces)
        matrix = table.aligned(np.asarray(aligned.order))
        return BoostingAnswerer(
            party=config.party,
            state=BoostingState(
                bank=config.bank,
                data=config.policy.account,
                alignment=facts["alignment"],
                matches=aligned.matches,
                records=self.table.rows,
                rows=int(facts.get("opened_rows", 0)),
                job=facts.get("job", ""),
                approved=plan.equations if plan else None,
            ),
            table=table,
            matrix=matrix,
            evaluator=evaluator(config.engine, config.bank, self._key, matrix, seed, self.budgets, keys),
            contract=contract,
            budgets=self.budgets,
            split_rows=config.split_rows,
            enforced=config.policy.equation_budget == "enforced",
            noise_key=self._noise_key(),
            keep=partial(self._keep_model, facts["alignment"]),
        )

    def _noise_key(self) -> bytes:
        """From the operating system; from the run's seed where one hand holds all parties, and that is told."""
        seed = self.config.policy.noise_seed
        if seed:
            return derive(digest(seed.encode()), "noise key", self.config.party.encode())
        return derive(self._key, "noise key")

    def _keep_model(self, aligned: str, model: str, handles: bytes) -> None:
        kept = msgspec.json.decode(handles, type=tuple[KeptHandle, ...])
        self._models.keep(model, self.table.sha256, aligned, self._agreed.job, self._contract, kept)

    # -- scoring -----------------------------------------------------------------------------------------------

    def _score(self, query: ScoringQuery) -> Message:
        if {query.model, "all"} & set(self.config.policy.revoked_models):
            raise RefusedError(self.config.party, "has revoked the model", AGAIN)
        kept, contract = self._models.find(query.model, query.trained, self._contract), self._contract
        self._approved(kept.job)
        if kept.terms is not None:
            return self._score_terms(query, kept.terms)
        answerer = ScoringAnswerer(
            party=self.config.party,
            bank=self.config.bank,
            data=self.config.policy.account,
            model=query.model,
            handles=kept.handles,
            columns=self.table.columns,
            order=np.asarray(self._alignment(query.alignment).order),
            budgets=self.budgets,
            max_information_share=contract.max_information_share,
            score_releases=contract.score_releases,
            alignment=query.alignment,
        )
        told = kept.data == self.table.sha256 and self.config.split_rows == "all"
        return answerer.answer(told)

    def _score_terms(self, query: ScoringQuery, kept: KeptTerms) -> glm.TermScores:
        """Partial scores by a linear model, of the table as it stands."""
        contract = self._contract
        order = np.asarray(self._alignment(query.alignment).order)
        values = values_of(kept.terms, self.table.columns, self.config.party)
        label = release_label(query.model, kept.coefficients, contract.score_decimals)
        self.budgets.spend_release(self.config.bank, query.alignment, label, contract.score_releases)
        scores = scores_of(values, kept.coefficients, order, contract.score_decimals)
        return glm.TermScores(decimals=contract.score_decimals, scores=scores)


def _write_json(path: Path, value: object) -> None:
    write_whole(path, json.dumps(value).encode())


def _cutting(facts: dict[str, str]) -> Cutting:
    """How the columns of a layout are binned, from its file."""
    if "cutting" not in facts:  # written by version 0.1.0
        return Cutting(int(facts["max_bin"]))
    return msgspec.json.decode(facts["cutting"], type=Cutting)

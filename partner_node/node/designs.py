"""Designs: columns of a layout as whole numbers, for linear models; each with its hint, and the role that answers."""

from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from partner_node.algorithms.boosting import BoostingAnswerer
from partner_node.algorithms.glm import GlmAnswerer, Planned, require_columns, terms_of, values_of
from partner_node.algorithms.information import readable_of
from partner_node.algorithms.masks import Masks
from partner_node.node.agreement import Agreement
from partner_node.node.alignments import Alignments
from partner_node.node.exact import require_exact
from partner_node.node.holdings import Holdings
from partner_node.node.layouts import Layouts
from partner_node.policy.budgets import Run
from partner_node.policy.readable import Bits, release_bits, require_readable
from partner_node.store.pools import SCHEMA, Pool
from partner_node.store.terms import KeptTerms
from protocol.algorithms import glm
from protocol.algorithms.preparing import Encoding
from protocol.errors import IntegrityError
from protocol.files import file_named, write_whole
from protocol.he.blind.public import public_seed
from protocol.he.engines import integer_evaluator
from protocol.he.parameters import INTEGERS
from protocol.he.streams import fresh_key


class KeptDesign(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Columns laid out for linear models. layout: of whose bins. nonces: in hex; the bank's comes with the hint."""

    layout: str
    terms: tuple[Encoding, ...]
    nonce: str
    bank_nonce: str = ""


class Designs:
    """What is known of a design is on disk, by its name; the role that answers is built from that."""

    def __init__(
        self, own: Holdings, agreement: Agreement, alignments: Alignments, layouts: Layouts, masks: Masks
    ) -> None:
        self._own, self._agreement, self._alignments, self._layouts = own, agreement, alignments, layouts
        self._masks = masks
        self._answerers: dict[str, GlmAnswerer] = {}

    def lay_out(self, message: glm.Design) -> glm.Designed:
        """Lay columns out as whole numbers, and give the result a name. Raises: RefusedError, IntegrityError."""
        own, plan = self._own, self._agreement.approved_by_file(self._agreement.job).workload
        require_columns(own.config.party, self._agreement.contract, message.columns)
        if message.model >= len(plan.models) or len(message.columns) > plan.models[message.model].columns:
            raise self._agreement.not_as_approved(f"plans no linear model of {len(message.columns)} columns")
        layout = self._layouts.in_job(message.layout)
        require_exact(own)
        self._fix_encodings(message, layout.run)
        terms = terms_of(own.config.bank, own.config.party, layout.table, own.table.columns, message.columns)
        text = msgspec.json.encode(terms)
        name = own.name_of("design", message.layout.encode(), layout.table.digest, text)
        if not self._file(name).exists():
            self._write(name, KeptDesign(message.layout, tuple(terms), fresh_key().hex()))
        return glm.Designed(design=name, rows=layout.matrix.n, nonce=bytes.fromhex(self._kept(name).nonce))

    def _fix_encodings(self, message: glm.Design, run: Run) -> None:
        """What stands for a column's bins is what the run's first design of this model said. Raises: IntegrityError."""
        own, config = self._own, self._own.config
        if (message.job, message.run) != (run.job, run.number):
            raise IntegrityError(config.bank, "lays columns out for a run it has not opened", "open the run first")
        for k, one in enumerate(message.columns):
            if one.values:
                earlier = sum(other.column == one.column for other in message.columns[:k])
                place = f"{run.job}/{run.number}/{message.model}/{message.layout}/{one.column}/{earlier}"
                values = msgspec.json.encode(one.values)
                own.budgets.admit_encoding(config.bank, config.policy.account, place, values)

    def hint(self, query: glm.DesignHintQuery) -> glm.DesignHint:
        """Fix the public seed by the bank's nonce, and compute the hint."""
        self._own.require_engine(query.engine, query.keys)
        kept = msgspec.structs.replace(self._kept(query.design), bank_nonce=query.nonce.hex())
        if query.keys:
            write_whole(self._keys_file(query.design), query.keys)
        self._write(query.design, kept)
        self._answerers.pop(query.design, None)
        return glm.DesignHint(hint=self.answerer(query.design).evaluator.hint())

    def answerer(self, name: str) -> GlmAnswerer:
        """The role that answers for a design; built anew from disk after a restart.

        Raises: IntegrityError: the bank names none of ours, or asks before it has a hint.
        """
        if name not in self._answerers:
            kept = self._kept(name)
            if not kept.bank_nonce:
                raise IntegrityError(self._own.config.bank, "asks before it has a hint", "run the job again")
            self._answerers[name] = self._build(name, kept)
        answerer = self._answerers[name]
        answerer.layout = self._layouts.in_job(answerer.layout_name)
        answerer.singly = self._tells_singly()
        answerer.planned = self._planned()
        plan = self._agreement.plan
        answerer.fits = sum(model.fits for model in plan.models if model.columns) if plan else None
        return answerer

    def _planned(self) -> Planned | None:
        """Releases of a run as the approved file plans them: those that other partners' scores hide, and the others."""
        plan = self._agreement.plan
        if plan is None:
            return None
        hidden = self._agreement.contract.masked_scores and self._own.config.alignment == "shared"
        alone = sum(model.alone for model in plan.models)
        return Planned(alone, plan.releases - alone) if hidden else Planned(plan.releases, 0)

    def _tells_singly(self) -> bool:
        """Whether scores may leave without masks: where the contract asks for none, where partners share no order of
        rows, and in rungs that have no other partner, which an approved file tells of."""
        plan = self._agreement.approved_by_file(self._agreement.job).workload
        alone = any(model.alone for model in plan.models)
        return alone or not self._agreement.contract.masked_scores or self._own.config.alignment != "shared"

    def _build(self, name: str, kept: KeptDesign) -> GlmAnswerer:
        own, config, layout = self._own, self._own.config, self._layouts.answerer(kept.layout)
        keys = self._keys_file(name)
        public = keys.read_bytes() if keys.exists() else b""
        nonces = [bytes.fromhex(kept.bank_nonce), bytes.fromhex(kept.nonce)]
        aligned = self._alignments.find(layout.state.alignment)
        seed = public_seed(name, [config.bank, config.party], nonces, INTEGERS)
        return GlmAnswerer(
            design=name,
            layout_name=kept.layout,
            layout=layout,
            terms=kept.terms,
            values=values_of(kept.terms, own.table.columns, config.party),
            order=np.asarray(aligned.order),
            build=lambda matrix: integer_evaluator(
                config.engine, config.bank, own.key, matrix, seed, own.budgets, public
            ),
            keep=partial(self._keep, layout),
            masks=self._masks,
            keys=aligned.row_keys,
        )

    def _keep(self, layout: BoostingAnswerer, terms: KeptTerms) -> str:
        own, run = self._own, layout.run
        contract = self._agreement.contract.digest
        self._require_scorable(layout, terms)
        return own.pools.keep(Pool(SCHEMA, own.table.sha256, run.job, run.number, contract, (), terms))

    def _require_scorable(self, layout: BoostingAnswerer, terms: KeptTerms) -> None:
        """Raises: RefusedError: the first scoring by a model would be refused, since too much could then be read."""
        own, contract, state = self._own, self._agreement.contract, layout.state
        if contract.max_readable_share == 1:
            return
        rows = min(state.matches, own.table.rows)
        pool = frozenset(term.column for term in terms.terms)
        bits = Bits(pools={pool: rows * release_bits(contract.score_decimals)})
        after = readable_of(
            layout.table, own.budgets, own.config.bank, own.config.policy.account, rows, bits
        )  # fmt: skip
        require_readable(own.config.party, after, contract.max_readable_share)

    def _file(self, name: str) -> Path:
        config = self._own.config
        return file_named(config.state / "designs", name, ".json", config.bank)

    def _keys_file(self, name: str) -> Path:
        """The bank's public keys, on engines that have some."""
        return self._file(name).with_suffix(".keys")

    def _kept(self, name: str) -> KeptDesign:
        return msgspec.json.decode(self._own.known_file(name, self._file).read_bytes(), type=KeptDesign)

    def _write(self, name: str, kept: KeptDesign) -> None:
        write_whole(self._file(name), msgspec.json.encode(kept))

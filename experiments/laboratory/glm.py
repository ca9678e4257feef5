"""Generalised linear models of a bank and its partners in one process, from arrays: for tests and benchmarks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from bank_node.linear.columns import Picking, design_of, encode_bank
from bank_node.linear.fit import fit_glm
from bank_node.linear.preparing import Preparing
from bank_node.linear.task import FittedGlm, GlmTask
from bank_node.linear.view import DesignView, OwnDesign
from bank_node.linear.woe import count_partners
from bank_node.models.offset import Offset
from bank_node.partners.masks import agree_on_masks
from bank_node.partners.partner_view import PartnerView
from experiments.laboratory import JOB, Laboratory, layout_of, over_the_wire
from partner_node.algorithms.glm import GlmAnswerer, require_columns, terms_of, values_of
from partner_node.algorithms.masks import Masks
from partner_node.algorithms.woe import count_bins
from protocol.algorithms.alignment import NO_ROW_KEYS, PartnerAlignment
from protocol.algorithms.binning import Cutting
from protocol.algorithms.glm import VALUE, DesignColumn
from protocol.algorithms.glm_parameters import GlmParams
from protocol.algorithms.masks import MaskKeyQuery, PeerKeys
from protocol.algorithms.runs import Label, subject_of
from protocol.algorithms.woe import BinCountsQuery
from protocol.he.base import Integers
from protocol.he.engines import integer_evaluator, integer_kit, new_keys
from protocol.he.integers import IntegerEvaluator
from protocol.he.streams import fresh_key
from protocol.identity import create_demo_identities, load_identity
from protocol.messages import F64, I64, Message
from protocol.role import Replies, Requests, drive
from protocol.settings.preparation import USUAL, Preparation
from protocol.table import Table

Flags = npt.NDArray[np.bool_]
AS_IT_IS: Final = Preparation()


@dataclass
class GlmLaboratory(Laboratory):
    """One fit at a time. fits: the partners' halves. encoded, designs: columns of the last fit.

    preparation: of the job, for columns that are taken as numbers. offset: of the model, with its numbers. shared:
    whether partners have one order of rows; masked: whether they hide their scores in the sum.
    """

    preparation: Preparation = AS_IT_IS
    offset: tuple[Offset, F64] | None = None
    shared: bool = False
    masked: bool = False
    fits: dict[str, GlmAnswerer] = field(default_factory=dict)
    encoded: OwnDesign | None = None
    designs: dict[str, DesignView] = field(default_factory=dict)

    def fit(self, params: GlmParams, train: Flags | None = None, party_set: int = 0) -> FittedGlm:
        """Bin, encode, compute hints, and fit. train: the rows fitted on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        fitted = np.ones(len(self.y), dtype=bool) if train is None else train
        treatment = self.preparation.treatment()
        cutting = Cutting(params.max_bin, preparation=None if treatment == USUAL else treatment)
        picking = Picking(preparing=Preparing(treatment, self.prepare.get("bank", {})))
        self.nonce = fresh_key()
        views = [self.view(name, cutting) for name in self.partners]
        counts: Mapping[str, I64] = {}
        if params.task == "binary":
            counts = drive(count_partners(Label("counts", JOB), views, fitted, self.y > 0), self.exchange)
        table = Table("bank", [], tuple(self.bank), label=self.y)
        self.encoded = encode_bank(table, self.own(cutting), params, fitted, picking)
        for view in views:
            least = self.contract.min_glm_columns
            columns, absent = design_of(view, table, params, fitted, counts.get(view.name), least)
            self.designs[view.name] = self._design(view, columns, absent)
        task = GlmTask(
            label=Label("cross", JOB, party_set=party_set),
            bank="bank",
            params=params,
            labels=self.y,
            weights=np.ones(len(self.y)) if self.weights is None else self.weights,
            train=fitted,
            own=self.encoded,
            offset=self.offset,
            partners=tuple(self.designs.values()),
            shared=self.shared,
            masks=self._agree_on_masks() if self.masked else "",
            subject=self._subject,
        )
        return drive(fit_glm(task), self.exchange)

    def joined(self) -> F64:
        """The columns of the last fit as if all were in one table, a one first: shape (n, p)."""
        assert self.encoded is not None
        parts = [np.ones((len(self.y), 1)), self.encoded.values / VALUE]
        for name, design in self.designs.items():
            at = self.positions[name]
            parts.append(np.where((at >= 0)[:, None], self.fits[name].values[at], design.not_held) / VALUE)
        return np.concatenate(parts, axis=1)

    def exchange(self, requests: Requests) -> Replies:
        """What carries messages to the partners, as bytes."""
        return {party: over_the_wire(self._answer(party, over_the_wire(m))) for party, m in requests.items()}

    def _order(self, name: str, rows: int) -> I64:
        """One order of rows for all partners has places that a partner does not hold; its own has none."""
        places = np.arange(rows)
        return np.where(np.isin(places, self.positions[name]), places, -1) if self.shared else places

    def _agree_on_masks(self) -> str:
        if not (self.folder / "ca").exists():
            folders = {name: self.folder / name / "identity" for name in self.partners}
            create_demo_identities(self.folder / "ca", folders)
        return drive(agree_on_masks("bank", self._subject, dict.fromkeys(self.partners, JOB)), self.exchange)

    def _answer(self, party: str, message: Message) -> Message:
        masks = self.fits[party].masks if party in self.fits else None
        if isinstance(message, MaskKeyQuery) and masks:
            return masks.key(message)
        if isinstance(message, PeerKeys) and masks:
            return masks.agree(message)
        if isinstance(message, BinCountsQuery):
            return count_bins(self.answerers[party], message)
        return self.fits[party].handle(message)

    @property
    def _subject(self) -> str:
        """Of the run that all partners opened by one nonce."""
        return subject_of(JOB, self.nonce)

    def _design(self, view: PartnerView, columns: tuple[DesignColumn, ...], absent: I64) -> DesignView:
        """Both ends of one partner's design."""
        name = view.name
        layout, seed, key = self.answerers[name], fresh_key(), fresh_key()
        keys_of_all, keys_of_bank = (None, None) if self.shared else self.row_keys[name]
        keys = self.keys if self.keys.public else new_keys(self.engine, "bank")
        require_columns(name, self.contract, columns)
        terms = terms_of("bank", name, layout.table, self.partners[name], columns)

        def build(matrix: Integers) -> IntegerEvaluator:
            return integer_evaluator(self.engine, "bank", key, matrix, seed, layout.budgets, keys.public)

        self.fits[name] = GlmAnswerer(
            design=layout_of(name),
            layout_name=layout_of(name),
            layout=layout,
            terms=terms,
            values=values_of(terms, self.partners[name], name),
            order=self._order(name, layout.matrix.n),
            build=build,
            keep=lambda terms: JOB,
            masks=Masks(
                name,
                "bank",
                self.folder / name / "masks",
                layout.budgets,
                lambda: load_identity(self.folder / name / "identity", name, demo=True),
                {},
                lambda aligned: PartnerAlignment(
                    aligned, "bank", "shared", len(self.y), 0, np.arange(layout.matrix.n), NO_ROW_KEYS
                ),
            ),
            keys=keys_of_all,
        )
        hint = self.fits[name].evaluator.hint()
        return DesignView(
            name=name,
            design=layout_of(name),
            columns=columns,
            numbers=tuple(layout.table.shapes[one.column].number for one in columns),
            not_held=absent,
            positions=self.positions[name].astype(np.int64),
            rows=layout.matrix.n,
            decimals=self.contract.score_decimals,
            kit=integer_kit(self.engine, name, fresh_key(), seed, hint, layout.matrix.n, keys),
            least=self.contract.min_glm_columns,
            run=view.run,
            keys=keys_of_bank,
        )

"""The partner's half of generalised linear models: exact sums over sealed vectors, and rounded partial scores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from partner_node.algorithms.binning import BinnedTable
from partner_node.algorithms.boosting import BoostingAnswerer, BoostingState
from partner_node.algorithms.masks import Masks
from partner_node.columns_shown import require_shown
from partner_node.kept.models import changed_table
from partner_node.kept.terms import KeptTerms
from protocol.algorithms.binning import NumberRule
from protocol.algorithms.boosting import Kept
from protocol.algorithms.glm import (
    LARGEST_COEFFICIENT,
    Coefficients,
    CrossQuery,
    CrossSums,
    DesignColumn,
    KeepTerms,
    MaskedCoefficients,
    MaskedScores,
    PartialScores,
    admits,
    in_units,
    mean_and_deviation,
    product_rows,
    rounded,
)
from protocol.algorithms.preparing import Encoding, fit_prepared
from protocol.algorithms.sealing import RowKeys, seal_scores
from protocol.contract import Contract, refuse
from protocol.errors import IntegrityError, PeerError
from protocol.he.base import I32, Cleartext, Integers
from protocol.he.integers import IntegerEvaluator
from protocol.he.streams import digest
from protocol.messages import I64, Message
from protocol.settings.preparation import USUAL
from protocol.table import Column


def terms_of(
    bank: str, party: str, table: BinnedTable, columns: Sequence[Column], wanted: Sequence[DesignColumn]
) -> list[Encoding]:
    """The columns of a design. columns: of the table.

    Raises: IntegrityError: columns or values that cannot be. DataError: a column that cannot be prepared as declared;
    the bank is not told which.
    """
    named = {column.name: column for column in columns}
    if len(set(wanted)) < len(wanted) or not all(
        0 <= w.column < len(table.shapes) and admits(w, table.shapes[w.column]) for w in wanted
    ):
        raise IntegrityError(bank, "laid out columns that cannot be", "run the same version on both sides")
    return [_term_of(party, table, named[table.names[one.column]], one) for one in wanted]


def _term_of(party: str, table: BinnedTable, column: Column, wanted: DesignColumn) -> Encoding:
    rule, treatment = table.rules[wanted.column], table.treatment(wanted.column)
    if not wanted.values and treatment != USUAL:
        prepared = fit_prepared(column.numbers, treatment, party, "a column of the model")
        return Encoding(column.name, rule, (), 0.0, 1.0, prepared)
    there = column.numbers[~np.isnan(column.numbers)] if not wanted.values else np.zeros(1)
    mean, deviation = mean_and_deviation(there)
    return Encoding(column.name, rule, wanted.values, mean, deviation or 1.0)


def require_columns(party: str, contract: Contract, wanted: Sequence[DesignColumn]) -> None:
    """Raises: RefusedError: the contract admits no model of so few, or of so many columns."""
    apart, many = len({one.column for one in wanted}), len(wanted)
    if apart < contract.min_glm_columns:
        raise refuse(
            party, "min_glm_columns",
            f"a glm of {apart} of its columns would show single ones, and {contract.min_glm_columns} are the least",
            "use more of its columns, or agree on a lower clause",
        )  # fmt: skip
    if many > contract.max_glm_columns:
        raise refuse(
            party, "max_glm_columns", f"a glm of {many} of its columns passes {contract.max_glm_columns}",
            "use fewer of its columns, or agree on a higher clause",
        )  # fmt: skip


def values_of(terms: Sequence[Encoding], columns: Sequence[Column], party: str) -> I32:
    """Whole numbers of the terms over a table, shape (rows, d). Raises: DataError: a column is gone, or another."""
    named = {column.name: column for column in columns}
    out = []
    for term in terms:
        column = named.get(term.column)
        if column is None:
            raise changed_table(party, "is gone")
        if (column.kind == "number") != isinstance(term.rule, NumberRule):
            raise changed_table(party, "is of another kind")
        out.append(term.encode(column))
    return np.stack(out, axis=1)


def scores_of(values: I32, coefficients: Sequence[int], order: I64, decimals: int) -> I64:
    """The rounded score of every row of a row space. order: the table's row at each position, -1 where not held."""
    score = rounded(values.astype(np.int64) @ np.array(coefficients, dtype=np.int64), decimals)
    return np.asarray(np.where(order >= 0, score[order], 0), dtype=np.int64)


def release_label(design: str, coefficients: Sequence[int], decimals: int) -> str:
    """Names a vector of partial scores to the budgets: the same one again is free."""
    return digest(design.encode(), np.array(coefficients, dtype="<i8").tobytes(), bytes([decimals])).hex()


@dataclass
class GlmAnswerer:
    """Answers a bank's fits on one design.

    layout: of whose bins, layout_name, the design is, with its budgets. values: over the whole table, shape (rows, d).
    order: the table's row at each position. build: makes the evaluator of a matrix. keep: stores a model's terms.
    masks: with other partners. singly: whether scores may leave without. keys: of the rows, where the alignment has
    row keys.
    """

    design: str
    layout_name: str
    layout: BoostingAnswerer
    terms: Sequence[Encoding]
    values: I32 = field(repr=False)
    order: I64 = field(repr=False)
    build: Callable[[Integers], IntegerEvaluator] = field(repr=False)
    keep: Callable[[str, KeptTerms], None] = field(repr=False)
    masks: Masks
    singly: bool = True
    keys: RowKeys | None = field(default=None, repr=False)

    @cached_property
    def evaluator(self) -> IntegerEvaluator:
        """The engine's half, over the columns and their products at the held positions."""
        positions = np.flatnonzero(self.order >= 0).astype(np.int64)
        rows = product_rows(len(self.terms))
        return self.build(Integers(self.values[self.order[positions]], rows, len(self.order), positions))

    @property
    def state(self) -> BoostingState:
        """That of the layout, in which the job and its budgets are."""
        return self.layout.state

    def handle(self, message: Message) -> Message:
        """The reply to one message of a fit."""
        match message:
            case CrossQuery():
                return self._sum(message)
            case Coefficients():
                return self._tell(message)
            case MaskedCoefficients():
                return self._hide(message)
            case KeepTerms():
                return self._keep(message)
        raise PeerError(self._bank, f"sent {message.KIND} in a fit", "run the same version on both sides")

    @property
    def _bank(self) -> str:
        return self.state.bank

    def _sum(self, query: CrossQuery) -> CrossSums:
        """Exact sums; the equation budget is spent before they are computed."""
        labels = [*query.labels, *([query.weight_label] if query.weight is not None else [])]
        job = self.layout.state.job
        if not job or not all(label.startswith(f"{job}/") for label in labels):
            raise IntegrityError(self._bank, "asked under the label of a job it has not opened", "open the job first")
        self.layout.spend(labels, 1)
        count = len(self.terms)
        columns = self.evaluator.answer(query.body, query.labels, np.arange(count))
        weight = columns[:0]
        if query.weight is not None:
            every = np.arange(len(product_rows(count)))
            weight = self.evaluator.answer(query.weight, [query.weight_label], every)
        return CrossSums(plaintext=isinstance(query.body, Cleartext), columns=columns, weight=weight)

    def _tell(self, message: Coefficients) -> PartialScores:
        """Partial scores; each vector of them is one of the alignment's `score_releases`."""
        if not self.singly:
            raise refuse(
                self.layout.party, "masked_scores",
                "its scores would be told singly, and the job's approved file has no rung of it alone",
                "ask for masked scores, with the other partners of the rung",
            )  # fmt: skip
        scores = self._scores(message.values, message.decimals)
        self._spend(release_label(self.design, message.values, message.decimals))
        if self.keys is None:
            return PartialScores(decimals=message.decimals, scores=scores)
        sealed, nonce = seal_scores(self.keys, PartialScores.KIND, self.design, scores)
        return PartialScores(decimals=message.decimals, scores=sealed, nonce=nonce)

    def _hide(self, message: MaskedCoefficients) -> MaskedScores:
        """The same under masks; each label is one of the `score_releases`."""
        if self.masks.kept(message.group).subject != self.state.job:
            raise IntegrityError(self._bank, "asked under the masks of another job", "run the job again")
        scores = in_units(self._scores(message.values, message.decimals, hiding=True), message.decimals)
        self._spend(digest(message.group.encode(), message.label.encode()).hex())
        return MaskedScores(scores=self.masks.hide(message.group, message.label, scores))

    def _scores(self, coefficients: Sequence[int], decimals: int, hiding: bool = False) -> I64:
        """Of every row of the row space, in 10^-decimals. Raises: RefusedError, IntegrityError."""
        self._require_coefficients(coefficients)
        contract = self.layout.contract
        if not 0 <= decimals <= contract.score_decimals:
            raise refuse(
                self._bank, "score_decimals", f"asked for scores of {decimals} decimals",
                f"ask for {contract.score_decimals} at most",
            )  # fmt: skip
        self._require_shown(coefficients, hiding)
        return scores_of(self.values, coefficients, self.order, decimals)

    def _spend(self, label: str) -> None:
        contract, state = self.layout.contract, self.layout.state
        self.layout.budgets.spend_release(state.bank, state.alignment, label, contract.score_releases)

    def _keep(self, message: KeepTerms) -> Kept:
        self._require_coefficients(message.values)
        if any(message.values):  # a model that makes nothing of this partner asks nothing of it either
            self._require_shown(message.values)
        among = self.masks.kept(message.group).names if message.group else ()
        self.keep(message.model, KeptTerms(tuple(self.terms), message.values, among))
        return self.layout.kept()

    def _require_coefficients(self, values: Sequence[int]) -> None:
        if len(values) != len(self.terms) or any(abs(v) > LARGEST_COEFFICIENT for v in values):
            raise IntegrityError(self._bank, "sent coefficients that cannot be", "run the same version on both sides")

    def _require_shown(self, coefficients: Sequence[int], hiding: bool = False) -> None:
        names = [term.column for term in self.terms]
        require_shown(self.layout.party, self.layout.contract, names, self.values, coefficients, hiding)

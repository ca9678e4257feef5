"""The partner's half of generalised linear models: exact sums over sealed vectors, and rounded partial scores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import msgspec
import numpy as np

from partner_node.algorithms.binning import BinnedTable
from partner_node.algorithms.boosting import BoostingAnswerer, BoostingState
from partner_node.algorithms.masks import Masks
from partner_node.columns_shown import require_shown
from partner_node.policy.budgets import Asked, Run
from partner_node.policy.readable import Bits, release_bits
from partner_node.store.pools import changed_table
from partner_node.store.terms import KeptTerms
from protocol.algorithms.binning import NumberRule
from protocol.algorithms.boosting import Kept
from protocol.algorithms.glm import (
    LARGEST_COEFFICIENT,
    VALUE,
    Coefficients,
    CrossQuery,
    CrossSums,
    DesignColumn,
    KeepTerms,
    MaskedCoefficients,
    MaskedScores,
    PartialScores,
    admits,
    bits_of_sums,
    in_units,
    mean_and_deviation,
    most_sum_log2,
    product_rows,
    released,
)
from protocol.algorithms.preparing import Encoding, fit_prepared
from protocol.algorithms.runs import Label
from protocol.algorithms.sealing import RowKeys, seal_scores
from protocol.contract import Contract, refuse
from protocol.errors import IntegrityError, PeerError
from protocol.he.base import I32, CheckedQuery, Cleartext, Integers
from protocol.he.integers import INTEGER_BITS, IntegerBody, IntegerEvaluator
from protocol.he.noise import high_bits
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
    _require_one_meaning(bank, wanted)
    return [_term_of(party, table, named[table.names[one.column]], one) for one in wanted]


def _require_one_meaning(bank: str, wanted: Sequence[DesignColumn]) -> None:
    """Hold a design to one way of writing each column: its numbers, or values of its bins, or flags of some bins each.

    Several sets of values for one column are digits that a sum or a score spells out, where flags of bins, of which
    each bin has one at most, say no more than any category does. Raises: IntegrityError.
    """
    for number in {one.column for one in wanted}:
        listed = [one.values for one in wanted if one.column == number and one.values]
        flags = all(set(values) <= {0, VALUE} for values in listed)
        apart = flags and all(sum(map(bool, of_bin)) <= 1 for of_bin in zip(*listed, strict=True))
        if not apart and sum(one.column == number for one in wanted) > 1:
            raise IntegrityError(
                bank, "laid out one column several times with different values",
                "list a column once, or its bins by flags",
            )  # fmt: skip


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
    """The rounded score of every row of a row space, cut at `LARGEST_SCORE`.

    order: the table's row at each position, -1 where not held.
    """
    score = released(values.astype(np.int64) @ np.array(coefficients, dtype=np.int64), decimals)
    return np.asarray(np.where(order >= 0, score[order], 0), dtype=np.int64)


@dataclass(frozen=True)
class _Vectors:
    """Sealed vectors, and the rows of M that they are summed over. sum_log2: as their query declares it."""

    body: IntegerBody
    labels: tuple[str, ...]
    rows: I64
    sum_log2: int


@dataclass(frozen=True)
class Planned:
    """Releases of a run that its approved file plans: told singly, and hidden in the sum of several partners'."""

    singly: int
    hidden: int


@dataclass
class GlmAnswerer:
    """Answers a bank's fits on one design.

    layout: of whose bins, layout_name, the design is, with its budgets. values: over the whole table, shape (rows, d).
    order: the table's row at each position. build: makes the evaluator of a matrix. keep: stores a model's terms.
    masks: with other partners. singly: whether scores may leave without. planned: releases of a run, if approved. keys:
    of the rows, where the alignment has row keys.
    """

    design: str
    layout_name: str
    layout: BoostingAnswerer
    terms: Sequence[Encoding]
    values: I32 = field(repr=False)
    order: I64 = field(repr=False)
    build: Callable[[Integers], IntegerEvaluator] = field(repr=False)
    keep: Callable[[KeptTerms], str] = field(repr=False)
    masks: Masks
    singly: bool = True
    planned: Planned | None = None
    fits: int | None = None
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
        run, count = self.layout.run_of("cross", [query.label]), len(self.terms)
        asked = [_Vectors(query.body, query.vector_labels, np.arange(count), query.sum_log2)]
        if query.weight is not None:
            every = np.arange(len(product_rows(count)))
            asked.append(_Vectors(query.weight, (query.weight_label,), every, query.weight_sum_log2))
        self._require_tight(asked)
        checked = [self.evaluator.check(one.body, one.labels, one.rows) for one in asked]
        names = [name for one in checked for name in one.names]
        request = digest(msgspec.json.encode((self.design, query.vectors, [one.sum_log2 for one in asked])), *names)
        self._spend_sums(run, query.label, request, asked, checked)
        answers = [
            self.evaluator.answer(query, self._high_bits(run.epoch, query, one.rows, one.sum_log2))
            for query, one in zip(checked, asked, strict=True)
        ]
        weight = answers[1] if len(answers) > 1 else answers[0][:0]
        return CrossSums(plaintext=isinstance(query.body, Cleartext), columns=answers[0], weight=weight)

    def _require_tight(self, asked: Sequence["_Vectors"]) -> None:
        """Raises: RefusedError: sums would have more bits than vectors over so many rows can need."""
        most, declared = most_sum_log2(self.state.matches), max(one.sum_log2 for one in asked)
        if declared > most:
            raise refuse(
                self.layout.party, "max_equations_share",
                f"a vector's total was declared below 2^{declared}, where {self.state.matches} rows need 2^{most}",
                "declare what the vectors need",
            )  # fmt: skip

    def _spend_sums(
        self, run: Run, label: Label, request: bytes, asked: Sequence["_Vectors"], checked: Sequence[CheckedQuery[Any]]
    ) -> None:
        """Enter a query of several vectors, and the flooding of the hint, before it is answered: all, or nothing."""
        budgets = self.layout.budgets
        vectors = sum(len(one.labels) for one in checked)
        with budgets.spending():
            if self.layout.enter(run, [Asked(label.kind, label.text, request, vectors)]):
                for one in checked:
                    budgets.spend_flood(one.hint, one.cost * len(one.labels))
                self.layout.tell(Bits(self._bits_of(asked)))

    def _bits_of(self, asked: Sequence["_Vectors"]) -> dict[str, float]:
        """What sums tell at worst of each column, by its name; a product of two columns tells of both."""
        told: dict[str, float] = {}
        factors = product_rows(len(self.terms))
        for one in asked:
            bits = bits_of_sums(one.rows, len(self.terms), one.sum_log2) * len(one.labels)
            for pair, amount in zip(factors[one.rows].tolist(), bits.tolist(), strict=True):
                for column in {self.terms[term].column for term in pair if term >= 0}:
                    told[column] = told.get(column, 0.0) + amount
        return told

    def _high_bits(self, epoch: bytes, checked: CheckedQuery[Any], rows: I64, sum_log2: int) -> I64:
        """Random bits above those that the sums need, shape (B, len(rows)); none on engines that are not modular."""
        out = np.zeros((len(checked.labels), len(rows)), dtype=np.int64)
        if not self.evaluator.modular:
            return out
        bits = bits_of_sums(rows, len(self.terms), sum_log2)
        for k, (label, name) in enumerate(zip(checked.labels, checked.names, strict=True)):
            context = digest(checked.hint, label.encode(), name)
            for width in np.unique(bits):
                some = bits == width
                out[k, some] = high_bits(epoch, context, int(width), len(rows), INTEGER_BITS)[some]
        return out

    def _tell(self, message: Coefficients) -> PartialScores:
        """Partial scores; each vector of them is one of the alignment's `score_releases`."""
        if not self.singly:
            raise refuse(
                self.layout.party, "masked_scores",
                "its scores would be told singly, and the job's approved file has no rung of it alone",
                "ask for masked scores, with the other partners of the rung",
            )  # fmt: skip
        scores = self._scores(message.values, message.decimals)
        released = self._place_of(message.values, message.decimals, "")
        self._release("release", message.label, (message.values, message.decimals), released)
        if self.keys is None:
            return PartialScores(decimals=message.decimals, scores=scores)
        sealed, nonce = seal_scores(self.keys, PartialScores.KIND, self.design, scores)
        return PartialScores(decimals=message.decimals, scores=sealed, nonce=nonce)

    def _hide(self, message: MaskedCoefficients) -> MaskedScores:
        """The same under masks; each label is one of the `score_releases`."""
        if self.masks.kept(message.group).subject != self.layout.run_of("masked", [message.label]).subject:
            raise IntegrityError(self._bank, "asked under the masks of another run", "run the job again")
        scores = in_units(self._scores(message.values, message.decimals, hiding=True), message.decimals)
        asked = message.values, message.decimals, message.group, message.mask
        released = self._place_of(message.values, message.decimals, message.group)
        self._release("masked", message.label, asked, released)
        return MaskedScores(scores=self.masks.hide(message.group, message.mask, scores))

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

    def _release(self, kind: Literal["release", "masked"], label: Label, asked: object, released: str) -> None:
        """Enter a vector of scores before it leaves: one a label, within the plan and the alignment's releases.

        released: under which it is remembered that the run's model may be kept with these coefficients.
        """
        run, layout = self.layout.run_of(kind, [label]), self.layout
        state, budgets = layout.state, layout.budgets
        request = digest(self.design.encode(), msgspec.json.encode(asked))
        with budgets.spending():
            if not layout.enter(run, [Asked(label.kind, label.text, request, 0)]):
                return
            budgets.spend_release(state.bank, state.alignment, label.text, layout.contract.score_releases)
            budgets.pinned(state.bank, state.data, released, b"")
            self._require_planned(kind, budgets.releases(state.bank, state.data, run, kind))
            pool = frozenset(term.column for term in self.terms)
            rows = min(state.matches, state.records)
            layout.tell(Bits(pools={pool: rows * release_bits(layout.contract.score_decimals)}))

    def _require_planned(self, kind: Literal["release", "masked"], count: int) -> None:
        """Raises: RefusedError: the run has more releases of a kind than its approved file plans."""
        if self.planned is None:
            return
        most, how = (self.planned.singly, "") if kind == "release" else (self.planned.hidden, "masked ")
        if count > most:
            raise refuse(
                self.layout.party, "approve",
                f"the job's approved file plans {most} {how}releases of partial scores, and {count} are asked",
                "run the job as it was approved",
            )  # fmt: skip

    def _keep(self, message: KeepTerms) -> Kept:
        self._require_coefficients(message.values)
        if any(message.values):  # a model that makes nothing of this partner asks nothing of it either
            self._require_shown(message.values)
        if not message.group and not self.singly:
            raise refuse(
                self.layout.party, "masked_scores", "a model kept without masks would be scored by singly",
                "name the masks of the other partners",
            )  # fmt: skip
        among = self.masks.kept(message.group).names if message.group else ()
        if any(message.values):
            self._require_released(message)
            self._require_few_models(message)
        return self.layout.kept(self.keep(KeptTerms(tuple(self.terms), message.values, among)))

    def _place_of(self, values: Sequence[int], decimals: int, group: str) -> str:
        """Under which a release of the run is remembered. group: of the masks that it left under."""
        run = self.layout.run
        text = digest(self.design.encode(), msgspec.json.encode((values, decimals, group))).hex()
        return f"released/{run.job}/{run.number}/{text}"

    def _require_released(self, message: KeepTerms) -> None:
        """A model's scores of other rows may tell what no release of its fit told. Raises: RefusedError."""
        place = self._place_of(message.values, self.layout.contract.score_decimals, message.group)
        if not self.layout.budgets.is_pinned(self.state.bank, self.state.data, place):
            raise refuse(
                self.layout.party, "score_releases",
                "a model is to be kept whose coefficients are of no release of the run at its last decimals",
                "ask for the scores by these coefficients first, under the same masks",
            )  # fmt: skip

    def _require_few_models(self, message: KeepTerms) -> None:
        """A run keeps as many models of a partner's terms as its file plans fits. Raises: RefusedError."""
        if self.fits is None:
            return
        run, state = self.layout.run, self.state
        text = digest(self.design.encode(), msgspec.json.encode((message.values, message.group))).hex()
        places = [f"kept/{run.job}/{run.number}/{k}" for k in range(self.fits)]
        if not any(self.layout.budgets.pinned(state.bank, state.data, one, text.encode()) for one in places):
            raise refuse(
                self.layout.party, "approve", f"the job's approved file plans {self.fits} linear models of a run, and "
                "more are to be kept", "run the job as it was approved",
            )  # fmt: skip

    def _require_coefficients(self, values: Sequence[int]) -> None:
        if len(values) != len(self.terms) or any(abs(v) > LARGEST_COEFFICIENT for v in values):
            raise IntegrityError(self._bank, "sent coefficients that cannot be", "run the same version on both sides")

    def _require_shown(self, coefficients: Sequence[int], hiding: bool = False) -> None:
        names = [term.column for term in self.terms]
        require_shown(self.layout.party, self.layout.contract, names, self.values, coefficients, hiding)

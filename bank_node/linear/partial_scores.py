"""The scores of all rows on the way of a fit: each partner is sent its coefficients, adds up its part, rounds it.

Partners that have agreed on masks send their parts under these, and the bank reads the sum.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from msgspec.structs import replace

from bank_node.linear.task import At, GlmTask, Released
from bank_node.linear.view import DesignView
from bank_node.partners.masks import at_rows, largest_part, needing_all, summed
from protocol.algorithms.glm import (
    LARGEST_COEFFICIENT,
    MOST_DECIMALS,
    Coefficients,
    MaskedCoefficients,
    MaskedScores,
    PartialScores,
    in_units,
    release_binding,
)
from protocol.algorithms.sealing import open_scores
from protocol.contract import refuse
from protocol.errors import DataError, IntegrityError
from protocol.messages import I64
from protocol.role import Script, ask


@dataclass
class Scores:
    """What partners have released in a fit. released: in order."""

    task: GlmTask
    released: list[Released] = field(default_factory=list)

    def release(self, coefficients: I64, decimals: int) -> Script[At]:
        """The scores of all rows by these coefficients: each partner adds up its part, and rounds it. One whose
        coefficients are all 0 is not asked.

        decimals: at most; fewer than a partner's contract admits make no score that a model could end with.
        """
        task = self.task
        if int(np.abs(coefficients).max()) > LARGEST_COEFFICIENT:
            raise DataError(
                task.bank, "a coefficient of a glm grows without bound: its column tells some labels without error",
                "leave out that column, or set reg_lambda or reg_alpha",
            )  # fmt: skip
        kind: Literal["release", "masked"] = "masked" if task.masks else "release"
        sent = {
            view.name: Coefficients(
                design=view.design,
                label=replace(task.label, kind=kind, run=view.run, tree=len(self.released)),
                values=tuple(coefficients[task.block(k)].tolist()),
                decimals=min(decimals, view.decimals),
            )
            for k, view in enumerate(task.partners)
        }
        final = all(view.decimals <= decimals for view in task.partners)
        if task.masks:
            with task.clock("network"):
                total = yield from self._sum(coefficients, sent)
            return At(coefficients, np.stack((task.own_part(coefficients), total)), released=final)
        with task.clock("network"):
            each = yield from self._each(sent)
        return task.at(coefficients, each, final)

    def _each(self, sent: dict[str, Coefficients]) -> Script[I64]:
        """Every partner's part of every row's score, in 1 / UNIT, shape (partners, n)."""
        asked = {name: one for name, one in sent.items() if any(one.values)}
        replies = yield from ask(asked, PartialScores)
        parts = np.zeros((len(sent), len(self.task.labels)), dtype=np.int64)
        for k, view in enumerate(self.task.partners):
            if view.name in asked:  # of coefficients that are all 0 there is nothing to ask
                one, reply = sent[view.name], replies[view.name]
                scores = opened_scores(view, one, reply)
                parts[k] = partner_score(view, one, scores)
                self._enter({view.name: one}, in_units(scores, one.decimals))
        return parts

    def _sum(self, coefficients: I64, sent: dict[str, Coefficients]) -> Script[I64]:
        """The sum of the partners' parts of every row's score, in 1 / UNIT, shape (n,); no single part is read.

        Raises: RefusedError: all coefficients of a partner are 0, so that the sum would be another's scores alone.
            IntegrityError: masks that do not cancel. TransportError: a partner is gone.
        """
        task = self.task
        for name, one in sent.items():
            if not any(one.values):
                raise refuse(
                    name, "masked_scores", "none of its columns is left in the glm, and its masks would hide nothing",
                    "lower the penalty, leave it out of the rung, or agree that scores are not masked",
                )  # fmt: skip
        decimals = [one.decimals for one in sent.values()]
        place = f"{task.label.party_set}/{task.label.model}/{len(self.released)}"
        mask = f"{task.subject}/{place}/{release_binding(coefficients, decimals)}"
        asked = {
            name: MaskedCoefficients(
                design=one.design,
                label=one.label,
                values=one.values,
                decimals=one.decimals,
                group=task.masks,
                mask=mask,
            )
            for name, one in sent.items()
        }
        with needing_all():
            replies = yield from ask(asked, MaskedScores)
        largest = sum(largest_part(one.values, one.decimals) for one in sent.values())
        scores = summed({name: reply.scores for name, reply in replies.items()}, task.partners[0].rows, largest)
        self._enter(sent, scores)
        absent = {view.name: _absent(view, sent[view.name]) for view in task.partners}
        return at_rows(scores, {view.name: view.positions for view in task.partners}, absent)

    def _enter(self, sent: dict[str, Coefficients], scores: I64) -> None:
        values, decimals = ({p: one.values for p, one in sent.items()}, {p: one.decimals for p, one in sent.items()})
        self.released.append(Released(values, decimals, scores))


def opened_scores(view: DesignView, sent: Coefficients, reply: PartialScores) -> I64:
    """The partner's scores in 10^-decimals over its row space, shape (rows,), 0 where the bank has no row key.

    Raises: IntegrityError: other decimals or rows than agreed, or scores that the coefficients cannot give.
    """
    sealed = reply.scores, reply.nonce
    scores = open_scores(view.name, view.keys, reply.KIND, view.design, view.rows, *sealed)
    largest = largest_part(sent.values, sent.decimals) // 10 ** (MOST_DECIMALS - sent.decimals)
    plausible = -largest <= int(scores.min(initial=0)) <= int(scores.max(initial=0)) <= largest
    if reply.decimals != sent.decimals or not plausible:
        raise IntegrityError(view.name, "sent partial scores that cannot be", "do not use this partner's answers")
    return scores


def partner_score(view: DesignView, sent: Coefficients, scores: I64) -> I64:
    """The partner's part of every row's score, in 1 / UNIT, shape (n,); of a row not held what stands for it.

    scores: opened, over the partner's row space.
    """
    part = in_units(scores[view.positions], sent.decimals)
    return np.asarray(np.where(view.positions >= 0, part, _absent(view, sent)), dtype=np.int64)


def _absent(view: DesignView, sent: Coefficients) -> int:
    """The score of a row that the partner does not hold, in 1 / UNIT."""
    return sum(b * n for b, n in zip(sent.values, view.not_held.tolist(), strict=True))

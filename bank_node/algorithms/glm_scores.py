"""The scores of all rows on the way of a fit: each partner is sent its coefficients, adds up its part, rounds it."""

from dataclasses import dataclass, field

import numpy as np

from bank_node.algorithms.glm_task import At, GlmTask, Released
from bank_node.algorithms.glm_view import DesignView
from protocol.algorithms.glm import (
    LARGEST_COEFFICIENT,
    MOST_DECIMALS,
    VALUE,
    Coefficients,
    PartialScores,
)
from protocol.errors import DataError, IntegrityError
from protocol.he.base import MAX_VALUE
from protocol.messages import I64
from protocol.role import Script, ask


@dataclass
class Scores:
    """What partners have released in a fit. released: by partner, in order."""

    task: GlmTask
    released: dict[str, list[Released]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.released = {view.name: [] for view in self.task.partners}

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
        own = task.own.values.astype(np.int64) @ coefficients[1 : task.starts[0]]
        parts = [coefficients[0] * VALUE + task.offsets + own]
        sent = [self._sent(view, coefficients[task.block(k)], decimals) for k, view in enumerate(task.partners)]
        asked = {view.name: one for view, one in zip(task.partners, sent, strict=True) if any(one.values)}
        with task.clock("network"):
            replies = yield from ask(asked, PartialScores)
        for view, one in zip(task.partners, sent, strict=True):
            if view.name not in asked:  # of coefficients that are all 0 there is nothing to ask
                parts.append(np.zeros_like(parts[0]))
                continue
            reply = replies[view.name]
            parts.append(partner_score(view, one, reply))
            self.released[view.name].append(Released(one.values, one.decimals, reply.scores))
        final = all(view.decimals <= decimals for view in task.partners)
        return At(coefficients, np.stack(parts), released=final)

    @staticmethod
    def _sent(view: DesignView, coefficients: I64, decimals: int) -> Coefficients:
        return Coefficients(
            design=view.design, values=tuple(coefficients.tolist()), decimals=min(decimals, view.decimals)
        )


def partner_score(view: DesignView, sent: Coefficients, reply: PartialScores) -> I64:
    """The partner's part of every row's score, in 1 / UNIT, shape (n,); of a row not held what stands for it.

    Raises: IntegrityError: other decimals or rows than agreed, or scores that the coefficients cannot give.
    """
    step = 10 ** (MOST_DECIMALS - sent.decimals)
    largest = sum(abs(b) for b in sent.values) * MAX_VALUE // step + 1
    plausible = reply.scores.shape == (view.rows,) and int(np.abs(reply.scores).max(initial=0)) <= largest
    if reply.decimals != sent.decimals or not plausible:
        raise IntegrityError(view.name, "sent partial scores that cannot be", "do not use this partner's answers")
    absent = sum(b * n for b, n in zip(sent.values, view.not_held.tolist(), strict=True))
    return np.asarray(np.where(view.positions >= 0, reply.scores[view.positions] * step, absent), dtype=np.int64)

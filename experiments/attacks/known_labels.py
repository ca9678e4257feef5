"""A partner that knows some labels, and is told which rows come to a node: how well does it rank all others?

With `split_rows = "node"` each split query names the rows of its node: a group that the model treats alike. A partner
that knows how some customers turned out (its own defaulters, say) regresses their labels on the groups. What it finds
is held against the same regression on the bins of its own columns, which it could have had without the bank.
Known: the partner's bins, the groups, `KNOWN` labels. Found: AUC among the rows whose labels it does not know.
Source: the threat is that of ID2Graph, arXiv:2307.10318; the attack here is a plain ridge regression.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from bank_node.metrics.ranking import Ranking, evaluate
from experiments.laboratory import Laboratory
from protocol.algorithms.boosting import NodeSplitQuery
from protocol.draws import draw
from protocol.messages import F64, U8, Message

KNOWN: Final = 1000
"""Labels that the partner knows."""
_DRAWS: Final = 3
_PENALTY: Final = 1000.0


@dataclass(frozen=True)
class Ranked:
    """AUC of the partner's ranking, by its own columns alone, and with the groups that it was told."""

    own: float
    told: float


@dataclass
class Overheard(Laboratory):
    """A laboratory that keeps the rows which split queries name, by partner: flags, shape (rows of the space,)."""

    groups: dict[str, list[U8]] = field(default_factory=dict)

    def reply(self, party: str, message: Message) -> Message:
        if isinstance(message, NodeSplitQuery):
            n = self.answerers[party].matrix.n
            self.groups.setdefault(party, []).extend(np.unpackbits(rows, count=n) for rows in message.rows)
        return super().reply(party, message)


def known_labels(lab: Overheard, party: str, known: int = KNOWN) -> Ranked:
    """What `party` ranks after a training of `lab` with `split_rows = "node"`, a mean over draws of the known rows."""
    trained = lab.task.train & (lab.positions[party] >= 0)
    rows, label = lab.positions[party][trained], lab.y[trained]
    own = _one_hot(lab.answerers[party].table.bins[rows])
    groups = np.stack(lab.groups[party], axis=1)[rows].astype(np.float64)
    found = [[_auc(x, label, known, k) for x in (own, np.hstack([own, groups]))] for k in range(_DRAWS)]
    return Ranked(*(round(float(mean), 4) for mean in np.mean(found, axis=0)))


def _one_hot(bins: U8) -> F64:
    """A column a bin, shape (n, sum of bins)."""
    return np.concatenate([np.eye(int(column.max()) + 1)[column] for column in bins.T], axis=1)


def _auc(x: F64, label: F64, known: int, number: int) -> float:
    """Ridge regression on `known` rows drawn by chance, judged on the others."""
    among = draw(number, "known labels").permutation(len(label))
    told, rest = among[:known], among[known:]
    centre = x[told].mean(axis=0)
    inside = x[told] - centre
    weights = inside.T @ np.linalg.solve(inside @ inside.T + _PENALTY * np.eye(known), label[told] - label[told].mean())
    return _ranked(label[rest], (x[rest] - centre) @ weights)


def _ranked(label: F64, score: F64) -> float:
    ranking = Ranking.of(label.astype(np.uint8), score)
    return float(evaluate(ranking, np.ones((1, len(label))), (), whole=True)["auc"][0])

"""What a partner that lies tries with its replies, and whether the bank goes on by them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final
from unittest import mock

import msgspec
import numpy as np

import bank_node.linear.partial_scores as bank_scores
import bank_node.linear.scorer as bank_scorers
import bank_node.linear.sums as bank_sums
import bank_node.partners.alignment as bank_alignment
import bank_node.partners.lookup as bank_lookup
import bank_node.partners.sessions as bank_standing
import bank_node.training.model as bank_model
import bank_node.trees.level as bank_level
from bank_node.linear.information_matrix import Curvature
from bank_node.partners.partner_view import PartnerView
from bank_node.trees.tree_builder import TreeBuilder
from bank_node.trees.tree_node import Node
from experiments.attacks.scene import Scene
from protocol.algorithms import group, voprf
from protocol.algorithms.alignment import Aligned
from protocol.algorithms.boosting import Sums
from protocol.algorithms.glm import CrossSums, DesignHint, PartialScores, TermScores
from protocol.algorithms.runs import RunOpened
from protocol.algorithms.standing import Evaluation
from protocol.messages import I64, Message


@dataclass(frozen=True)
class Falsehood:
    """A reply that is not true. forged: of the true one. off: takes the bank's guard away."""

    kind: str
    attack: str
    unit: str
    forged: Callable[[Message], Message]
    off: Callable[[], AbstractContextManager[Any]]

    def tell(self, scene: Scene, guarded: bool) -> float:
        """1 if the bank goes on by the first such reply."""
        with np.errstate(all="ignore"), nullcontext() if guarded else self.off():
            return float(scene.goes_on(self.kind, self.forged))


def _other_sum(reply: Message) -> Message:
    """One sealed sum, another one."""
    assert isinstance(reply, Sums)
    sums = reply.sums.copy()
    sums[0, 0] += np.uint64(1 << 40)
    return msgspec.structs.replace(reply, sums=sums)


def _other_scores(reply: Message) -> Message:
    assert isinstance(reply, PartialScores)
    return msgspec.structs.replace(reply, scores=reply.scores ^ (1 << 40))


def _other_products(reply: Message) -> Message:
    """Curvature that no columns have: every sealed sum of a product is another one."""
    assert isinstance(reply, CrossSums)
    return msgspec.structs.replace(reply, weight=reply.weight ^ np.uint8(0xFF))


def _short_hint(reply: Message) -> Message:
    assert isinstance(reply, DesignHint)
    return msgspec.structs.replace(reply, hint=reply.hint[:-1])


def _other_term_scores(reply: Message) -> Message:
    assert isinstance(reply, TermScores)
    return msgspec.structs.replace(reply, scores=reply.scores ^ (1 << 40))


def _other_job(reply: Message) -> Message:
    assert isinstance(reply, RunOpened)
    return msgspec.structs.replace(reply, job="0" * 64)


def _other_key(reply: Message) -> Message:
    """Ids evaluated under a key that was drawn for this answer, with a proof for that key."""
    assert isinstance(reply, Evaluation)
    key = group.random_scalar()
    points = group.raised(reply.points, key)
    proof = voprf.prove(key, reply.points, points, group.random_scalar())
    return msgspec.structs.replace(reply, points=points, proof=proof)


def _other_name(reply: Message) -> Message:
    assert isinstance(reply, Aligned)
    return msgspec.structs.replace(reply, alignment="0" * 64)


def _keep_unchecked(builder: TreeBuilder, view: PartnerView, node: Node, sums: I64) -> None:
    node.sums[view.name] = sums
    node.not_held[view.name] = builder.values[node.fit[view.positions[node.fit] < 0]].sum(axis=0)


@contextmanager
def _any_sums() -> Iterator[None]:
    with (
        mock.patch.object(Curvature, "possible", return_value=True),
        mock.patch.object(bank_sums, "_require_range", return_value=None),
    ):
        yield


FALSEHOODS: Final[tuple[Falsehood, ...]] = (
    Falsehood("boosting.sums", "another sum of a bin", "replies used", _other_sum,
              lambda: mock.patch.object(bank_level, "_keep_checked", _keep_unchecked)),
    Falsehood("glm.partial_scores", "scores that no coefficients give", "replies used", _other_scores,
              lambda: mock.patch.object(bank_scores, "largest_part", return_value=1 << 80)),
    Falsehood("glm.sums", "curvature that no columns have", "replies used", _other_products, _any_sums),
    Falsehood("glm.hint", "a hint of fewer rows than the design has products", "replies used", _short_hint,
              lambda: mock.patch.object(bank_standing, "_require_height", return_value=None)),
    Falsehood("glm.scores", "scores that no coefficients give", "replies used", _other_term_scores,
              lambda: mock.patch.object(bank_scorers, "largest_part", return_value=1 << 80)),
    Falsehood("run.opened", "a run of another job", "replies used", _other_job,
              lambda: mock.patch.object(bank_model, "_require_job", return_value=None)),
    Falsehood("register.evaluation", "ids evaluated under a key of their own", "replies used", _other_key,
              lambda: mock.patch.object(bank_lookup, "require_proved", return_value=None)),
    Falsehood("alignment.aligned", "an alignment by another name", "replies used", _other_name,
              lambda: mock.patch.object(bank_alignment, "_require_name", return_value=None)),
)  # fmt: skip

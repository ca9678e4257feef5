"""What a partner that lies tries with its replies, and whether the bank goes on by them."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final
from unittest import mock

import msgspec
import numpy as np

import bank_node.linear.partial_scores as bank_scores
import bank_node.partners.alignment as bank_alignment
import bank_node.trees.level as bank_level
from bank_node.partners.partner_view import PartnerView
from bank_node.trees.tree_builder import TreeBuilder
from bank_node.trees.tree_node import Node
from experiments.attacks.scene import Scene
from protocol.algorithms.alignment import Aligned
from protocol.algorithms.boosting import Sums
from protocol.algorithms.glm import PartialScores
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
        with nullcontext() if guarded else self.off():
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


def _other_name(reply: Message) -> Message:
    assert isinstance(reply, Aligned)
    return msgspec.structs.replace(reply, alignment="0" * 64)


def _keep_unchecked(builder: TreeBuilder, view: PartnerView, node: Node, sums: I64) -> None:
    node.sums[view.name] = sums
    node.not_held[view.name] = builder.values[node.fit[view.positions[node.fit] < 0]].sum(axis=0)


FALSEHOODS: Final[tuple[Falsehood, ...]] = (
    Falsehood("boosting.sums", "another sum of a bin", "replies used", _other_sum,
              lambda: mock.patch.object(bank_level, "_keep_checked", _keep_unchecked)),
    Falsehood("glm.partial_scores", "scores that no coefficients give", "replies used", _other_scores,
              lambda: mock.patch.object(bank_scores, "largest_part", return_value=1 << 80)),
    Falsehood("alignment.aligned", "an alignment by another name", "replies used", _other_name,
              lambda: mock.patch.object(bank_alignment, "_require_name", return_value=None)),
)  # fmt: skip

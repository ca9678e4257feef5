"""Discovery: a few encrypted trees ask the partners which of their thresholds matter.

After a few encrypted trees nearly every split that boosting wants is one that the bank knows already.
So the bank asks in rounds, and fits the model itself on what it then knows:

    repeat for at most R rounds:
        continue a local model by some trees on what is known            no message
        grow T encrypted trees at its margin, and reveal their splits    sums and split bits
        stop if nothing new was revealed
    fit all trees on the bank's columns and the revealed splits          no message

Rows of the test part are never read. Splits of a fold or a placebo are those that it chose itself.
"""

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

from bank_node.family.objective import Base
from bank_node.partners.partner_view import PartnerView
from bank_node.trees.early_stopping import EarlyStopping
from bank_node.trees.ensemble import Columns, Ensemble, local_columns
from bank_node.trees.local_columns import Found
from bank_node.trees.target_leakage import LeakingColumn
from bank_node.trees.task import Task
from protocol.algorithms.boosting import Split
from protocol.messages import F64
from protocol.role import Script


@dataclass(frozen=True)
class Known:
    """What the bank knows when it fits: splits it may use, by partner, and how they came about.

    queries: vectors asked of each partner. trees: that were encrypted. rounds: of discovery.
    """

    queries: int = 0
    leaking: tuple[LeakingColumn, ...] = ()
    splits: Found = field(default_factory=dict)
    trees: int = 0
    rounds: int = 0


CONTINUED: Final = 10
"""Trees by which a round continues the local model before it asks."""

LEAST_GAIN: Final = 1e-4
"""Fall of the validation part's loss, over a round, below which the round was in vain."""

LEAST_RATE: Final = 0.3
"""Learning rate of discovery at least: successive trees of a lower one ask for the same splits again."""


def discover(task: Task, base: Base, rounds: tuple[int, int]) -> Script[Known]:
    """Ask in rounds which of the partners' splits matter.

    Args:
        base: margin before the first tree.
        rounds: how many at most, and encrypted trees a round.

    Raises:
        IntegrityError, RefusedError: as `boost`.
    """
    most, trees = rounds
    found: dict[str, frozenset[Split]] = {view.name: task.found.get(view.name, frozenset()) for view in task.partners}
    task = _faster(task)
    asked, local = Ensemble.start(task, base), Ensemble.start(task, base, "round ")
    losses, count = _losses(task), 0
    known = local_columns(task, found)
    while count < most and (partners := _worth_asking(task, found)):
        # The first tree of all is grown where every row has the same margin: that shows target leakage.
        if count or any(found.values()):
            known = local_columns(task, found, known)
            local.margin = asked.margin
            for _ in range(CONTINUED):
                yield from local.grow(Columns(known, ()))
            asked.margin = local.margin
        asked.discovery_round, before = count, found
        for _ in range(trees):
            known = local_columns(task, found, known)
            yield from asked.grow(Columns(known, partners, exact=True))
            found = {party: splits | frozenset(asked.book.splits(party)) for party, splits in found.items()}
        count += 1
        task.progress(count * trees, most * trees + task.params.n_estimators)
        if found == before or _in_vain(losses, asked.margin):
            break
    return Known(asked.queries, tuple(asked.leaking), found, asked.rounds * task.objective.outputs, count)


def _faster(task: Task) -> Task:
    """The task with the learning rate of discovery."""
    rate = max(task.params.learning_rate, LEAST_RATE)
    return replace(task, params=task.params.model_copy(update={"learning_rate": rate}))


def _worth_asking(task: Task, found: Found) -> tuple[PartnerView, ...]:
    """The partners that can add something: whose budget is not spent, or who revealed more than is in use."""
    return tuple(view for view in task.partners if not view.known.spent or set(view.known.sides) - found[view.name])


def _losses(task: Task) -> EarlyStopping | None:
    """The loss on the validation part, a value a round; None where there is no such part."""
    return EarlyStopping.of_loss(task.params, task.objective, task.validation) if task.validation.any() else None


def _in_vain(losses: EarlyStopping | None, margin: F64) -> bool:
    """Whether the loss fell by less than LEAST_GAIN in each of the last two rounds."""
    if losses is None:
        return False
    losses.enough(margin)
    falls = [before - after for before, after in pairwise(losses.values[-3:])]
    return len(falls) == 2 and max(falls) < LEAST_GAIN

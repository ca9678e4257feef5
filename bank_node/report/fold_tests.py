"""Every two rungs of a model against each other over folds: is one better, or was it luck?

By the same metric as the verdicts, chosen beforehand. Several pairs are several chances to be lucky, so that p is
Holm's over all pairs of all models. The verdicts count their own comparisons, which are fewer: each rung and its base.
"""

from collections.abc import Sequence
from itertools import combinations

from bank_node.metrics.folds import Values, fold_uplifts
from bank_node.metrics.measures import sensitive_metric
from bank_node.report.document import FoldTest, Rung
from bank_node.report.verdict import holm
from protocol.algorithms.parameters import Task


def fold_tests(values: Values, rungs: Sequence[Rung], task: Task) -> list[FoldTest]:
    """One a pair, the later rung of the ladder less the earlier one; none without folds."""
    name = sensitive_metric(task)
    pairs = [
        (earlier, later)
        for earlier, later in combinations([rung for rung in rungs if (rung.name, rung.model) in values], 2)
        if earlier.model == later.model
    ]
    changes = [
        fold_uplifts({name: values[later.name, later.model][name]}, values[earlier.name, earlier.model])[name]
        for earlier, later in pairs
    ]
    corrected = holm([change.p for change in changes])
    return [
        FoldTest(model=later.model, rung=later.name, other=earlier.name, metric=name, p_holm=p, **change.model_dump())
        for (earlier, later), change, p in zip(pairs, changes, corrected, strict=True)
    ]

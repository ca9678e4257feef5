"""The bank's half of boosted trees: a script that grows trees level by level over several parties' columns.

Read it from `boost` downwards: a model is rounds (`ensemble.py`), a round is trees, a tree is levels (`level.py`), a
level is one exchange for the sums of its nodes, a choice of splits (`split_selection.py`), and one exchange for the
bits of splits not known yet. Which trees are encrypted, and which the bank grows alone: `discovery.py`.
"""

from collections.abc import Mapping, Sequence

from bank_node.family.objective import Base
from bank_node.models.trees import HandleBook, TreeModel, TreeNode
from bank_node.trees.discovery import Known, discover
from bank_node.trees.early_stopping import EarlyStopping
from bank_node.trees.ensemble import Columns, Ensemble, local_columns
from bank_node.trees.local_columns import in_order, usable_splits
from bank_node.trees.scorer import handles_of
from bank_node.trees.task import Boosted, Task
from protocol.algorithms.boosting import Handles, Kept, Split
from protocol.errors import DataError
from protocol.role import Replies, Requests, Script, ask, drive


def boost(task: Task) -> Script[Boosted]:
    """Train one model.

    Raises:
        DataError: a direction for categories; validation rows that do not admit the metric.
        IntegrityError: a partner's sums do not add up to the node's totals.
        RefusedError: a partner's budget is spent, or the plaintext budget does not fit.
    """
    task.columns.require_ordered(task.params, task.bank)
    base = _base(task)
    if task.rounds is None:
        return (yield from _boost_encrypted(task, base))
    found = yield from discover(task, base, task.rounds)
    fitted = yield from fit_local(task, base, found)
    return (yield from _finished(task, base, fitted, found))


def _boost_encrypted(task: Task, base: Base) -> Script[Boosted]:
    """Every tree by encrypted sums."""
    ensemble = Ensemble.start(task, base)
    yield from _grow_all(ensemble, Columns(local_columns(task, {}), task.partners))
    return (yield from _finished(task, base, ensemble, Known(ensemble.queries, trees=len(ensemble.trees))))


def refit(task: Task, pools: Mapping[str, tuple[Split, ...]], kept: Mapping[str, Kept]) -> Boosted:
    """Train a model on what the bank knows, which the partners' pools let it score. No message is sent.

    pools: splits by partner, in the order in which the partner stored them.
    """
    task.columns.require_ordered(task.params, task.bank)
    base, known = _base(task), Known(splits={partner: frozenset(splits) for partner, splits in pools.items()})
    ensemble = drive(fit_local(task, base, known, HandleBook(pools)), nobody)
    model = _model(task, base, ensemble.book, ensemble.trees)
    return Boosted(
        model=model, margin=ensemble.margin, queries=0, handles=pools, kept=kept,
        leaking_columns=tuple(ensemble.leaking),
    )  # fmt: skip


def nobody(requests: Requests) -> Replies:
    """An exchange for what must not ask."""
    raise AssertionError(f"a local fit asked {', '.join(requests)}")


def fit_local(task: Task, base: Base, found: Known, book: HandleBook | None = None) -> Script[Ensemble]:
    """Grow all trees on what the bank knows: its columns, and the splits that partners have revealed. Asks nothing."""
    ensemble = Ensemble.start(task, base, "local ")
    ensemble.book = book or ensemble.book
    yield from _grow_all(ensemble, Columns(local_columns(task, found.splits), ()))
    return ensemble


def _grow_all(ensemble: Ensemble, columns: Columns) -> Script[None]:
    """Grow n_estimators rounds, or as many as early stopping admits; the rounds after the best one are dropped."""
    task, stopping = ensemble.task, _early_stopping(ensemble.task)
    margins = [ensemble.margin]
    for number in range(task.params.n_estimators):
        yield from ensemble.grow(columns)
        task.progress(number + 1, task.params.n_estimators)
        if stopping:
            margins.append(ensemble.margin)
            if stopping.enough(ensemble.margin):
                break
    if stopping:
        del ensemble.trees[stopping.best * task.objective.outputs :]
        ensemble.margin = margins[stopping.best]


def _finished(task: Task, base: Base, ensemble: Ensemble, found: Known) -> Script[Boosted]:
    """The model, and the pool of splits that each partner keeps so that it can score it.

    The pool holds the splits of the model in order of first use, then all others that the model could
    have used: a refit may use them.
    """
    model = _model(task, base, ensemble.book, ensemble.trees)
    handles = {}
    for partner in task.partners:
        used = ensemble.book.splits(partner.name)[: handles_of(model, partner.name)]
        others: frozenset[Split] = frozenset()
        if partner.split_rows == "all":
            others = usable_splits(partner, found.splits.get(partner.name, used)) - set(used)
        handles[partner.name] = (*used, *in_order(others))
    kept = yield from _leave_handles(task, handles)
    out = tuple(view.name for view in task.partners if view.known.spent and not view.known.sides)
    return Boosted(
        model=model, margin=ensemble.margin, queries=found.queries, handles=handles, kept=kept,
        leaking_columns=(*found.leaking, *ensemble.leaking), encrypted_trees=found.trees, rounds=found.rounds,
        kept_out=out,
    )  # fmt: skip


def _base(task: Task) -> Base:
    """The margin before the first tree: as declared, or the best constant of the rows trained on."""
    declared = task.params.base_score
    return task.objective.base(task.train.astype(float)) if declared is None else task.objective.margin_of(declared)


def _model(task: Task, base: Base, book: HandleBook, trees: Sequence[tuple[TreeNode, ...]]) -> TreeModel:
    """Trees over handles; what stands behind the bank's own is in the model, by its values."""
    return TreeModel(
        objective=task.objective.name,
        base=base,
        parties=(task.bank, *(p.name for p in task.partners)),
        bank_splits=tuple(task.columns.split(s) for s in book.splits(task.bank)),
        trees=tuple(trees),
    )


def _early_stopping(task: Task) -> EarlyStopping | None:
    """What early stopping goes by; None where there is none."""
    params = task.params
    if not params.early_stopping_rounds:
        return None
    if not task.validation.any():
        raise DataError(
            task.bank, "has no validation rows, and early stopping judges on them",
            "give the split a validation part, or set early_stopping_rounds to 0",
        )  # fmt: skip
    stopping = EarlyStopping(
        params.watched, task.objective, task.validation, params.early_stopping_rounds, params.tweedie_variance_power
    )
    stopping.require_rows(task.bank)
    return stopping


def _leave_handles(task: Task, handles: Mapping[str, tuple[Split, ...]]) -> Script[dict[str, Kept]]:
    """Let every partner keep what stands behind its handles as a pool, so that it can score the model."""
    messages = {
        p.name: Handles(layout=p.layout, job=task.label.job, run=p.run, splits=handles[p.name]) for p in task.partners
    }
    kept = yield from ask(messages, Kept)
    for view in task.partners:
        view.known.information_share = kept[view.name].information_share
    return kept

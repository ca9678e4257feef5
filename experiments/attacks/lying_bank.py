"""What a bank that lies tries at each kind of request, and the guard that stands in its way."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import log2
from pathlib import Path
from typing import Any, Final, TypeVar
from unittest import mock

import msgspec
import numpy as np

import partner_node.algorithms.boosting as partner_boosting
import partner_node.algorithms.glm as partner_glm
import partner_node.algorithms.woe as partner_woe
from experiments.attacks.chosen_query import READ, chosen_query
from experiments.attacks.chosen_values import DECLARED_BITS, bits_read
from experiments.attacks.exact_cover import exact_cover
from experiments.attacks.scene import Ambush, Meeting
from partner_node.algorithms.boosting import BoostingAnswerer
from partner_node.algorithms.glm import GlmAnswerer
from partner_node.algorithms.sealing import SplitSealer
from partner_node.node.agreement import Agreement
from partner_node.node.holdings import Holdings
from partner_node.node.scores import Scores
from partner_node.policy.budgets import Budgets
from partner_node.policy.defaults import USES
from partner_node.policy.evaluations import Evaluations
from partner_node.policy.readable import vector_bits
from protocol.algorithms import agreement, binning, boosting, glm, standing, voprf, woe
from protocol.algorithms.boosting import Split
from protocol.algorithms.runs import Label, RunOpening
from protocol.algorithms.scoring import ScoringQuery
from protocol.contract import Contract
from protocol.he.plan import WHOLE_BITS, FieldBounds
from protocol.he.streams import fresh_key
from protocol.job.workload import Workload
from protocol.messages import Message

TRIES: Final = 10
"""Lies that are told one after another, where one could be told for ever."""
OTHER: Final = "f" * 64
MOST_READABLE: Final = 0.1
"""Agreed on for the attack on `max_readable_share`."""
_BINS: Final = 16
M = TypeVar("M", bound=Message)
Off = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Lie:
    """An attack at a request.

    unit: of what is gained. off: takes the guard away. bound: what is due to an honest bank, perhaps by what the
    approved file plans. met_at: the kind of request at which it is told, "" for `kind`.
    """

    kind: str
    attack: str
    unit: str
    act: Callable[[Meeting], float]
    off: Off
    bound: float | Callable[[Workload], float] = 0.0
    after: bool = False
    met_at: str = ""

    def ambush(self, guarded: bool) -> Ambush:
        """It waits for its request, with the guard in place or off while it acts."""

        def unguarded(meeting: Meeting) -> float:
            with self.off():
                return self.act(meeting)

        return Ambush(self.met_at or self.kind, self.act if guarded else unguarded, self.after)


def _without(owner: Any, name: str, instead: Any) -> Off:
    return lambda: mock.patch.object(owner, name, instead)


def _changed(message: Message, wanted: type[M], **fields: Any) -> M:
    if not isinstance(message, wanted):
        raise TypeError(message.KIND)
    return msgspec.structs.replace(message, **fields)


def _hello(m: Meeting) -> float:
    return m.answers(_changed(m.sent, agreement.Hello, job=OTHER))


def _other_clauses(m: Meeting) -> float:
    """A greeting for the same job under more noise, and then under less: a ruler, and scaled copies of one draw."""
    assert isinstance(m.sent, agreement.Hello)
    greetings = [
        msgspec.structs.replace(m.sent.terms, contract={**m.sent.terms.contract, "histogram_noise": level})
        for level in (8.0, 16.0)
    ]
    return m.answers(*(_changed(m.sent, agreement.Hello, terms=terms) for terms in greetings))


def _other_models(sent: Message) -> list[glm.KeepTerms]:
    """The model of a fit with other coefficients."""
    assert isinstance(sent, glm.KeepTerms)
    asked = [tuple(value + 10**5 * (1 + k) for value in sent.values) for k in range(TRIES)]
    return [_changed(sent, glm.KeepTerms, values=values) for values in asked]


def _models_kept(m: Meeting) -> float:
    """Coefficients that no fit released, kept to be scored by."""
    return m.answers(*_other_models(m.sent))


def _releases_kept(m: Meeting) -> float:
    """Coefficients that were released besides those of the fit, kept as well."""
    return sum(_released_and_kept(m, one, k) for k, one in enumerate(_other_models(m.sent)))


def _released_and_kept(m: Meeting, model: glm.KeepTerms, number: int) -> float:
    """Ask for the scores by a model first, so that it may be kept."""
    run = m.node._layouts.in_job(m.node._designs.answerer(model.design).layout_name).run
    label, decimals = (
        Label("release", run.job, run.number, fold=600 + number),
        m.node._agreement.contract.score_decimals,
    )
    m.ask(glm.Coefficients(design=model.design, label=label, values=model.values, decimals=decimals))
    return m.answers(model)


def _new_rows(m: Meeting) -> float:
    """A linear model's scores, where the agreed share of the bins could be read already."""
    assert isinstance(m.sent, ScoringQuery)
    own = m.node._own
    names = [path.stem for path in (own.config.state / "pools").glob("*.json")]
    linear = [name for name in names if own.pools.find(name, m.node._agreement.contract).terms]
    with mock.patch.object(Agreement, "most_readable", 0.1):
        return m.answers(*(_changed(m.sent, ScoringQuery, pool=name) for name in linear))


def _ids_evaluated(m: Meeting) -> float:
    """Ids that the bank makes up, until no more are evaluated, by row that its trainings were aligned with."""
    rows, evaluated = m.node._layouts.bank_rows, 0
    while evaluated < 3 * rows:
        ids = [fresh_key() for _ in range(100)]
        if m.ask(standing.EvaluationQuery(points=voprf.points_of(ids))) is None:
            break
        evaluated += len(ids)
    return evaluated / rows


def _twice_kept(m: Meeting) -> float:
    assert isinstance(m.sent, boosting.Handles)
    return m.answers(_changed(m.sent, boosting.Handles, splits=m.sent.splits * 100))


def _runs(m: Meeting) -> float:
    """The honest opening, and some more."""
    return 1 + m.answers(*(_changed(m.sent, RunOpening, nonce=fresh_key()) for _ in range(TRIES)))


def _layouts(m: Meeting) -> float:
    cuttings = [binning.Cutting(bins) for bins in range(20, 20 + TRIES)]
    return m.answers(*(_changed(m.sent, binning.LayoutQuery, cutting=cutting) for cutting in cuttings))


def _unopened(m: Meeting) -> float:
    return m.answers(_changed(m.sent, boosting.Opening, run=99))


def _second_question(m: Meeting) -> float:
    """The labels of the honest query once more, for other columns of the same sealed vector."""
    assert isinstance(m.sent, boosting.SumsQuery)
    return m.answers(_changed(m.sent, boosting.SumsQuery, columns=m.sent.columns[:-1]))


def _second_hint(m: Meeting) -> float:
    """A new hint, under which the used labels are asked again for zeros or anything else."""
    assert isinstance(m.sent, boosting.SumsQuery)
    keys = m.node._layouts._keys_file(m.sent.layout)
    public = keys.read_bytes() if keys.exists() else b""
    m.ask(binning.HintQuery(layout=m.sent.layout, engine="blind", nonce=fresh_key(), keys=public))
    return _second_question(m)


def _kept_keys(m: Meeting) -> float:
    """Bytes that an engine without keys has no use for, to fill the partner's disk."""
    if not isinstance(m.sent, binning.HintQuery | glm.DesignHintQuery):
        raise TypeError(m.sent.KIND)
    m.ask(msgspec.structs.replace(m.sent, keys=bytes(1 << 20)))
    return float(sum(path.stat().st_size for path in m.node.config.state.rglob("*.keys")))


def _declared_small(m: Meeting) -> float:
    """Rows declared to be 1 at most, so that little noise comes, in a sum that keeps its bits."""
    assert isinstance(m.sent, boosting.SumsQuery)
    labels = tuple(msgspec.structs.replace(label, tree=999) for label in m.sent.labels)
    lie = _changed(m.sent, boosting.SumsQuery, labels=labels, g=FieldBounds(0, m.sent.g.bits))
    return m.sent.g.row_log2 * m.answers(lie)


def _until_refused(m: Meeting) -> float:
    """Sums under ever new labels; what share of the bins a bank could have read when no more is answered."""
    assert isinstance(m.sent, boosting.SumsQuery)
    answerer, sent = m.node._layouts.answerer(m.sent.layout), m.sent
    agreed = answerer.contract.model_copy(update={"max_readable_share": MOST_READABLE})
    with mock.patch.object(answerer, "contract", agreed):
        for k in range(200):
            labels = tuple(msgspec.structs.replace(label, tree=1000 + k) for label in sent.labels)
            if m.ask(_changed(sent, boosting.SumsQuery, labels=labels)) is None:
                break
    return answerer.readable.share


def _no_splits(m: Meeting) -> float:
    asked = (Split(0, (0, 0)), Split(0, (1, 0)), Split(0, (200,)))
    return m.answers(*(_changed(m.sent, boosting.SplitQuery, splits=(one,)) for one in asked))


def _by_node(m: Meeting) -> float:
    assert isinstance(m.sent, boosting.SplitQuery)
    rows = np.full(m.node.rows // 8 + 1, 255, dtype=np.uint8)
    return m.answers(boosting.NodeSplitQuery(layout=m.sent.layout, splits=(Split(0, (0,)),), rows=(rows,)))


def _all_splits(m: Meeting) -> float:
    """Splits that were not told, named as if they had been."""
    assert isinstance(m.sent, boosting.Handles)
    shapes = m.node._layouts.answerer(m.sent.layout).table.shapes
    asked = [Split(k, tuple(range(cut))) for k, shape in enumerate(shapes) for cut in range(1, shape.ordinary)]
    told = {split for split, _ in m.node._layouts.answerer(m.sent.layout)._answered}
    new = [one for one in asked if one.canonical(shapes[one.column].ordinary) not in told]
    return sum(m.answers(_changed(m.sent, boosting.Handles, splits=(one,))) for one in new)


def _bits_without_keys(m: Meeting) -> float:
    """How far the bits of all rows, read without the rows' keys, are from a coin's."""
    assert isinstance(m.sent, boosting.SplitQuery)
    reply, answerer = m.ask(m.sent), m.node._layouts.answerer(m.sent.layout)
    assert isinstance(reply, boosting.Splits)
    right = [
        np.unpackbits(told.left ^ answerer._flags(split, b"").left, count=answerer.matrix.n) == 0
        for split, told in zip(m.sent.splits, reply.bits, strict=True)
        if told is not None
    ]
    return abs(float(np.concatenate(right).mean()) - 0.5) * 2


def _wide_counts(m: Meeting) -> float:
    assert isinstance(m.sent, woe.BinCountsQuery)
    label = msgspec.structs.replace(m.sent.label, model=99)
    wide = _changed(m.sent, woe.BinCountsQuery, label=label, bits=WHOLE_BITS)
    return (WHOLE_BITS - m.sent.bits) * m.answers(wide)


def _second_values(m: Meeting) -> float:
    """Other numbers for the bins of the same columns, as digits that a sum spells out."""
    assert isinstance(m.sent, glm.Design)
    columns = tuple(
        msgspec.structs.replace(one, values=tuple(range(len(one.values)))) for one in m.sent.columns if one.values
    )
    return m.answers(_changed(m.sent, glm.Design, columns=columns)) if columns else 0.0


def _digits(m: Meeting) -> float:
    """One column listed twice, with other numbers for its bins the second time: two digits of each bin."""
    assert isinstance(m.sent, glm.Design)
    one = next(one for one in m.sent.columns if one.values)
    other = msgspec.structs.replace(one, values=tuple(7 * k for k in range(len(one.values))))
    return m.answers(_changed(m.sent, glm.Design, columns=(*m.sent.columns, other)))


def _second_cross(m: Meeting) -> float:
    """A new hint of the design, and the used label for another declaration."""
    assert isinstance(m.sent, glm.CrossQuery)
    keys = m.node._designs._keys_file(m.sent.design)
    public = keys.read_bytes() if keys.exists() else b""
    m.ask(glm.DesignHintQuery(design=m.sent.design, engine="blind", nonce=fresh_key(), keys=public))
    return m.answers(_changed(m.sent, glm.CrossQuery, sum_log2=m.sent.sum_log2 - 1))


def _exact_sums(m: Meeting) -> float:
    """Exact sums under ever new labels, out of what the approved file plans for trees and bin tables as well."""
    assert isinstance(m.sent, glm.CrossQuery)
    each, most = m.sent.vectors + (m.sent.weight is not None), m.node._agreement.plan
    assert most is not None
    for k in range(2 * most.by_kind["cross"] // each):
        label = msgspec.structs.replace(m.sent.label, fold=300 + k)
        if m.ask(_changed(m.sent, glm.CrossQuery, label=label)) is None:
            return float(k * each)
    return 2.0 * most.by_kind["cross"]


def _wide_vector(m: Meeting) -> float:
    """A total declared so large that a sum keeps bits in which rows could be hidden."""
    assert isinstance(m.sent, glm.CrossQuery)
    label, widest = msgspec.structs.replace(m.sent.label, fold=299), 40
    lie = _changed(m.sent, glm.CrossQuery, label=label, sum_log2=widest)
    return (widest - m.sent.sum_log2) * m.answers(lie)


def _more_releases(m: Meeting) -> float:
    """Releases under ever new labels, until they are refused."""
    assert isinstance(m.sent, glm.Coefficients)
    for k in range(200):
        label = msgspec.structs.replace(m.sent.label, fold=500 + k)
        if m.ask(_changed(m.sent, glm.Coefficients, label=label)) is None:
            return float(k)
    return 200.0


def _single_column(m: Meeting) -> float:
    assert isinstance(m.sent, glm.KeepTerms)
    alone = (10**6, *(0 for _ in m.sent.values[1:]))
    return _released_and_kept(m, _changed(m.sent, glm.KeepTerms, values=alone), 0)


def _more_decimals(m: Meeting) -> float:
    assert isinstance(m.sent, glm.Coefficients)
    label = msgspec.structs.replace(m.sent.label, fold=400)
    return m.answers(_changed(m.sent, glm.Coefficients, label=label, decimals=6))


def _revoked(m: Meeting) -> float:
    """A pool that was revoked, by its name."""
    assert isinstance(m.sent, ScoringQuery)
    with mock.patch.dict(m.node.config.policy.__dict__, {"revoked_pools": (m.sent.pool,)}):
        return m.answers(m.sent)


class _NothingRevoked(frozenset[str]):
    """A set that meets no other."""


def _one_run(self: Budgets, bank: str, account: str, job: str, number: int) -> Any:
    return _RUN(self, bank, account, job, 1)


_RUN = Budgets.run

LIES: Final[tuple[Lie, ...]] = (
    Lie("agreement.hello", "a job that nobody approved is agreed on", "jobs", _hello,
        _without(Agreement, "approved", lambda self, job: None)),
    Lie("agreement.hello", "other clauses for a job under way", "greetings", _other_clauses,
        _without(Agreement, "_pin", lambda self, job, contract, approval, scoring: None), after=True),
    Lie("run.opening", "runs opened under one approval", "runs", _runs,
        _without(Agreement, "_uses", lambda self, job: None), float(USES), True),
    Lie("binning.layout_query", "ways of binning that the approved file does not have", "layouts", _layouts,
        _without(Agreement, "plan", None)),
    Lie("binning.hint_query", "labels answered again after a second hint", "labels", _second_hint,
        _without(BoostingAnswerer, "enter", lambda self, run, asked: list(asked)), after=True,
        met_at="boosting.sums_query"),
    *(Lie(kind, "keys kept where the engine has none", "bytes", _kept_keys,
          _without(Holdings, "require_engine", lambda self, engine, keys: None))
      for kind in ("binning.hint_query", "glm.hint_query")),
    Lie("boosting.opening", "a run that was never opened", "runs", _unopened, _without(Budgets, "run", _one_run)),
    Lie("boosting.sums_query", "labels answered twice, for other columns", "labels", _second_question,
        _without(BoostingAnswerer, "enter", lambda self, run, asked: list(asked)), after=True),
    Lie("boosting.sums_query", "rows declared as 1 at most, in a sum of all its bits", "bits without noise",
        _declared_small,
        _without(BoostingAnswerer, "_require_tight", lambda self, bounds: None)),
    Lie("boosting.sums_query", f"all sums that are approved, where a share of {MOST_READABLE:g} may become readable",
        "share of the bins", _until_refused, _without(partner_boosting, "require_readable", lambda *_: None),
        MOST_READABLE),
    Lie("boosting.split_query", "splits that do not exist", "splits", _no_splits,
        _without(BoostingAnswerer, "_canonical", lambda self, split: Split(0, (0,)))),
    Lie("boosting.splits", "bits read without the rows' keys, above a coin's", "share", _bits_without_keys,
        _without(SplitSealer, "seal", lambda self, split, flags: flags), 0.15, True,
        "boosting.split_query"),
    Lie("boosting.node_split_query", "rows named where no row is to be named", "answers", _by_node,
        _without(BoostingAnswerer, "_tell", lambda *_: boosting.Splits(bits=(), information_share=0.0)),
        met_at="boosting.split_query"),
    Lie("boosting.handles", "splits kept for scoring that were never told", "splits", _all_splits,
        _without(BoostingAnswerer, "_was_told", lambda self, split: True)),
    Lie("woe.query", "bits of a count beyond those that its rows need", "bits", _wide_counts,
        _without(partner_woe, "bits_of_counts", lambda rows: WHOLE_BITS)),
    Lie("glm.design", "second numbers for the bins of one column", "designs", _second_values,
        _without(Budgets, "admit_encoding", lambda *_: None), after=True),
    Lie("glm.design", "one column in a design twice, with other numbers for its bins", "designs", _digits,
        _without(partner_glm, "_require_one_meaning", lambda bank, wanted: None)),
    Lie("glm.hint_query", "labels answered again after a second hint", "labels", _second_cross,
        _without(BoostingAnswerer, "enter", lambda self, run, asked: list(asked)), after=True, met_at="glm.query"),
    Lie("glm.query", "exact sums in place of the noisy ones that were planned", "sums a row", _exact_sums,
        _without(Budgets, "_require_planned", lambda *_: None), lambda plan: plan.by_kind["cross"]),
    Lie("glm.query", "bits of a sum beyond those that its rows need", "bits", _wide_vector,
        _without(GlmAnswerer, "_require_tight", lambda self, asked: None)),
    Lie("glm.coefficients", "releases of scores beyond the approved plan", "releases", _more_releases,
        _without(GlmAnswerer, "_require_planned", lambda self, kind, count: None), lambda plan: plan.releases),
    Lie("glm.coefficients", "scores of six decimals", "releases", _more_decimals,
        lambda: mock.patch.object(GlmAnswerer, "_scores", return_value=np.zeros(1, np.int64))),
    Lie("glm.keep", "models that no release of the run gave, to be scored by", "models", _models_kept,
        _without(GlmAnswerer, "_require_released", lambda self, message: None)),
    Lie("glm.keep", "models beyond those of the fits, to be scored by", "models", _releases_kept,
        _without(GlmAnswerer, "_require_few_models", lambda self, message: None), after=True),
    Lie("glm.keep", "a model that shows one column", "models", _single_column,
        _without(partner_glm, "require_shown", lambda *_: None)),
    Lie("register.evaluation_query", "ids made up, to see who is in the table", "ids a row", _ids_evaluated,
        _without(Evaluations, "spend", lambda *_, **__: None), bound=Contract().max_ids),
    Lie("scoring.query", "scores of rows by which more could be read than is agreed", "answers", _new_rows,
        _without(Scores, "_require_readable", lambda self, job, matches: None)),
    Lie("scoring.query", "a revoked pool is scored by", "answers", _revoked,
        lambda: mock.patch("partner_node.node.scores.set", return_value=_NothingRevoked(), create=True)),
)  # fmt: skip


def sealed_vectors(folder: Path) -> list[Mapping[str, Any]]:
    """What one sealed vector of chosen values reads, whose sender the partner cannot tell from an honest one."""
    rows: list[Mapping[str, Any]] = []
    for name in ("tight", "full"):
        (folder / name).mkdir()
    two = vector_bits(2, [(11, 0.0), (1, 0.0)])
    read = [chosen_query(0.0, 0, folder / name, bins=2, tight=name == "tight") for name in ("tight", "full")]
    rows.append({
        "kind": "boosting.sums_query", "attack": "rows at powers of two, a column of two bins, no noise",
        "unit": "bits of a vector", "gained": read[0].advantage * READ, "bound": two,
        "control": read[1].advantage * READ,
    })  # fmt: skip
    tight, full = (bits_read(folder / name, name == "tight") for name in ("tight", "full"))
    noisy, bare = exact_cover(30, _BINS, 17, 4.0), exact_cover(100, _BINS, WHOLE_BITS, 0.0)
    rows.append({
        "kind": "boosting.sums_query", "attack": "rows at random weights, decoded by exact cover, 17 bits with noise 4",
        "unit": "bits of a vector", "gained": float(noisy.read * log2(_BINS)), "bound": noisy.bound * log2(_BINS),
        "control": float(bare.read * log2(_BINS)),
    })  # fmt: skip
    rows.append({
        "kind": "glm.query", "attack": "rows at powers of eight, bins as digits", "unit": "bits of a column's sum",
        "gained": tight, "bound": float(DECLARED_BITS), "control": full,
    })  # fmt: skip
    return rows

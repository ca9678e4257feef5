"""Weight of evidence: encrypted counts equal plain ones, and stay within the equation budget."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_node.linear.woe import count_partners, evidence_of_bank, evidence_of_partner
from experiments.laboratory import JOB, OPEN, Laboratory
from partner_node.algorithms.woe import count_bins
from protocol.algorithms.parameters import BoostingParams
from protocol.algorithms.runs import Label
from protocol.algorithms.woe import BinCounts, BinCountsQuery, Evidence
from protocol.errors import IntegrityError, RefusedError
from protocol.he.base import Cleartext
from protocol.messages import decode, encode
from protocol.role import drive
from tests.laboratory import some_columns

ONE_TREE = BoostingParams(n_estimators=1, max_depth=1, max_bin=6)

LABEL = Label("counts", JOB)


def laboratory(folder: Path, seed: int, n: int, engine: str = "blind", contract=OPEN) -> Laboratory:
    """A bank and two partners, of which each holds some of the bank's rows; trained once, so that all is laid out."""
    rng = np.random.default_rng(seed)
    partners = {name: some_columns(rng, n + 9, 3, 0.1) for name in ("bureau", "telecom")}
    positions = {p: np.where(rng.random(n) < 0.8, rng.permutation(n + 9)[:n], -1) for p in partners}
    lab = Laboratory((rng.random(n) < 0.4).astype(float), some_columns(rng, n, 2, 0.1), partners, positions, folder)
    lab.engine, lab.contract = engine, contract
    lab.train(ONE_TREE)
    return lab


def exchange_with(lab: Laboratory):
    """What carries messages to the partners, as bytes."""

    def exchange(requests):
        replies = {p: count_bins(lab.answerers[p], decode(m.KIND, encode(m))) for p, m in requests.items()}
        return {p: decode(reply.KIND, encode(reply)) for p, reply in replies.items()}

    return exchange


def counted_in_clear(lab: Laboratory, partner: str, train, bad) -> list[Evidence]:
    """The same tables from both parties' data in one place."""
    table, at, out = lab.answerers[partner].table, lab.positions[partner], []
    for j, shape in enumerate(table.shapes):
        bins = np.where(at >= 0, table.bins[at, j], shape.size)
        size = shape.size + bool((train & (at < 0)).any())
        out.append(Evidence(*(np.bincount(bins[part], minlength=size) for part in (train, train & bad))))
    return out


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(60, 400), engine=st.sampled_from(["blind", "plaintext"]))
def test_encrypted_counts_equal_plain_ones(seed, n, engine):
    with TemporaryDirectory() as folder:
        lab = laboratory(Path(folder), seed, n, engine)
        train, bad = np.random.default_rng(seed).random(n) < 0.7, lab.y > 0
        counts = drive(count_partners(LABEL, lab.task.partners, train, bad), exchange_with(lab))
        for view in lab.task.partners:
            found = evidence_of_partner(view, counts[view.name], train, bad)
            for ours, plain in zip(found, counted_in_clear(lab, view.name, train, bad), strict=True):
                assert ours.rows.tolist() == plain.rows.tolist()
                assert ours.bads.tolist() == plain.bads.tolist()
                assert (ours.iv, ours.woe.tolist()) == (plain.iv, plain.woe.tolist())
        for own in evidence_of_bank(lab.task.columns, train, bad):
            assert (own.rows.sum(), own.bads.sum()) == (train.sum(), (train & bad).sum())


def test_two_equations_are_spent_once_and_refused_past_the_budget(tmp_path):
    lab = laboratory(tmp_path, 1, 200, "plaintext")
    script = lambda: count_partners(LABEL, lab.task.partners, lab.y >= 0, lab.y > 0)  # noqa: E731
    spent = lambda: lab.answerers["telecom"].budgets.equations("bank", "data")  # noqa: E731
    before = spent()
    drive(script(), exchange_with(lab))
    drive(script(), exchange_with(lab))  # the same question, asked again, is free
    assert spent() == before + 2
    tight = OPEN.model_copy(update={"max_equations_share": (before + 1) / lab.answerers["telecom"].state.rows})
    refusing = laboratory(tmp_path / "other", 1, 200, "plaintext")
    refusing.answerers["telecom"].contract = tight
    with pytest.raises(RefusedError, match="max_equations_share"):
        drive(count_partners(LABEL, refusing.task.partners, lab.y >= 0, lab.y > 0), exchange_with(refusing))


def test_what_is_not_the_jobs_is_refused_and_a_lie_is_found(tmp_path):
    lab = laboratory(tmp_path, 2, 150, "plaintext")
    telecom = lab.answerers["telecom"]
    body = Cleartext(values=np.zeros((2, telecom.matrix.n), dtype=np.int64))
    with pytest.raises(IntegrityError, match="has not opened"):
        count_bins(
            telecom, BinCountsQuery(layout="telecom", label=Label("counts", JOB, 9), vectors=2, bits=8, body=body)
        )

    label = Label("counts", JOB, lab.task.partners[0].run, tree=9)
    with pytest.raises(RefusedError, match=r"counts were declared of 42 bits, where \d+ rows need \d+"):
        count_bins(telecom, BinCountsQuery(layout="telecom", label=label, vectors=2, bits=42, body=body))

    def lying(requests):
        replies = exchange_with(lab)(requests)
        told = replies["telecom"]
        return {**replies, "telecom": BinCounts(plaintext=told.plaintext, sums=told.sums + lie.view(np.uint64))}

    # One row too many; more bads than rows in one bin and fewer than none in the next, which adds up.
    for moved in ((1, 0), (500, -500)):
        lie = np.zeros((2, telecom.matrix.rows), dtype=np.int64)
        lie[1, :2] = moved
        with pytest.raises(IntegrityError, match="do not add up"):
            drive(count_partners(LABEL, lab.task.partners, lab.y >= 0, lab.y > 0), lying)


def test_definitions():
    even = Evidence(np.array([10, 10]), np.array([2, 2]))
    assert (even.iv, even.woe.tolist(), even.ks.tolist()) == (0.0, [0.0, 0.0], [0.0, 0.0])
    # Siddiqi's formula by hand: goods 30/40 and 10/40, bads 10/20 and 10/20
    two = Evidence(np.array([40, 20]), np.array([10, 10]))
    assert two.woe == pytest.approx([np.log(0.75 / 0.5), np.log(0.25 / 0.5)])
    assert two.iv == pytest.approx(0.25 * np.log(1.5) - 0.25 * np.log(0.5))
    assert two.ks == pytest.approx([0.25, 0.0])
    bare = Evidence(np.array([5, 0, 5]), np.array([0, 0, 5]))
    assert np.isfinite([*bare.woe, bare.iv]).all()
    assert bare.woe[1] == 0.0

"""Every consumer of the product on every engine: the same model, and the same counts, as in the clear."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from bank_node.linear.woe import count_partners
from experiments.laboratory import JOB, OPEN, Laboratory
from experiments.laboratory.glm import GlmLaboratory
from protocol.algorithms.boosting import SumsQuery
from protocol.algorithms.glm_parameters import GlmParams
from protocol.algorithms.parameters import BoostingParams
from protocol.algorithms.runs import Label
from protocol.errors import IntegrityError, RefusedError, UsageError
from protocol.he import engines
from protocol.he.base import Cleartext, KeyedVectors, KeyPair, OneHot
from protocol.he.plan import FieldBounds
from protocol.role import drive
from tests.conformance.oracle import make
from tests.conformance.test_woe import exchange_with

ROWS, PARAMS = 200, BoostingParams(n_estimators=1, max_depth=2, max_bin=4, min_child_weight=0.0)
NOISY = OPEN.model_copy(update={"histogram_noise": 1.0})


def engine_params(*names):
    return [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                not engines.installed(name), reason=f"{engines.about(name).distribution} is not installed"
            ),
        )
        for name in names
    ]


EVERY, COMPARED = engine_params("blind", "ckks", "paillier"), engine_params("ckks", "paillier")


@cache
def keys_of(engine: str) -> KeyPair:
    """One pair for all tests: two primes take seconds."""
    return engines.new_keys(engine, "bank")


def laboratory(folder, engine: str) -> Laboratory:
    """200 rows, a bank's column and three of a partner, missing values, some rows not held."""
    lab = make(folder / engine, 11, ROWS, 1, 3, 0.1, 0.9)
    return replace(lab, engine=engine, contract=NOISY, keys=keys_of(engine))


@pytest.mark.parametrize("engine", EVERY)
def test_every_consumer_gets_what_it_would_get_in_the_clear(tmp_path, engine):
    """Noise of the partner included, all are integers, so that even an approximate engine rounds to the same."""
    clear, sealed = laboratory(tmp_path, "plaintext"), laboratory(tmp_path, engine)
    grown, same = clear.train(PARAMS), sealed.train(PARAMS)
    assert any(node.party == "telecom" for tree in grown.model.trees for node in tree)
    assert same.model.sha256 == grown.model.sha256
    assert (same.margin == grown.margin).all()
    train, bad = np.arange(ROWS) % 3 > 0, clear.y > 0
    counts = [_counted(lab, train, bad) for lab in (clear, sealed)]
    assert counts[0].sum() > 0
    assert (counts[0] == counts[1]).all()


@pytest.mark.parametrize("engine", EVERY)
def test_a_regression_is_that_in_the_clear_within_the_scheme_s_tolerance(tmp_path, engine):
    """Exact on all but CKKS, whose sums of 62 bits are right to some 40: steps, curvature, and what correlations and
    variance inflation are read from."""
    open_ = OPEN.model_copy(update={"min_glm_columns": 1})
    fits = []
    for name in ("plaintext", engine):
        made = make(tmp_path / name, 11, ROWS, 1, 3, 0.1, 0.9)
        lab = GlmLaboratory(made.y, made.bank, made.partners, made.positions, tmp_path / name, open_, name)
        lab.keys = keys_of(name)
        fits.append(lab.fit(GlmParams(max_bin=4, min_iv=0.0, max_iter=1)))
    clear, sealed = fits
    assert np.ptp(clear.parts[1]) > 0
    assert abs(clear.margin - sealed.margin).max() <= (1e-5 if engine == "ckks" else 0)
    inflation = [one.at_start.inflation(one.active) for one in fits]
    assert inflation[0] == pytest.approx(inflation[1], rel=1e-5 if engine == "ckks" else 0, abs=0)
    curvature = clear.curvature.alone[0]
    assert abs(curvature - sealed.curvature.alone[0]).max() <= (1e-6 * curvature.max() if engine == "ckks" else 0)


def _counted(lab, train, bad):
    return drive(count_partners(Label("counts", JOB), lab.task.partners, train, bad), exchange_with(lab))["telecom"]


@pytest.mark.parametrize("engine", COMPARED)
def test_the_largest_sums_of_the_plan_open_exactly(tmp_path, engine):
    """|M·u + noise| up to 2^41 - 1, both signs, several vectors a query, columns in another order."""
    rng = np.random.default_rng(1)
    matrix = OneHot(rng.integers(0, 4, (150, 3)).astype(np.uint8), np.full(3, 4), ROWS, np.arange(20, 170))
    entry = (1 << 41) // 150
    vectors = np.stack([np.full(ROWS, entry), np.full(ROWS, -entry), rng.integers(-entry, entry, ROWS)])
    columns, dense = (2, 0), np.zeros((matrix.rows, ROWS), dtype=np.int64)
    for j in range(3):
        dense[matrix.offsets[j] + matrix.bins[:, j], matrix.positions] = 1
    rows = matrix.rows_of(columns)
    exact = vectors @ dense[rows].T
    noise = np.stack(
        [(1 << 41) - 1 - exact[0], -(1 << 41) + 1 - exact[1], rng.integers(-(1 << 40), 1 << 40, len(rows))]
    )
    keys = keys_of(engine)
    partner = engines.evaluator(engine, "bank", b"p" * 32, matrix, b"s" * 32, NoBudget(), keys.public)
    kit = engines.secret_kit(engine, "telecom", b"m" * 32, b"s" * 32, partner.hint(), ROWS, keys)
    labels = ("a", "b", "c")
    sealed = kit.seal(vectors, labels)
    answer = partner.answer(partner.check(sealed.body, labels, columns), noise)
    assert answer.nbytes <= engines.answer_bytes(engine, len(rows), len(labels), 1) < 3 * answer.nbytes
    assert (kit.open(sealed, rows, answer) == exact + noise).all()


class NoBudget:
    """Admits all."""

    def admit_seed(self, seed, matrix):
        """Any."""


MATRIX = OneHot(np.zeros((5, 1), dtype=np.uint8), np.array([2]), 5, np.arange(5))
BODIES = {
    "ckks": (KeyedVectors(parts=(b"no ciphertext",)), KeyedVectors(parts=())),
    "paillier": (KeyedVectors(parts=(b"no ciphertext",)), KeyedVectors(parts=())),
}


@pytest.mark.parametrize("engine", COMPARED)
def test_what_is_no_query_is_refused_by_name(engine):
    keys = keys_of(engine)
    partner = engines.evaluator(engine, "bank", b"p" * 32, MATRIX, b"s" * 32, NoBudget(), keys.public)
    garbled, short = BODIES[engine]
    for body, sentence in (
        (garbled, "bank: sent what is no ciphertext"),
        (short, "bank: sent a query of another length"),
        (Cleartext(values=np.zeros((1, 5), dtype=np.int64)), "bank: sent a query of another engine"),
    ):
        with pytest.raises(IntegrityError, match=sentence):
            partner.check(body, ["label"], [0])
    with pytest.raises(IntegrityError, match="bank: sent what is no ciphertext or key"):
        engines.evaluator(engine, "bank", b"p" * 32, MATRIX, b"s" * 32, NoBudget(), b"no key").hint()
    kit = engines.secret_kit(engine, "telecom", b"m" * 32, b"s" * 32, partner.hint(), 5, keys)
    sealed = kit.seal(np.ones((1, 5), dtype=np.int64), ["label"])
    with pytest.raises(IntegrityError, match="telecom: answered with another number"):
        kit.open(sealed, np.arange(2), np.zeros((0, 1), dtype=np.uint64))
    with pytest.raises(IntegrityError, match="telecom: sent what is no ciphertext"):
        kit.open(sealed, np.arange(2), np.array([[5, 7]], dtype=np.uint64))


@pytest.mark.skipif(not engines.installed("ckks"), reason="tenseal is not installed")
def test_a_modulus_too_large_for_its_dimension_is_refused():
    from experiments.engines.ckks.scheme import context
    from experiments.engines.parameters import CKKS

    for weaker in (replace(CKKS, n=4096), replace(CKKS, moduli=(60, 60, 60, 60))):
        with pytest.raises(RefusedError, match="less than 128-bit security; use one of at most 180 bits"):
            context(weaker)


@pytest.mark.skipif(not engines.installed("paillier"), reason="sf-heu is not installed")
def test_a_short_key_is_refused_on_both_sides():
    import heu.numpy as hnp

    from experiments.engines.octets import padded
    from experiments.engines.paillier.scheme import new_keys

    with pytest.raises(RefusedError, match="has a Paillier key of 2048 bits, of less than 128-bit security"):
        new_keys(2048)
    for scheme, sentence in (("z-paillier", "key of 1024 bits, of less than 128"), ("mock", "another scheme")):
        weak = padded(hnp.setup(scheme, 1024).public_key().serialize())
        with pytest.raises(RefusedError, match=sentence):
            engines.evaluator("paillier", "bank", b"p" * 32, MATRIX, b"s" * 32, NoBudget(), weak).hint()


@pytest.mark.parametrize("engine", ["ckks", "paillier"])
def test_a_missing_library_is_named_with_its_remedy(monkeypatch, engine):
    monkeypatch.setattr(engines, "find_spec", lambda package: None)
    for make_half in (
        lambda: engines.new_keys(engine, "bank"),
        lambda: engines.evaluator(engine, "bank", b"p" * 32, MATRIX, b"s" * 32, NoBudget()),
    ):
        with pytest.raises(
            UsageError, match=rf"engine {engine} needs a library .*pip install \S+\) or set engine = 'blind'"
        ):
            make_half()


@pytest.mark.parametrize("engine", COMPARED)
def test_a_query_says_that_it_is_encrypted(engine):
    kit = engines.secret_kit(engine, "telecom", b"m" * 32, b"s" * 32, np.zeros((2, 0), np.uint64), 5, keys_of(engine))
    body = kit.seal(np.ones((1, 5), dtype=np.int64), ["label"]).body
    bounds = FieldBounds(1, 4)
    query = SumsQuery(
        layout="l", labels=(Label("sums", JOB),), columns=(0,), packed=True, g=bounds, h=bounds, body=body
    )
    assert query.disclosure.encrypted

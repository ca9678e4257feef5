"""Sealing: rows whose keys are there are opened, of all others nothing is seen, and no pad covers two plaintexts."""

from hashlib import blake2b, sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.algorithms import sealing
from protocol.algorithms.boosting import SplitBits, Splits
from protocol.algorithms.sealing import RowKeys, SplitPads, open_bits, open_scores, seal_answer, seal_scores
from protocol.errors import IntegrityError
from protocol.messages import decode, encode
from tests.hostile.raw import unchecked

ROWS = st.integers(1, 70)
SEEDS = st.integers(0, 2**32 - 1)


def keys_of(rows: int, rng: np.random.Generator, matched: np.ndarray | None = None) -> tuple[RowKeys, RowKeys]:
    """The partner's keys of every row, and the bank's of the rows that it matched, in an order of its own."""
    keys = rng.integers(0, 256, (rows, 32), dtype=np.uint8)
    places = rng.permutation(rows)[: rng.integers(0, rows + 1)] if matched is None else matched
    return RowKeys(rows, np.arange(rows), keys), RowKeys(rows, places, keys[places])


def bits_of(rows: int, rng: np.random.Generator) -> SplitBits:
    sides = rng.integers(0, 3, rows)
    return SplitBits(np.packbits(sides == 1), np.packbits(sides == 2))


def read(bits: SplitBits, rows: int) -> np.ndarray:
    """Left and missing, shape (2, rows)."""
    return np.stack([np.unpackbits(vector, count=rows) for vector in (bits.left, bits.missing)])


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, seed=SEEDS, place=st.integers(0, 255))
def test_the_rows_with_keys_are_opened_and_all_others_are_missing(rows, seed, place):
    rng = np.random.default_rng(seed)
    theirs, ours = keys_of(rows, rng)
    clear, pad = bits_of(rows, rng), rng.bytes(16) + bytes([place])
    sealed = SplitPads(theirs, Splits.KIND, "layout").seal(clear, pad)
    (sent,) = decode(Splits.KIND, encode(Splits(bits=(sealed,), information_share=0.0))).bits
    opened = open_bits("p", SplitPads(ours, Splits.KIND, "layout"), rows, sent)
    matched = np.isin(np.arange(rows), ours.places)
    assert np.array_equal(read(opened, rows)[:, matched], read(clear, rows)[:, matched])
    assert (read(opened, rows)[:, ~matched] == [[0], [1]]).all()
    assert opened.pad == b""
    for vector in (sealed.left, sealed.missing):
        assert not np.unpackbits(vector)[rows:].any()


@settings(max_examples=30, deadline=None)
@given(rows=ROWS, seed=SEEDS, count=st.sampled_from([0, 1, 3, 256, 257]))
def test_whole_answers_are_opened_too(rows, seed, count):
    rng = np.random.default_rng(seed)
    theirs, ours = keys_of(rows, rng)
    clear = [bits_of(rows, rng) for _ in range(count)]
    sealed = seal_answer(theirs, "scoring.bits", "model", clear)
    assert len({bits.pad for bits in sealed}) == count
    pads = SplitPads(ours, "scoring.bits", "model")
    for before, after in zip(clear, sealed, strict=True):
        opened = open_bits("p", pads, rows, after)
        assert np.array_equal(read(opened, rows)[:, ours.places], read(before, rows)[:, ours.places])


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, seed=SEEDS)
def test_scores_of_any_size_are_opened(rows, seed):
    rng = np.random.default_rng(seed)
    theirs, ours = keys_of(rows, rng)
    scores = rng.integers(-(2**63), 2**63 - 1, rows)
    sealed, nonce = seal_scores(theirs, "glm.scores", "model", scores)
    opened = open_scores("p", ours, "glm.scores", "model", rows, sealed, nonce)
    assert np.array_equal(opened[ours.places], scores[ours.places])
    assert not np.delete(opened, ours.places).any()


def test_a_pad_is_as_documented():
    keys = RowKeys(1, np.arange(1), np.arange(32, dtype=np.uint8).reshape(1, 32))
    parts = (b"boosting.splits", b"layout", b"n" * 16)
    message = sha256(b"".join(len(part).to_bytes(8, "little") + part for part in parts)).digest()
    stream = blake2b(message, key=bytes(range(32)), person=b"fedwarn.v1 pad").digest()
    zero = SplitBits(np.zeros(1, np.uint8), np.zeros(1, np.uint8))
    for place in (0, 1, 5, 255):
        sealed = SplitPads(keys, "boosting.splits", "layout").seal(zero, b"n" * 16 + bytes([place]))
        pair = (stream[place // 4] >> (2 * (place % 4))) & 3
        assert (sealed.left[0] >> 7, sealed.missing[0] >> 7) == (pair & 1, pair >> 1)


def test_purpose_subject_nonce_and_place_each_change_the_pads():
    rng = np.random.default_rng(1)
    rows, pad = 800, b"n" * 16 + b"\0"
    keys, _ = keys_of(rows, rng)
    clear = bits_of(rows, rng)
    sealed = [
        SplitPads(keys, purpose, subject).seal(clear, at).left.tobytes()
        for purpose, subject, at in (
            ("a", "b", pad), ("c", "b", pad), ("a", "c", pad), ("a", "b", b"m" * 16 + b"\0"),
            ("a", "b", b"n" * 16 + b"\1"), ("ab", "", pad), ("", "ab", pad),
        )
    ]  # fmt: skip
    assert len(set(sealed)) == len(sealed)
    assert sealed[0] == SplitPads(keys, "a", "b").seal(clear, pad).left.tobytes()


def test_an_equal_answer_is_equal_bytes_and_another_has_other_pads():
    """Of a table that changed in one row, the difference of two answers would else name that row and both values."""
    rng = np.random.default_rng(2)
    rows = 400
    keys, _ = keys_of(rows, rng)
    scores = rng.integers(-1000, 1000, rows)
    changed = scores + (np.arange(rows) == 7)
    first, again, other = (seal_scores(keys, "glm.scores", "m", values) for values in (scores, scores.copy(), changed))
    assert first[1] == again[1] != other[1]
    assert np.array_equal(first[0], again[0])
    assert (first[0] != other[0]).all()
    bits = [bits_of(rows, rng)]
    flipped = [SplitBits(bits[0].left ^ (np.arange(50) == 3).astype(np.uint8), bits[0].missing)]
    one, twice, two = (seal_answer(keys, "scoring.bits", "m", answer)[0] for answer in (bits, list(bits), flipped))
    assert one.pad == twice.pad != two.pad
    assert one.left.tobytes() == twice.left.tobytes()
    assert 100 < int(np.unpackbits(one.left ^ two.left).sum()) < 300


def test_many_blocks_keep_few_in_memory():
    rng = np.random.default_rng(3)
    keys, _ = keys_of(9, rng)
    pads, clear = SplitPads(keys, "a", "b"), bits_of(9, rng)
    names = [bytes([k]) * 16 + b"\0" for k in range(5)]
    sealed = [pads.seal(clear, name).left.tobytes() for name in names]
    assert len(pads._blocks) == sealing._BLOCKS_KEPT
    assert [pads.seal(clear, name).left.tobytes() for name in names] == sealed


@pytest.mark.parametrize("wrong", ["left", "missing", "no pad", "short pad", "alignment without keys"])
def test_bits_of_another_form_are_refused(wrong):
    rng = np.random.default_rng(4)
    theirs, ours = keys_of(20, rng, np.arange(5))
    pads, bits = SplitPads(ours, "a", "b"), SplitPads(theirs, "a", "b").seal(bits_of(20, rng), b"n" * 17)
    forms = {
        "left": unchecked(bits, left=bits.left[:2]),
        "missing": unchecked(bits, missing=np.zeros((1, 3), np.uint8)),
        "no pad": SplitBits(bits.left, bits.missing),
        "short pad": SplitBits(bits.left, bits.missing, b"n" * 16),
    }
    with pytest.raises(IntegrityError, match="p: answered with split bits of another form than the alignment of 20"):
        open_bits("p", None if wrong == "alignment without keys" else pads, 20, forms.get(wrong, bits))


@pytest.mark.parametrize(("rows", "nonce"), [(19, b"n" * 16), (20, b""), (20, b"n" * 15)])
def test_scores_of_another_form_are_refused(rows, nonce):
    _, ours = keys_of(20, np.random.default_rng(5), np.arange(5))
    with pytest.raises(IntegrityError, match="p: answered with scores of another form"):
        open_scores("p", ours, "a", "b", 20, np.zeros(rows, np.int64), nonce)
    with pytest.raises(IntegrityError, match="p: answered with scores of another form"):
        open_scores("p", None, "a", "b", 20, np.zeros(20, np.int64), b"n" * 16)

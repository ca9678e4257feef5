"""The group: known answers, the laws it must obey, and what it refuses."""

import hashlib
from functools import partial

import numpy as np
import pytest
import rbcl
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.algorithms import group

GENERATOR = bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")
ORDER = 2**252 + 27742317777372353535851937790883648493
FROM_LABEL = {  # RFC 9496, A.3: SHA-512 of the label, through the one-way map
    "Ristretto is traditionally a short shot of espresso coffee":
        "3066f82a1a747d45120d1740f14358531a8f04bbffe6a819f86dfe50f44a0a46",
    "made with the normal amount of ground coffee but extracted with":
        "f26e5b6f7d362d2d2a94c5d0e7602cb4773c95a2e5c31a64f133189fa76ed61b",
}  # fmt: skip
INVALID = {  # RFC 9496, A.2
    "not reduced": "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "negative": "0100000000000000000000000000000000000000000000000000000000000000",
    "not a square": "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
    "the identity": "00" * 32,
}


def points(*encodings: bytes) -> np.ndarray:
    return np.frombuffer(b"".join(encodings), dtype=np.uint8).reshape(-1, 32)


def scalar(value: int) -> bytes:
    return (value % ORDER).to_bytes(32, "little")


@pytest.mark.parametrize(("label", "encoding"), FROM_LABEL.items())
def test_the_map_to_the_group_is_that_of_the_standard(label, encoding):
    assert rbcl.crypto_core_ristretto255_from_hash(hashlib.sha512(label.encode()).digest()).hex() == encoding


def test_an_id_is_hashed_under_its_domain():
    expected = rbcl.crypto_core_ristretto255_from_hash(hashlib.sha512(b"fedwarn.v1 id\0" + b"1001").digest())
    assert group.hash_to_group([b"1001"]).tobytes() == expected
    assert expected.hex() == "70dd037e2c65ab2e0cbdacf8480a1fc023a6c0d95260cdf28f929114eac73221"


def test_the_first_multiple_of_the_generator_is_itself():
    assert group.multiply(points(GENERATOR), scalar(1)).tobytes() == GENERATOR


@settings(max_examples=20, deadline=None)
@given(st.integers(1, ORDER - 1), st.integers(1, ORDER - 1), st.binary(max_size=20))
def test_blindings_commute_and_come_off(a, b, value):
    x = group.hash_to_group([value])
    both = group.multiply(group.multiply(x, scalar(a)), scalar(b))
    assert both.tobytes() == group.multiply(group.multiply(x, scalar(b)), scalar(a)).tobytes()
    assert both.tobytes() == group.multiply(x, scalar(a * b)).tobytes()
    assert group.multiply(both, group.inverse(scalar(a))).tobytes() == group.multiply(x, scalar(b)).tobytes()


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 1000])
def test_work_in_pieces_is_the_work_in_order(count):
    ids, secret = [b"%d" % k for k in range(count)], group.random_scalar()
    whole = group.hash_and_multiply(ids, secret)
    pending = group.start(group.hash_to_group, ids)
    assert np.array_equal(group.start(partial(group.hash_and_multiply, scalar=secret), ids).result(), whole)
    assert np.array_equal(group.raised(pending.result(), secret), whole)
    for first, some in ((0, count), (count // 3, count // 2), (count // 2, 0)):
        assert np.array_equal(pending.result(first, some), group.hash_to_group(ids)[first : first + some])


def test_tag_and_key_of_a_row_are_as_documented():
    point = group.hash_to_group([b"1001"])
    made = hashlib.blake2b(point.tobytes(), digest_size=48, person=b"fedwarn.v1 row").digest()
    assert group.row_secrets(point).tobytes() == made
    assert group.row_secrets(point[:0]).shape == (0, 48)


def test_both_sides_make_the_same_secrets_of_an_id():
    a, b, ids = scalar(7), scalar(11), [b"%d" % k for k in range(5)]
    theirs = group.secrets_of_ids(ids, b)
    twice = group.multiply(group.hash_and_multiply(ids, a), b)
    assert np.array_equal(group.secrets_of_points(twice, group.inverse(a)), theirs)
    assert len({row.tobytes() for row in theirs}) == 5


@pytest.mark.parametrize("encoding", INVALID.values(), ids=INVALID.keys())
def test_what_is_no_point_is_refused_wherever_it_stands(encoding):
    row = points(GENERATOR, bytes.fromhex(encoding), GENERATOR)
    for kernel in (group.multiply, group.secrets_of_points):
        with pytest.raises(group.NotAPoint):
            kernel(row, scalar(5))
        assert len(kernel(row[::2], scalar(5))) == 2


def test_an_array_of_another_shape_is_no_array_of_points():
    for wrong in (np.zeros(32, np.uint8), np.ones((1, 31), np.uint8), np.ones((1, 32), np.int64)):
        with pytest.raises(group.NotAPoint):
            group.multiply(wrong, scalar(1))


def test_scalars_are_fresh_reduced_and_not_zero():
    drawn = {group.random_scalar() for _ in range(200)}
    assert len(drawn) == 200
    assert all(0 < int.from_bytes(s, "little") < ORDER for s in drawn)

"""The look-up's function: RFC 9497, VOPRF(ristretto255, SHA-512); vectors of its appendix A.1.2."""

from dataclasses import dataclass

import numpy as np
import pytest

from protocol.algorithms import group, voprf
from protocol.algorithms.group import NotAPoint

KEY = bytes.fromhex("e6f73f344b79b379f1a0dd37e07ff62e38d9f71345ce62ae3a9bc60b04ccd909")
PUBLIC = bytes.fromhex("c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e")


@dataclass(frozen=True)
class Vector:
    """Hexadecimal; several values are joined by commas."""

    value: str
    blind: str
    blinded: str
    evaluated: str
    output: str
    random: str
    proof: str


ONE = Vector(
    "00",
    "64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706",
    "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945",
    "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e",
    "b58cfbe118e0cb94d79b5fd6a6dafb98764dff49c14e1770b566e42402da1a7d"
    "a4d8527693914139caee5bd03903af43a491351d23b430948dd50cde10d32b3c",
    "222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e",
    "ddef93772692e535d1a53903db24367355cc2cc78de93b3be5a8ffcc6985dd06"
    "6d4346421d17bf5117a2a1ff0fcb2a759f58a539dfbe857a40bce4cf49ec600d",
)
TWO = Vector(
    "00,5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
    f"{ONE.blind},222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e",
    f"{ONE.blinded},90a0145ea9da29254c3a56be4fe185465ebb3bf2a1801f7124bbbadac751e654",
    f"{ONE.evaluated},cc5ac221950a49ceaa73c8db41b82c20372a4c8d63e5dded2db920b7eee36a2a",
    f"{ONE.output},8a9a2f3c7f085b65933594309041fc1898d42d0858e59f90814ae90571a6df60"
    "356f4610bf816f27afdd84f47719e480906d27ecd994985890e5f539e7ea74b6",
    "419c4f4f5052c53c45f3da494d2b67b220d02118e0857cdbcf037f9ea84bbe0c",
    "cc203910175d786927eeb44ea847328047892ddf8590e723c37205cb74600b0a"
    "5ab5337c8eb4ceae0494c2cf89529dcf94572ed267473d567aeed6ab873dee08",
)


def values(text: str) -> list[bytes]:
    return [bytes.fromhex(one) for one in text.split(",")]


def points(text: str) -> np.ndarray:
    return np.frombuffer(b"".join(values(text)), dtype=np.uint8).reshape(-1, 32)


@pytest.mark.parametrize("vector", [ONE, TWO], ids=["one", "batch"])
def test_the_vectors_of_the_rfc(vector):
    assert voprf.public_key(KEY) == PUBLIC
    blinded, evaluated = points(vector.blinded), points(vector.evaluated)
    hashed = voprf.points_of(values(vector.value))
    for k, blind in enumerate(values(vector.blind)):
        assert np.array_equal(group.multiply(hashed[k : k + 1], blind), blinded[k : k + 1])
        output = voprf.finalize(values(vector.value)[k], blind, evaluated[k].tobytes())
        assert output == values(vector.output)[k]
    assert np.array_equal(group.multiply(blinded, KEY), evaluated)
    proof = voprf.prove(KEY, blinded, evaluated, bytes.fromhex(vector.random))
    assert proof.hex() == vector.proof
    assert voprf.verified(PUBLIC, blinded, evaluated, proof)


def test_a_proof_holds_for_nothing_else():
    blinded = voprf.points_of([bytes([k]) for k in range(5)])
    evaluated = group.multiply(blinded, KEY)
    proof = voprf.prove(KEY, blinded, evaluated, group.random_scalar())
    assert voprf.verified(PUBLIC, blinded, evaluated, proof)
    other = evaluated.copy()
    other[3] = group.multiply(blinded[3:4], group.random_scalar())[0]
    for wrong in (other, evaluated[::-1], evaluated[:4]):
        assert not voprf.verified(PUBLIC, blinded, wrong, proof)
    assert not voprf.verified(voprf.public_key(group.random_scalar()), blinded, evaluated, proof)
    assert not voprf.verified(PUBLIC, blinded, evaluated, bytes(64))
    assert not voprf.verified(PUBLIC, blinded, evaluated, proof[:-1])
    assert not voprf.verified(PUBLIC, blinded[:0], evaluated[:0], proof)
    no_points = np.full_like(evaluated, 255)
    assert not voprf.verified(PUBLIC, blinded, no_points, proof)
    with pytest.raises(NotAPoint):
        voprf.prove(KEY, no_points, evaluated, group.random_scalar())

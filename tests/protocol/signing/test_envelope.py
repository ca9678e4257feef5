"""DSSE envelopes: the specification's test vectors, restated with the keys of RFC 8032, and what is refused."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from protocol.signing.envelope import Envelope, NotAnEnvelope, read_envelope, strict_json
from protocol.signing.keys import public_of

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "dsse.json").read_text(encoding="utf-8"))
KEYS = {name: key["public"] for name, key in VECTORS["keys"].items()}


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["id"])
def test_an_envelope_is_accepted_or_rejected_as_the_specification_says(vector):
    trusted = {name: KEYS[name] for name in vector["trustedKeys"]}
    try:
        envelope = read_envelope(json.dumps(vector["envelope"]).encode())
        enough = len(envelope.signers(trusted)) >= vector["threshold"]
        accepted = enough and envelope.payload_type in vector["supportedPayloadTypes"]
    except NotAnEnvelope:
        accepted = False
    assert accepted == (vector["expect"] == "accept")
    if accepted and "pae" in vector:
        assert envelope.encoding.hex() == vector["pae"]


@given(st.binary(max_size=64), st.text(max_size=20), st.integers(0, 2**32))
def test_a_signature_covers_every_byte_of_payload_and_type(payload, kind, where):
    key = Ed25519PrivateKey.generate()
    envelope = Envelope(payload, (), kind).signed(key)
    keys = {"bank": public_of(key)}
    assert read_envelope(envelope.to_json().encode()).signers(keys) == {"bank"}
    changed = bytearray(payload + b"x")
    changed[where % len(changed)] ^= 1
    assert Envelope(bytes(changed), envelope.signatures, kind).signers(keys) == set()
    assert Envelope(payload, envelope.signatures, kind + " ").signers(keys) == set()


def test_one_key_signs_once():
    key = Ed25519PrivateKey.generate()
    envelope = Envelope(b"{}").signed(key).signed(key)
    assert len(envelope.signatures) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"a": 1, "a": 2}', "says 'a' twice"),
        (b'{"payload": "e30=", "payloadType": "t", "signatures": [], "payload": "e30="}', "says 'payload' twice"),
        (b'{"a": NaN}', "NaN is no number"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff", "not JSON"),
    ],
)
def test_what_says_a_thing_twice_or_is_not_json_is_refused(text, why):
    with pytest.raises(NotAnEnvelope, match=why):
        strict_json(text)


@pytest.mark.parametrize("field", ["payload", "payloadType", "signatures"])
def test_an_envelope_without_a_field_is_none(field):
    whole = json.loads(Envelope(b"{}").to_json())
    whole.pop(field)
    with pytest.raises(NotAnEnvelope):
        read_envelope(json.dumps(whole).encode())


def test_an_envelope_of_another_alphabet_than_base64_is_none():
    whole = {"payload": "e30=!", "payloadType": "t", "signatures": []}
    with pytest.raises(NotAnEnvelope, match="not base64"):
        read_envelope(json.dumps(whole).encode())
    assert read_envelope(json.dumps({**whole, "payload": base64.b64encode(b"{}").decode()}).encode()).payload == b"{}"

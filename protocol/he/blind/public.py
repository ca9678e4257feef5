"""Public randomness: a seed to which every party that shares a query has contributed a nonce."""

from collections.abc import Sequence

from protocol.he.parameters import ETA, LOG2_Q, N
from protocol.he.streams import digest


def public_seed(alignment: str, parties: Sequence[str], nonces: Sequence[bytes]) -> bytes:
    """The seed of a_1 .. a_J and a': no party can choose it. nonces: 32 bytes a party, in order of `parties`."""
    parameters = f"blind N={N} log2_q={LOG2_Q} eta={ETA}"
    names = [party.encode() for party in parties]
    return digest(b"fedwarn.v1 seed", parameters.encode(), alignment.encode(), *names, *nonces)


def hint_id(seed: bytes, matrix: bytes) -> bytes:
    """Names a hint: its seed and its matrix."""
    return digest(b"fedwarn.v1 hint", seed, matrix)

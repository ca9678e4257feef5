"""Public randomness: a seed to which every party that shares a query has contributed a nonce."""

from collections.abc import Sequence

from protocol.he.parameters import ONE_HOT, Parameters
from protocol.he.streams import digest


def public_seed(alignment: str, parties: Sequence[str], nonces: Sequence[bytes], ring: Parameters = ONE_HOT) -> bytes:
    """The seed of a_1 .. a_J and a': no party can choose it. nonces: 32 bytes a party, in order of `parties`."""
    parameters = f"blind N={ring.n} log2_q={ring.log2_q} eta={ring.eta}"
    names = [party.encode() for party in parties]
    return digest(b"fedwarn.v1 seed", parameters.encode(), alignment.encode(), *names, *nonces)


def hint_id(seed: bytes, matrix: bytes) -> bytes:
    """Names a hint: its seed and its matrix."""
    return digest(b"fedwarn.v1 hint", seed, matrix)

"""Engine `ckks`: the product under CKKS, by the SEAL inside TenSEAL. For comparison, not for use.

A vector lies in the slots of J ciphertexts, S = N/2 of its entries each. The rows of M, padded to a power of two R,
become R generalised diagonals, D_k[s] = M[s mod R, s + k]; then

    out = sum_k rot(u, k) ⊙ D_k, added up over rotations by R, 2R .. S/2,    out[r] = sum_i M[r, i] u[i]

with the k taken in baby and giant steps. The result is rounded to integers: exact, as long as sums stay below 2^41.

What it gives away: SEAL has no circuit privacy. The bank made the keys and knows every error in its query and in its
rotation keys, so the error of an answer, at full precision, is a known linear function of M: about N equations an
answer, from which M follows. Rounding the decrypted value protects the bank's key alone (Li and Micciancio, Eurocrypt
2021). `blind` floods that error; nothing does so here.

Source: Cheon, Kim, Kim, Song, Asiacrypt 2017; Halevi and Shoup, Crypto 2014 (diagonals), Crypto 2018 (steps).
"""

from collections.abc import Callable
from typing import Any, Final

import tenseal.sealapi as seal

from experiments.engines.octets import from_file, padded, through_file, unpadded
from experiments.engines.parameters import CKKS, CkksParameters
from protocol.errors import IntegrityError, RefusedError
from protocol.he.base import KeyPair

SLOTS: Final = CKKS.n // 2
VECTOR_SCALE: Final = 2.0**CKKS.vector_log2
MATRIX_SCALE: Final = 2.0**CKKS.matrix_log2
INTEGER_VECTOR_SCALE: Final = 2.0**CKKS.integer_vector_log2
INTEGER_MATRIX_SCALE: Final = 2.0**CKKS.integer_matrix_log2
_ROTATIONS: Final = [1 << k for k in range(SLOTS.bit_length() - 1)]


def context(parameters: CkksParameters = CKKS) -> Any:
    """SEAL's context. Raises: RefusedError: less than 128-bit security, by the table of the HE standard."""
    chosen = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
    chosen.set_poly_modulus_degree(parameters.n)
    chosen.set_coeff_modulus(seal.CoeffModulus.Create(parameters.n, list(parameters.moduli)))
    made = seal.SEALContext(chosen, True, seal.SEC_LEVEL_TYPE.TC128)
    if not made.parameters_set():
        raise RefusedError(
            "ckks",
            f"a modulus of {parameters.log2_q} bits in dimension {parameters.n} has less than 128-bit security",
            f"use one of at most {CKKS.log2_q} bits in dimension {CKKS.n}",
        )
    return made


def new_keys() -> KeyPair:
    """A secret key, and the keys for rotations by powers of two."""
    generator = seal.KeyGenerator(context())
    elements = [pow(3, step, 2 * CKKS.n) for step in _ROTATIONS]
    return KeyPair(
        secret=padded(through_file(generator.secret_key().save)),
        public=padded(through_file(generator.create_galois_keys(elements).save)),
    )


def read_ciphertext(made: Any, text: bytes, party: str) -> Any:
    """A ciphertext under the context. Raises: IntegrityError: as `read`."""
    value = seal.Ciphertext()
    read(party, text, lambda path: value.load(made, path))
    return value


def read(party: str, text: bytes, load: Callable[[str], object]) -> None:
    """SEAL checks what it reads against the context. Raises: IntegrityError: of other parameters, or garbled."""
    try:
        from_file(unpadded(text), load)
    except (RuntimeError, ValueError) as error:
        raise unreadable(party) from error


def unreadable(party: str) -> IntegrityError:
    return IntegrityError(
        party,
        "sent what is no ciphertext or key under the agreed CKKS parameters",
        "run the same version on both sides",
    )

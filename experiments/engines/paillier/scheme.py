"""Engine `paillier`: the product under Paillier's encryption, by SecretFlow's HEU. For comparison, not for use.

A row's entries of up to 47 vectors lie side by side in one number, 64 bits each, so that a query has one ciphertext a
row, and a bin's sum is one product of ciphertexts. The sums of several bins are packed into one number again before
they are sent (SecureBoost+, arXiv:2110.10927): fewer bytes, and fewer of the slow decryptions.

What it gives away: the sums, and nothing else; a fresh encryption of the noise, added last, makes an answer a fresh
ciphertext of its value. HEU's variant draws short exponents (Damgård, Jurik and Nielsen), an assumption of its own.

Source: Paillier, Eurocrypt 1999.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import heu.numpy as hnp
from heu import phe

from experiments.engines.octets import padded, unpadded
from experiments.engines.parameters import PAILLIER_BITS
from protocol.errors import IntegrityError, RefusedError
from protocol.he.base import KeyPair

SCHEME: Final = phe.SchemaType.ZPaillier
ENCODER: Final = phe.BigintEncoder(SCHEME)
NUMBER_BYTES: Final = 2 * PAILLIER_BITS // 8 + 16
"""Of a ciphertext, with what HEU writes about it."""
FAULTS: Final = (RuntimeError, ValueError, TypeError)
"""What HEU raises at texts that it cannot read."""


@contextmanager
def quiet() -> Iterator[None]:
    """HEU tells of its thread pool on standard output, where our data goes: send that to the talk."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        ctypes.CDLL(None).fflush(None)  # it waits in the library's own buffer
        os.dup2(kept, 1)
        os.close(kept)


def new_keys(bits: int = PAILLIER_BITS) -> KeyPair:
    """A key pair: seconds, for it takes two primes. Raises: RefusedError: less than 128-bit security."""
    require_strong("paillier", bits)
    with quiet():
        kit = hnp.setup(SCHEME, bits)
        kit.encryptor().encrypt(hnp.array([0, 0], ENCODER))
    return KeyPair(padded(kit.secret_key().serialize()), padded(kit.public_key().serialize()))


def require_strong(party: str, bits: int) -> None:
    if bits < PAILLIER_BITS:
        raise RefusedError(
            party, f"has a Paillier key of {bits} bits, of less than 128-bit security", f"use {PAILLIER_BITS} bits"
        )


def write(numbers: Any) -> bytes:
    """An array of ciphertexts, padded to the most that so many may take."""
    return padded(numbers.serialize(), NUMBER_BYTES * int(numbers.size) + 64)


def read(text: bytes, party: str) -> Any:
    """The array of `write`. Raises: IntegrityError."""
    try:
        return hnp.CiphertextArray.load_from(unpadded(text))
    except FAULTS as error:
        raise unreadable(party) from error


def unreadable(party: str) -> IntegrityError:
    return IntegrityError(
        party, "sent what is no ciphertext or key of Paillier's scheme", "run the same version on both sides"
    )

"""Parameters of the engines for comparison."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class CkksParameters:
    """Of engine `ckks`. moduli: bits of the primes of q, of which the last serves key switching alone.

    vector_log2, matrix_log2: scales of a vector and of a matrix. A sum below 2^41 in size stays below q / 2 without
    the last prime: 41 + 28 + 49 < 119. Its error stays below 1/2: from rounding the scaled matrix, 2^(5 - 49) of the
    vector's length; from errors of ciphertexts and rotations, about 2^(12 - 28) times the root of the number of rows.

    Sums of whole numbers, below 2^62, leave less room for scales: 62 + 34 + 22 < 119. They are right to some 40 bits.
    """

    n: int
    moduli: tuple[int, ...]
    vector_log2: int
    matrix_log2: int
    integer_vector_log2: int
    integer_matrix_log2: int

    @property
    def log2_q(self) -> int:
        """Bits of the whole modulus, on which security depends."""
        return sum(self.moduli)


CKKS: Final = CkksParameters(8192, (60, 60, 60), 28, 49, 34, 22)
"""The HE standard of 2018 allows 218 bits at N = 8192 for 128-bit security, ternary secrets."""

PAILLIER_BITS: Final = 3072
"""Of the modulus: 128-bit security (NIST SP 800-57, part 1, table 2)."""
CLASSICAL_BITS: Final = 128
"""What the parameters of either engine stand for."""

"""The lattice parameters that may be used, each with its security; nothing else runs.

Bits are classical, by the lattice estimator's MATZOV model; both rows lie inside the tables of the 2018 HE
standard and of eprint 2024/463.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Parameters:
    """One allowed choice: ring Z_q[x]/(x^n + 1), q = 2^log2_q, ternary secrets, centred binomial errors."""

    n: int
    log2_q: int
    eta: int
    secret: str
    classical_bits: float


ALLOWED: Final = (
    Parameters(4096, 104, 21, "uniform ternary", 131.6),
    Parameters(8192, 208, 21, "uniform ternary", 132.1),
)

ONE_HOT: Final = ALLOWED[0]
"""The ring for one-hot matrices."""
INTEGERS: Final = ALLOWED[1]
"""The ring for matrices of whole numbers."""

N: Final = ONE_HOT.n
LOG2_Q: Final = ONE_HOT.log2_q
ETA: Final = ONE_HOT.eta

LOW_BITS: Final = 40
"""A residue is high * 2^40 + low; only `high` of hints and answers is sent."""
MAX_ROWS: Final = 1 << 22
"""Length of a row space: the sum of so many low words, and of N more, stays a signed word."""
DELTA_LOG2: Final = 62
"""Delta: a plaintext unit is 2^62, so that 42 signed bits fit below q."""
FLOOD_BITS: Final = 60
"""E is the sum of three uniform integers of this width."""
LIMB_BITS: Final = 26
LIMBS: Final = LOG2_Q // LIMB_BITS
FLOOD_BUDGET_LOG2: Final = 39.8
"""A hint's answers together may spend this much, for a statistical distance below 2^-40."""
STATISTICAL_BITS_TOTAL: Final = 40


def require_allowed(parameters: Parameters) -> None:
    """Refuse parameters without a row in the table. Raises: ValueError."""
    if parameters not in ALLOWED:
        raise ValueError(f"parameters {parameters} are not in the table of allowed parameters")

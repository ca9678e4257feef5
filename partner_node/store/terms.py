"""What stands behind a linear model at a partner: the columns by name, what encodes them, and their coefficients."""

import msgspec

from protocol.algorithms.preparing import Encoding


class KeptTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What stands behind a model: its columns, and coefficients in millionths.

    among: all partners of it, where its scores leave under masks alone that hide them in the sum of theirs.
    """

    terms: tuple[Encoding, ...]
    coefficients: tuple[int, ...]
    among: tuple[str, ...] = ()

"""The judge of the blind product over whole numbers: that of `reference.py`, in the ring of the second row."""

from functools import partial

from tests.protocol.he import reference

WIDE = reference.Ring(
    n=8192, log2_q=208, delta=144, cut=128,
    slot=256,  # 208 + 13 for the sum, 25 for entries of M, a sign
    parts=((0, 26),), flood=(128, 16),
)  # fmt: skip
Q, CUT = WIDE.q, WIDE.cut

public_seed = partial(reference.public_seed, ring=WIDE)
public = partial(reference.public, ring=WIDE)
Partner = partial(reference.Partner, ring=WIDE)
Bank = partial(reference.Bank, ring=WIDE)
open_whole = partial(reference.open_whole, ring=WIDE)

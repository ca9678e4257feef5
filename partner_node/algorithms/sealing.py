"""The partner's half of sealing split bits: every split of a layout has a pad of its own, for life."""

from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_bytes

from protocol.algorithms.boosting import Split, SplitBits, Splits
from protocol.algorithms.sealing import NONCE_BYTES, SPLITS_A_BLOCK, RowKeys, SplitPads

Remember = Callable[[Split, bytes], bytes]
"""Keeps the pad of a split that has none yet; returns the one that is kept."""


@dataclass
class SplitSealer:
    """Seals the split bits of one layout. remember: on disk, before the bits leave.

    The nonce of its block is drawn by this object and written nowhere as the block to go on with. So neither a restart
    nor a restored copy of the state folder gives one pad to two splits.
    """

    pads: SplitPads
    remember: Remember = field(repr=False)
    _nonce: bytes = field(default_factory=lambda: token_bytes(NONCE_BYTES), init=False, repr=False)
    _place: int = field(default=0, init=False)

    def seal(self, split: Split, bits: SplitBits) -> SplitBits:
        """The bits of every row under the pad of the split; a repeat is the same bytes."""
        fresh = self._nonce + bytes([self._place])
        pad = self.remember(split, fresh)
        if pad == fresh:
            self._advance()
        return self.pads.seal(bits, pad)

    def _advance(self) -> None:
        self._place += 1
        if self._place == SPLITS_A_BLOCK:
            self._nonce, self._place = token_bytes(NONCE_BYTES), 0


def sealer_of(keys: RowKeys | None, layout: str, remember: Remember) -> SplitSealer | None:
    """What seals the split bits of a layout; None where the alignment seals nothing."""
    return SplitSealer(SplitPads(keys, Splits.KIND, layout), remember) if keys else None

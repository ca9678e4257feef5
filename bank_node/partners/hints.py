"""Hints at hand: kept from before, or asked for now, each with the public seed and the keys that it is under."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bank_node.partners.arrays import save_arrays
from protocol.files import file_named
from protocol.he.base import NO_KEYS, KeyPair
from protocol.he.blind.public import public_seed
from protocol.he.engines import new_keys
from protocol.he.parameters import Parameters
from protocol.he.streams import fresh_key

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class KeptHint:
    """seed: public, of the matrix A. hint: as the engine's evaluator gave it. keys: the bank's, if it has some."""

    seed: bytes
    hint: Array
    keys: KeyPair

    def __repr__(self) -> str:
        return "KeptHint(...)"


@dataclass(frozen=True)
class Hints:
    """A folder of hints. progress: told before and after one is asked for."""

    folder: Path
    bank: str
    engine: str
    progress: Callable[[str, int, int], None]

    def of(
        self, name: str, partner: str, ask_for: Callable[[bytes, bytes], Array], seeded: str, theirs: bytes,
        ring: Parameters,
    ) -> KeptHint:  # fmt: skip
        """The hint of a layout or design.

        ask_for: the hint, by the bank's nonce and public keys. seeded: what the seed names. theirs: its
        nonce.
        """
        path = file_named(self.folder, name, f"-{self.engine}.npz", partner)
        if not path.exists():
            nonce, keys = fresh_key(), new_keys(self.engine, self.bank)
            self.progress("hint", 0, 1)
            hint = ask_for(nonce, keys.public)
            self.progress("hint", 1, 1)
            _save(path, KeptHint(public_seed(seeded, [self.bank, partner], [nonce, theirs], ring), hint, keys))
        return _load(path)


def _save(path: Path, kept: KeptHint) -> None:
    octets = {"seed": kept.seed, "secret": kept.keys.secret, "public": kept.keys.public}
    save_arrays(path, hint=kept.hint, **{name: np.frombuffer(value, dtype=np.uint8) for name, value in octets.items()})


def _load(path: Path) -> KeptHint:
    with np.load(path, allow_pickle=False) as kept:
        keys = KeyPair(kept["secret"].tobytes(), kept["public"].tobytes()) if "secret" in kept else NO_KEYS
        return KeptHint(kept["seed"].tobytes(), kept["hint"], keys)

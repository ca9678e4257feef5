"""Hints at hand: kept from before, or asked for now, each with the public seed and the keys that it is under."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bank_node.partners.arrays import save_arrays
from protocol.files import file_named, opened_arrays
from protocol.he.base import NO_KEYS, KeyPair
from protocol.he.blind.public import public_seed
from protocol.he.blind.stored_hint import StoredHint, write_parts
from protocol.he.engines import new_keys
from protocol.he.parameters import Parameters
from protocol.he.streams import fresh_key

Array = npt.NDArray[Any]
AskFor = Callable[[bytes, bytes, range], Array]


@dataclass(frozen=True)
class KeptHint:
    """seed: public, of the matrix A. hint: as the engine's evaluator gave it, or `StoredHint` of a large one.

    keys: the bank's, if it has some.
    """

    seed: bytes
    hint: Any
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
        self, name: str, partner: str, ask_for: AskFor, seeded: str, theirs: bytes, ring: Parameters,
        parts: Sequence[range] = (range(0),),
    ) -> KeptHint:  # fmt: skip
        """The hint of a layout or design.

        ask_for: a part of the hint, by the bank's nonce, its public keys and the rows. seeded: what the seed names.
        theirs: its nonce. parts: rows that are asked for together; of several, none is in memory after it is written.
        """
        path = file_named(self.folder, name, f"-{self.engine}.npz", partner)
        stored = file_named(self.folder, name, f"-{self.engine}.rows", partner)
        if not path.exists():
            nonce, keys = fresh_key(), new_keys(self.engine, self.bank)
            self.progress("hint", 0, len(parts))

            def asked() -> Iterator[Array]:
                for k, rows in enumerate(parts):
                    yield ask_for(nonce, keys.public, rows)
                    self.progress("hint", k + 1, len(parts))

            hint = next(asked()) if len(parts) == 1 else np.array(write_parts(stored, asked()))
            _save(path, KeptHint(public_seed(seeded, [self.bank, partner], [nonce, theirs], ring), hint, keys))
        return _load(path, stored, partner)


def _save(path: Path, kept: KeptHint) -> None:
    octets = {"seed": kept.seed, "secret": kept.keys.secret, "public": kept.keys.public}
    save_arrays(path, hint=kept.hint, **{name: np.frombuffer(value, dtype=np.uint8) for name, value in octets.items()})


def _load(path: Path, stored: Path, partner: str) -> KeptHint:
    with opened_arrays(path) as kept:
        keys = KeyPair(kept["secret"].tobytes(), kept["public"].tobytes()) if "secret" in kept else NO_KEYS
        hint = kept["hint"]  # of a stored one, the number of its rows
        whole = StoredHint(stored, partner, int(hint)) if hint.ndim == 0 else hint
        return KeptHint(kept["seed"].tobytes(), whole, keys)

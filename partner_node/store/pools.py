"""Pools: what a bank may score rows by later, on disk, named by what is in it, and checked when read.

A pool holds splits that were told in a run, or the terms of a linear model. Its name is a MAC of its content under
this partner's key, so that nothing that a bank calls a model can be put in the place of another, or get round a
revocation, and so that the name confirms no guess of the content.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from partner_node.algorithms.boosting import KeptHandle
from partner_node.store.terms import KeptTerms
from protocol.contract import Contract
from protocol.errors import DataError, IntegrityError, PeerError, RefusedError
from protocol.files import file_named, write_whole
from protocol.he.streams import derive

SCHEMA: Final = 3
AGAIN: Final = "train the model again, or let the bank score with --absent"


class Pool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pool as this partner keeps it.

    data: SHA-256 of the table that it was told of. job, run, contract (digest): it was told under. handles: by number.
    terms: of a linear model, which has no handles.
    """

    schema: int
    data: str
    job: str
    run: int
    contract: str
    handles: tuple[KeptHandle, ...]
    terms: KeptTerms | None = None

    def name(self, key: bytes) -> str:
        """A MAC of all of it, in hexadecimal."""
        return derive(key, "pool", msgspec.json.encode(self)).hex()

    @property
    def columns(self) -> Sequence[str]:
        """The columns that it speaks of."""
        of_terms = [term.column for term in self.terms.terms] if self.terms else []
        return list(dict.fromkeys([*(handle.column for handle in self.handles), *of_terms]))


class Pools:
    """The pools in one folder. party: whose they are. key: of their names."""

    def __init__(self, folder: Path, party: str, key: bytes) -> None:
        self._folder, self._party, self._key = folder, party, key

    def keep(self, pool: Pool) -> str:
        """Store a pool, once; its name."""
        name = pool.name(self._key)
        path = self._file(name)
        if not path.exists():
            write_whole(path, msgspec.json.encode(pool))
        return name

    def job_of(self, name: str) -> str:
        """The job that a pool came of. Raises: PeerError, IntegrityError."""
        return self._read(name).job

    def find(self, name: str, contract: Contract) -> Pool:
        """A pool that may be scored by.

        Raises: PeerError: it was not told by this node, or by another version. RefusedError: under another contract.
        IntegrityError: what is kept was changed.
        """
        pool = self._read(name)
        if pool.contract != contract.digest:
            raise under_another_contract(self._party)
        return pool

    def _read(self, name: str) -> Pool:
        path = self._file(name)
        if not path.is_file():
            raise PeerError(
                self._party, "has no thresholds of this model: it was trained with another state of this node", AGAIN
            )
        try:
            raw = path.read_bytes()
            schema = msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).get("schema")
            if schema is None or bytes(schema) != str(SCHEMA).encode():
                raise PeerError(self._party, "keeps the model as another version wrote it", AGAIN)
            pool = msgspec.json.decode(raw, type=Pool)
        except msgspec.MsgspecError:
            raise IntegrityError(self._party, "what it keeps of the model cannot be read", AGAIN) from None
        if pool.name(self._key) != name:
            raise IntegrityError(self._party, "what it keeps of the model was changed", AGAIN)
        return pool

    def _file(self, name: str) -> Path:
        return file_named(self._folder, name, ".json", self._party)


def under_another_contract(party: str) -> RefusedError:
    """The clauses that hold now are not those of the training."""
    return RefusedError(
        party, "the model was trained under another contract than holds now", "train it again", "contract"
    )


def changed_table(party: str, how: str) -> DataError:
    """The table no longer has the columns that the model needs; the bank is not told which."""
    return DataError(
        party, f"its table has changed since the model was trained: a column of the model {how}",
        "bring the column back as it was, or train again",
    )  # fmt: skip

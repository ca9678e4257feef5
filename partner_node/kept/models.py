"""The models that a partner has helped to train: what stands behind their handles, on disk, checked when read."""

from pathlib import Path
from typing import Final

import msgspec

from partner_node.algorithms.boosting import KeptHandle
from partner_node.kept.terms import KeptTerms
from protocol.contract import Contract
from protocol.errors import DataError, IntegrityError, PeerError, RefusedError
from protocol.he.streams import digest
from protocol.node.files import own_folder, write_whole

SCHEMA: Final = 2
AGAIN: Final = "train it again, or let the bank score with --absent"


class KeptModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bank's model as this partner keeps it.

    data: SHA-256 of the table it was trained on. alignment, job (digest), contract (digest): it was trained under.
    handles: by number. terms: of a linear model, which has no handles.
    checksum: of all else.
    """

    schema: int
    data: str
    alignment: str
    job: str
    contract: str
    handles: tuple[KeptHandle, ...]
    checksum: str = ""
    terms: KeptTerms | None = None

    def sealed(self) -> "KeptModel":
        """The same with its checksum, which is as it was before there were linear models."""
        bare = msgspec.structs.replace(self, checksum="")
        values = {k: v for k, v in msgspec.to_builtins(bare).items() if k != "terms" or v is not None}
        return msgspec.structs.replace(bare, checksum=digest(msgspec.json.encode(values)).hex())


class KeptModels:
    """The models in one folder. party: whose they are."""

    def __init__(self, folder: Path, party: str) -> None:
        self._folder, self._party = folder, party

    def keep(
        self, model: str, data: str, alignment: str, job: str, contract: Contract, handles: tuple[KeptHandle, ...],
        terms: KeptTerms | None = None,
    ) -> None:  # fmt: skip
        """Store a model by its digest and the alignment it was trained on."""
        kept = KeptModel(SCHEMA, data, alignment, job, contract.digest, handles, terms=terms).sealed()
        write_whole(self._file(model, alignment), msgspec.json.encode(kept))

    def job_of(self, model: str) -> str:
        """The job that a model came of. Raises: PeerError, IntegrityError, as `find`."""
        kept = sorted(self._folder.glob(f"{_short(model)}-*.json"))
        if not kept:
            raise self._unknown("has no thresholds of this model")
        return self._read(kept[0]).job

    def find(self, model: str, alignment: str, contract: Contract) -> KeptModel:
        """A model that may be scored by.

        Raises: PeerError: it was not trained here, on another alignment, or by another version. RefusedError: under
        another contract. IntegrityError: what is kept was changed.
        """
        path = self._file(model, alignment)
        if not path.exists():
            others = list(path.parent.glob(f"{_short(model)}-*.json"))
            raise self._unknown("has the model from another alignment" if others else "has no thresholds of this model")
        kept = self._read(path)
        if kept.contract != contract.digest:
            raise RefusedError(
                self._party, "the model was trained under another contract than holds now", "train it again"
            )
        return kept

    def _read(self, path: Path) -> KeptModel:
        try:
            raw = path.read_bytes()
            schema = msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).get("schema")
            if schema is None or bytes(schema) != str(SCHEMA).encode():
                raise PeerError(self._party, "keeps the model as another version wrote it", AGAIN)
            kept = msgspec.json.decode(raw, type=KeptModel)
        except msgspec.MsgspecError:
            raise IntegrityError(self._party, "what it keeps of the model cannot be read", AGAIN) from None
        if kept.sealed() != kept:
            raise IntegrityError(self._party, "what it keeps of the model was changed", AGAIN)
        return kept

    def _unknown(self, thing: str) -> PeerError:
        return PeerError(self._party, f"{thing}: it was trained with another state of this node", AGAIN)

    def _file(self, model: str, alignment: str) -> Path:
        return own_folder(self._folder) / f"{_short(model)}-{_short(alignment)}.json"


def changed_table(party: str, how: str) -> DataError:
    """The table no longer has the columns that the model needs; the bank is not told which."""
    return DataError(
        party, f"its table has changed since the model was trained: a column of the model {how}",
        "bring the column back as it was, or train again",
    )  # fmt: skip


def _short(name: str) -> str:
    return digest(name.encode()).hex()[:32]

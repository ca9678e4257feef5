"""A model folder: the bank's part of a model, trees.json, say, and model.json, all that must hold for it.

`sha256` covers the first alone: no key, nonce, session or engine. `checksum` covers model.json. What each key means
stands in docs/model-folder.md.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from bank_node.models.bands import BandCuts
from bank_node.models.calibration import Calibration
from bank_node.models.canonical import Model as Model
from bank_node.record.scorecard import Scorecard
from bank_node.settings.config import BankConfig
from protocol.contract import Contract
from protocol.errors import IntegrityError, PeerError, RefusedError, UsageError
from protocol.files import write_whole
from protocol.table.texts import ReadAs

SCHEMA: Final = 3
ABOUT: Final = "model.json"


class SeenColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A feature of the bank as it was in training. missing: share of the rows; categories: all that occurred.

    read: how the column that it is made of was read.
    """

    read: ReadAs
    missing: float
    categories: tuple[str, ...] = ()


class About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """model.json. By party: alignment, contract (digests of those it was trained under), pool (what the partner keeps
    of it, by the partner's own digest), bins (digests), handles.

    metrics: of the test part, point estimates. calibration: from score to probability of default, fitted on the
    validation part; none where there was none: a score is the model's own. Of a job with [bands] too:
    bands, its cut-offs; columns, by party the column of each handle or of the bank's own terms, by its name, or its
    number where a partner does not tell it; baseline, of a linear model by party the mean of each own term, and of each
    partner's part, over the rows trained on.
    seen: the bank's columns that the model uses, as they were in training; held: by partner, the share of rows held.
    scorecard: of that kind of model, as JSON. masked: true where partners tell the sum of their scores alone.
    """

    schema: int = SCHEMA
    kind: str
    model: str
    rung: str
    placebo: bool
    bank: str
    sha256: str
    job_sha256: str
    alignment_setting: str
    split_rows: str
    alignment: dict[str, str]
    contract: dict[str, str]
    pool: dict[str, str]
    bins: dict[str, str]
    handles: dict[str, int]
    data_sha256: dict[str, str]
    metrics: dict[str, float]
    seen: dict[str, SeenColumn] = {}
    held: dict[str, float] = {}
    calibration: Calibration | None = None
    bands: BandCuts | msgspec.UnsetType = msgspec.UNSET
    columns: dict[str, tuple[str, ...]] | msgspec.UnsetType = msgspec.UNSET
    baseline: dict[str, tuple[float, ...]] | msgspec.UnsetType = msgspec.UNSET
    scorecard: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    masked: bool | msgspec.UnsetType = msgspec.UNSET
    checksum: str = ""

    def sealed(self) -> "About":
        """The same with its checksum."""
        bare = msgspec.structs.replace(self, checksum="")
        return msgspec.structs.replace(bare, checksum=hashlib.sha256(msgspec.json.encode(bare)).hexdigest())


class _Head(msgspec.Struct, frozen=True):
    schema: int = 0
    kind: str = "boosting"


@dataclass(frozen=True)
class ModelFolder:
    """A model and what is known of it."""

    about: About
    model: Model

    @property
    def scorecard(self) -> Scorecard | None:
        """The scorecard, of that kind of model."""
        card = self.about.scorecard
        return None if isinstance(card, msgspec.UnsetType) else Scorecard.model_validate(card)

    @property
    def remembered(self) -> dict[str, ReadAs]:
        """How each column of the bank's table was read in training, so that new rows are read in the same way."""
        whole = {name: seen.read for name, seen in self.about.seen.items()}
        return {
            name if read.kind in ("number", "category") else name.rpartition(".")[0]: read
            for name, read in whole.items()
        }

    @property
    def masked(self) -> bool:
        """Whether its partners tell the sum of their scores alone, so that it takes all of them, or none."""
        return self.about.masked is True

    def write(self, folder: Path) -> None:
        """Put both files into the folder. Raises: UsageError: the disk is full."""
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / self.model.FILE, self.model.to_json(), 0o644)
        text = msgspec.json.format(msgspec.json.encode(self.about.sealed()), indent=2)
        write_whole(folder / ABOUT, text + b"\n", 0o644)

    def require_settings(self, config: BankConfig) -> None:
        """Raises: UsageError, PeerError: this node is another bank, or aligns in another way than in training."""
        about = self.about
        if about.bank != config.party:
            remedy = "score with the node that trained it"
            raise UsageError(config.party, f"the model is of {about.bank!r}", remedy)
        for name, then in (("alignment", about.alignment_setting), ("split_rows", about.split_rows)):
            now = getattr(config, name)
            if about.alignment and now != then:
                thing = f"the model was trained with {name} {then!r}, and this node is set to {now!r}"
                raise PeerError(config.party, thing, "set it as in training, or train again")

    def require_contract(self, partner: str, contract: Contract) -> None:
        """Raises: RefusedError: another contract holds with the partner than when the model was trained."""
        if self.about.contract.get(partner) != contract.digest:
            raise RefusedError(
                partner, "the model was trained under another contract than holds now",
                "train it again, or agree on the contract of its training",
            )  # fmt: skip


def read_folder(folder: Path, form_of: Callable[[str], type[Model] | None]) -> ModelFolder:
    """The model of a folder.

    Args:
        form_of: how models of a kind are stored; None of a kind that there is not.

    Raises: UsageError: there is none, or of another version. IntegrityError: it is not what its checksums say.
    """
    try:
        about = (folder / ABOUT).read_bytes()
        head = msgspec.json.decode(about, type=_Head)
        if head.schema != SCHEMA:
            thing = f"the one in {folder} is of version {head.schema}, and this software reads version {SCHEMA}"
            raise UsageError("model", thing, "score with the version that trained it, or train it again")
        form = form_of(head.kind)
        if form is None:
            raise _unreadable(folder)
        text = (folder / form.FILE).read_bytes()
        found = ModelFolder(msgspec.json.decode(about, type=About), form.from_json(text))
    except OSError:
        raise UsageError("model", f"there is none in {folder}", "give models/RUNG/MODEL of a finished run") from None
    except msgspec.MsgspecError:
        raise _unreadable(folder) from None
    whole = hashlib.sha256(text).hexdigest() == found.about.sha256 and found.about.sealed() == found.about
    if not whole:
        raise IntegrityError("model", f"the one in {folder} was changed", "take it from the run again")
    return found


def own_columns(model: Model) -> dict[str, str]:
    """The bank's columns that a model uses, by what they hold: "number" or "category"."""
    return model.own_columns


def offsets_of(model: Model) -> tuple[str, ...]:
    """Columns among these that are no features."""
    return model.offset_columns


def _unreadable(folder: Path) -> IntegrityError:
    return IntegrityError("model", f"the one in {folder} cannot be read", "take it from the run again")

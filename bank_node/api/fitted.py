"""What a fit leaves: the model folder, and beside it what a notebook shows of it."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec

from bank_node.models.trees import TreeModel
from bank_node.outcome import budgets, leakage, write_model
from bank_node.scoring import load_model
from bank_node.training import TrainedRung, Training
from protocol.errors import IntegrityError, UsageError
from protocol.files import write_whole

NOTE: Final = "booster.json"


class NotFitted(UsageError, ValueError, AttributeError):
    """The estimator has not been fitted. Also what scikit-learn's own error of that name derives from."""


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """booster.json: what belongs to a fit and not to its trees.

    params: of the estimator, where they are not at their defaults. features, importances: share of the gain by
    column, the bank's by name and a partner's by number. leakage: a row a partner. alone: the bank's own trees, to
    hold the others against.
    """

    params: dict[str, Any]
    features: tuple[str, ...]
    importances: tuple[float, ...]
    leakage: tuple[dict[str, Any], ...]
    alone: TreeModel | None = None


class Fitted:
    """A model and its note, in memory. files: of the model folder, by name."""

    def __init__(self, files: dict[str, bytes]) -> None:
        """Raises: UsageError: no model. IntegrityError: not what its checksum says."""
        self.files = files
        with TemporaryDirectory() as folder:
            _write(files, Path(folder))
            self.model = load_model(Path(folder))
        self.note = _note(files[NOTE]) if NOTE in files else _bare_note(self.model)

    @classmethod
    def of(cls, training: Training, params: dict[str, Any]) -> "Fitted":
        """What the last rung of a training leaves; the first is the bank alone."""
        alone, rung = training.rungs[0], training.rungs[-1]
        gains = importances(training, rung)
        note = Note(
            params=params,
            features=tuple(gains),
            importances=tuple(gains.values()),
            leakage=tuple(_told(training, rung, partner) for partner in rung.rung.partners),
            alone=alone.boosted.model,
        )
        with TemporaryDirectory() as folder:
            write_model(training, rung, Path(folder))
            files = _read(Path(folder))
        return cls({**files, NOTE: msgspec.json.encode(note)})

    @classmethod
    def read(cls, folder: Path) -> "Fitted":
        """From a model folder: of a notebook, or models/RUNG/MODEL of a run."""
        return cls(_read(folder) if folder.is_dir() else {})

    def write(self, folder: Path) -> None:
        """Leave the model folder."""
        folder.mkdir(parents=True, exist_ok=True)
        _write(self.files, folder)


def importances(training: Training, trained: TrainedRung) -> dict[str, float]:
    """Share of the total gain that splits on each column have brought, of all columns that were offered."""
    model, bank = trained.boosted.model, training.table.party
    names: dict[str, Sequence[str]] = {bank: [split.column for split in model.bank_splits]}
    gains = dict.fromkeys((column.name for column in training.table.columns), 0.0)
    for (partner, _), view in training.views.items():
        if partner in trained.rung.partners:
            columns = [f"{partner}: column {shape.number + 1}" for shape in view.columns]
            names[partner] = [columns[split.column] for split in trained.boosted.handles[partner]]
            gains |= dict.fromkeys(columns, 0.0)
    return _shares(model, names, gains)


def _shares(model: TreeModel, names: dict[str, Sequence[str]], gains: dict[str, float]) -> dict[str, float]:
    for node in (node for tree in model.trees for node in tree if node.left >= 0):
        gains[names[node.party][node.handle]] += node.gain
    total = sum(gains.values())
    return {name: gain / total if total else 0.0 for name, gain in gains.items()}


def _told(training: Training, trained: TrainedRung, partner: str) -> dict[str, Any]:
    """One partner's row: what it has told, and what it may."""
    told, limits = leakage(training, trained, partner), budgets(training, partner)
    return {
        "partner": partner,
        "queries": told.queries,
        "information_share": told.information_share,
        "max_information_share": limits["max_information_share"].limit,
        "equations_share": told.equations_share,
        "max_equations_share": limits["max_equations_share"].limit,
        "enforced": limits["max_equations_share"].enforced,
    }


def _bare_note(model: TreeModel) -> Note:
    """Of a model folder that no notebook has written: the trees tell the gain of the bank's columns, and by partner."""
    bank, *partners = model.parties
    handles = {p: 1 + max((n.handle for t in model.trees for n in t if n.party == p), default=-1) for p in partners}
    names: dict[str, Sequence[str]] = {bank: [split.column for split in model.bank_splits]}
    names |= {partner: [partner] * count for partner, count in handles.items()}
    gains = _shares(model, names, dict.fromkeys([*names[bank], *partners], 0.0))
    return Note(params={}, features=tuple(gains), importances=tuple(gains.values()), leakage=())


def _note(text: bytes) -> Note:
    try:
        return msgspec.json.decode(text, type=Note)
    except msgspec.MsgspecError:
        raise IntegrityError("model", f"its {NOTE} cannot be read", "take it from where it was saved") from None


def _read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _write(files: dict[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        write_whole(folder / name, content, 0o644)

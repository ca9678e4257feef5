"""What a fit leaves: the model folder, and beside it what a notebook shows of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from bank_node.families.catalogue import load_model
from bank_node.family.training import TrainedRung, Training
from bank_node.models.folder import About, ModelFolder
from bank_node.models.trees import TreeModel
from bank_node.training.outcome.model_files import model_of
from bank_node.training.outcome.spent import budgets, leakage
from bank_node.trees.scorer import trees_of
from bank_node.trees.task import Boosted
from protocol.errors import IntegrityError, UsageError
from protocol.files import write_whole

NOTE: Final = "booster.json"
ALONE: Final = "alone"


class NotFitted(UsageError, ValueError, AttributeError):
    """The estimator has not been fitted. Also what scikit-learn's own error of that name derives from."""


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """booster.json: what belongs to a fit and not to its trees.

    params: of the estimator, where they are not at their defaults. features, importances: share of the gain by
    column, the bank's by name and a partner's by number. leakage: a row a partner.
    """

    params: dict[str, Any]
    features: tuple[str, ...]
    importances: tuple[float, ...]
    leakage: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Fitted:
    """A model, the bank's own trained beside it (to hold the other against), and the note."""

    model: ModelFolder
    note: Note
    alone: ModelFolder | None

    @classmethod
    def of(cls, training: Training, params: dict[str, Any]) -> "Fitted":
        """What the last rung of a training leaves; the first is the bank alone."""
        alone, rung = training.rungs[0], training.rungs[-1]
        gains = importances(training, rung)
        told = tuple(_told(training, rung, partner) for partner in rung.rung.partners)
        note = Note(params, tuple(gains), tuple(gains.values()), told)
        return cls(model_of(training, rung), note, model_of(training, alone))

    @classmethod
    def read(cls, folder: Path) -> "Fitted":
        """From a model folder: of a notebook, or models/RUNG/MODEL of a run.

        Raises: UsageError: no model. IntegrityError: not what its checksum says.
        """
        model, note = load_model(folder), folder / NOTE
        alone = load_model(folder / ALONE) if (folder / ALONE).is_dir() else None
        return cls(model, _note(note.read_bytes()) if note.is_file() else _bare_note(trees_of(model)), alone)

    def write(self, folder: Path) -> None:
        """Leave the model folder."""
        self.model.write(folder)
        if self.alone:
            self.alone.write(folder / ALONE)
        write_whole(folder / NOTE, msgspec.json.encode(self.note), 0o644)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as the files are written: msgspec omits a zero by its identity, which pickle does not keep."""
        alone = _packed(self.alone) if self.alone else None
        return _unpickled, (_packed(self.model), msgspec.json.encode(self.note), alone)


Packed = tuple[bytes, bytes]


def _packed(folder: ModelFolder) -> Packed:
    return trees_of(folder).to_json(), msgspec.json.encode(folder.about)


def _unpacked(packed: Packed | None) -> ModelFolder | None:
    if packed is None:
        return None
    return ModelFolder(msgspec.json.decode(packed[1], type=About), TreeModel.from_json(packed[0]))


def _unpickled(model: Packed, note: bytes, alone: Packed | None) -> Fitted:
    folder = _unpacked(model)
    assert folder
    return Fitted(folder, _note(note), _unpacked(alone))


def importances(training: Training, trained: TrainedRung[Boosted]) -> dict[str, float]:
    """Share of the total gain that splits on each column have brought, of all columns that were offered."""
    model, handles, bank = trained.fitted.model, trained.fitted.handles, training.table.party
    names: dict[str, Sequence[str]] = {bank: [split.column for split in model.bank_splits]}
    gains = dict.fromkeys((column.name for column in training.table.columns), 0.0)
    for (partner, _), view in training.views.items():
        if partner in trained.rung.partners:
            columns = [f"{partner}: column {shape.number + 1}" for shape in view.columns]
            names[partner] = [columns[split.column] for split in handles[partner]]
            gains |= dict.fromkeys(columns, 0.0)
    return _shares(model, names, gains)


def _shares(model: TreeModel, names: dict[str, Sequence[str]], gains: dict[str, float]) -> dict[str, float]:
    for node in (node for tree in model.trees for node in tree if node.left >= 0):
        gains[names[node.party][node.handle]] += node.gain
    total = sum(gains.values())
    return {name: gain / total if total else 0.0 for name, gain in gains.items()}


def _told(training: Training, trained: TrainedRung[Boosted], partner: str) -> dict[str, Any]:
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

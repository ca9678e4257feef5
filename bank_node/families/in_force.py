"""Which models a node has: the folders of its runs, as they are noted in its state folder."""

from pathlib import Path
from typing import Final

import msgspec

from bank_node.families.catalogue import load_model
from bank_node.models.folder import ABOUT, ModelFolder
from protocol.files import own_folder, write_whole

RUNS: Final = "runs.json"


def note_run(state: Path, out: Path) -> None:
    """Note the folder of a run whose models are in force as long as it is there."""
    runs = [run for run in _runs(state) if run != str(out.resolve())]
    write_whole(own_folder(state) / RUNS, msgspec.json.encode([*runs, str(out.resolve())]))


def models_in_force(state: Path) -> list[ModelFolder]:
    """The models of all runs whose folders are there, but for placebos; the latest run last."""
    folders = [about.parent for run in _runs(state) for about in sorted(Path(run).glob(f"models/*/*/{ABOUT}"))]
    models = [load_model(folder) for folder in folders]
    return [model for model in models if not model.about.placebo]


def _runs(state: Path) -> list[str]:
    path = state / RUNS
    return msgspec.json.decode(path.read_bytes(), type=list[str]) if path.is_file() else []

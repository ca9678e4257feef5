"""Where each partner's node of a run lives: in which environment, as which user, with which of our variables."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bank_node.record.facts import NodePlace
from experiments.run.nodes import Nodes
from experiments.run.partner_environment import PartnerEnvironment
from experiments.run.uid_pool import own_user
from partner_node.config import load_config
from protocol.files import own_folder
from protocol.job import Job

_KERNELS: Final = "kernels"
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "TERM", "COLUMNS", "FEDWARN_NO_NUMBA")
_KEPT_AT_HOME: Final = ("HOME", "TMPDIR", "NUMBA_CACHE_DIR", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Place:
    """One node's. environment: None is ours. user: None is ours."""

    folder: Path
    environment: PartnerEnvironment | None = None
    user: int | None = None

    def command(self, *arguments: str) -> list[str]:
        """The partner's node, with these arguments."""
        if self.environment is None:
            return [sys.executable, "-m", "partner_node", *arguments]
        return [str(self.environment.python), "-I", "-m", "partner_node", *arguments]

    def options(self) -> dict[str, Any]:
        """For its process: user, working folder, variables."""
        if self.environment is None:
            return {"env": our_variables()}
        folder = self.folder.resolve()
        variables = {**kept(_KEPT), "HOME": str(folder), "NUMBA_CACHE_DIR": str(folder / _KERNELS)}
        user = {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": []}
        return {"env": variables, "cwd": folder, "umask": 0o077, **user}

    def facts(self) -> NodePlace:
        """What the report says of it."""
        wheel = self.environment.wheel_sha256 if self.environment else ""
        return NodePlace(bundle_sha256=wheel, own_user=self.user is not None)


def our_variables() -> dict[str, str]:
    """What a node's process is given of ours: nothing of one party reaches another through it."""
    return kept((*_KEPT, *_KEPT_AT_HOME))


def kept(names: tuple[str, ...]) -> dict[str, str]:
    """Of our variables, those that are set."""
    return {name: os.environ[name] for name in names if name in os.environ}


def place_partners(job: Job, nodes: Nodes, out: Path, environment: PartnerEnvironment | None) -> dict[str, Place]:
    """A place for every partner of a run in the folder `out`; with an environment of their own if there is one.

    A partner that is a user of its own passes through `out`, and reads nothing in it but its own folder.
    """
    folders = {partner: nodes.configs[partner].parent for partner in job.partners}
    if environment is None:
        return {partner: Place(folder) for partner, folder in folders.items()}
    for folder in (out, out / "nodes"):
        folder.chmod(0o711)
    for name in ("logs", "models"):
        own_folder(out / name)
    places: dict[str, Place] = {}
    for partner, folder in folders.items():
        folder.chmod(0o700)
        _copy(environment.kernels, folder / _KERNELS)
        taken = [place.user for place in places.values() if place.user is not None]
        source = load_config(nodes.configs[partner]).data.source.path
        user = own_user(folder, environment.python, [source], taken)
        places[partner] = Place(folder, environment, user)
    return places


def _copy(kernels: Path, to: Path) -> None:
    """Its own copy of the compiled kernels: who could write another's would run code in its process."""
    shutil.rmtree(to, ignore_errors=True)
    for path in kernels.rglob("*.nb?"):
        target = to / path.relative_to(kernels)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)

"""The partners' own environment: made from the bundle (`make env`), with two packages and what they import."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import partner_node
import protocol
from protocol.errors import UsageError
from protocol.he.engines import OWN
from protocol.node.command import TALK

DEFAULT: Final = ".venv-partner"
"""Beside the packages, in a copy of the repository."""

_DISTRIBUTION: Final = "fedwarn_partner-*.dist-info/direct_url.json"


@dataclass(frozen=True)
class PartnerEnvironment:
    """Where it is, and the checksum of the wheel that it was made from."""

    folder: Path
    wheel_sha256: str

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def kernels(self) -> Path:
        """Kernels compiled for it."""
        return self.folder / "kernels"


def partner_environment(given: str, engine: str = "blind") -> PartnerEnvironment | None:
    """The one in the folder given; for "auto" the one beside our packages, if it is there and of the same code.

    None: partners run in this environment. Raises: UsageError: there is none in the folder, one of other code, or one
    without the library of the engine.
    """
    if given == "none":
        return None
    folder = Path(protocol.__file__).parents[1] / DEFAULT if given == "auto" else Path(given).resolve()
    found = list(folder.glob(f"lib/python*/site-packages/{_DISTRIBUTION}"))
    fault, remedy = _fault(found[0].parents[1] if found else None, engine)
    if fault:
        error = UsageError("fedwarn", f"the partners' environment {folder.name} {fault}", remedy)
        if given != "auto":
            raise error
        if found:
            TALK.say(f"{error} The partners run in this environment instead.")
        return None
    about = json.loads(found[0].read_text(encoding="utf-8"))
    return PartnerEnvironment(folder, about["archive_info"]["hashes"]["sha256"])


def _fault(site: Path | None, engine: str) -> tuple[str, str]:
    """What is wrong with an environment's packages, and what to do about it; two empty texts if nothing is."""
    if site is None:
        return "has no partner bundle in it", "run `make env`"
    if not _same_code(site):
        return "is of other code", "run `make env`"
    if engine not in OWN:
        return f"has no engine {engine}, which is for comparison", "give --partner-env none"
    return "", ""


def _same_code(site: Path) -> bool:
    """Whether its packages are ours, to the byte: both ends of a run must be of one version."""
    ours = Path(protocol.__file__).parent, Path(partner_node.__file__).parent
    return all(dict(_code(package)) == dict(_code(site / package.name)) for package in ours)


def _code(package: Path) -> Iterator[tuple[str, bytes]]:
    for path in package.rglob("*.py"):
        yield str(path.relative_to(package)), path.read_bytes()

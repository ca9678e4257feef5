"""A Unix user of its own for a partner's node, where we may give it one: as root.

Its number is taken from a range that no system gives out (60578 to 61183: systemd's "unused"), by the folder's path,
so that a run that goes on has the same users. Folder and files become that user's, for its eyes only.
"""

import hashlib
import os
import pwd
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

_FIRST: Final = 60578
_COUNT: Final = 606

_PROBE: Final = """
import os, sys
folder, *others = sys.argv[1:]
sys.exit(not (os.access(folder, os.W_OK | os.X_OK) and all(os.access(path, os.R_OK) for path in others)))
"""


def own_user(folder: Path, python: Path, reads: Sequence[Path], taken: Collection[int]) -> int | None:
    """Give the folder to a user of its own, and return its number.

    None, and nothing is changed: we are not root, or that user could not reach the folder, run `python`, or read what
    it needs of others' files (a checkout in a closed home, say). taken: users that are given out already.
    """
    if os.geteuid() != 0:
        return None
    user = _number(folder, taken)
    give(folder, user)
    if _reaches(user, folder, python, reads):
        return user
    give(folder, os.geteuid())
    return None


def give(folder: Path, user: int) -> None:
    """Make a user the owner of a folder and all that is in it."""
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(root) / name, user, user, follow_symlinks=False)
    os.chown(folder, user, user)
    folder.chmod(0o700)


def _number(folder: Path, taken: Collection[int]) -> int:
    """Who has the folder already, or a number that nobody has."""
    owner = folder.stat().st_uid
    if _FIRST <= owner < _FIRST + _COUNT and owner not in taken:
        return owner
    start = int.from_bytes(hashlib.sha256(str(folder.resolve()).encode()).digest()[:4], "big")
    numbers = (_FIRST + (start + k) % _COUNT for k in range(_COUNT))
    return next(number for number in numbers if number not in taken and not _has_name(number))


def _has_name(number: int) -> bool:
    try:
        pwd.getpwuid(number)
    except KeyError:
        return False
    return True


def _reaches(user: int, folder: Path, python: Path, reads: Sequence[Path]) -> bool:
    paths = [str(path.resolve()) for path in (folder, *reads)]
    command = [str(python), "-I", "-c", _PROBE, *paths]
    try:
        done = subprocess.run(
            command, capture_output=True, cwd="/", env={}, user=user, group=user, extra_groups=[], check=False
        )
    except OSError:
        return False
    return done.returncode == 0

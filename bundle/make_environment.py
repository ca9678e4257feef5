"""Make a partner's environment from the bundle: `python bundle/make_environment.py FOLDER`.

A real environment of its own: every package is checked by hash, the wheel too, and nothing of this one is seen in it,
not even pip. Its kernels are compiled into FOLDER/kernels, so that no first query waits for them.

Run as root, it must be one that another user can start, or partners could not run as users of their own: where this
Python lies in a folder that is closed to others, another of the same version is taken if the machine has one.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from make_wheel import LOCK, OUT, PIP, sha256

_NOBODY = 65534
_FOLDERS = ("/usr/local/bin", "/usr/bin")


def base_python() -> str:
    """The interpreter to make the environment of."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    own = os.path.realpath(Path(sys.base_prefix) / "bin" / name)
    others = (shutil.which(name, path=folder) for folder in _FOLDERS)
    candidates = [own, *(found for found in others if found)]
    return next((python for python in candidates if _starts_for_others(python)), own)


def _starts_for_others(python: str) -> bool:
    """Whether another user can run it, with all of its library that we need. True if we are not root: never mind."""
    if os.geteuid() != 0:
        return True
    command = [python, "-I", "-c", "import ctypes, sqlite3, ssl, venv"]
    try:
        done = subprocess.run(
            command, capture_output=True, cwd="/", user=_NOBODY, group=_NOBODY, extra_groups=[], check=False
        )
    except OSError:
        return False
    return done.returncode == 0


def make_environment(folder: Path, wheel: Path) -> None:
    """Install the lock and the wheel into a new environment, and compile the kernels."""
    os.umask(0o022)
    subprocess.run([base_python(), "-m", "venv", "--clear", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    install = [*PIP, "--python", str(python), "install", "--require-hashes", "--no-compile"]
    subprocess.run([*install, "--requirement", str(LOCK)], check=True)
    with tempfile.TemporaryDirectory() as name:
        required = Path(name) / "bundle.txt"
        required.write_text(f"{wheel} --hash=sha256:{sha256(wheel)}\n", encoding="utf-8")
        subprocess.run([*install, "--no-deps", "--no-index", "--requirement", str(required)], check=True)
    kernels = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "kernels")}
    warm = [str(python), "-I", "-m", "partner_node", "warm", "--quiet"]
    subprocess.run(warm, check=True, env=kernels, cwd=folder, stdout=subprocess.DEVNULL)


def size_mb(folder: Path) -> int:
    """What a folder takes on the disk, in MB, as du tells."""
    return int(subprocess.run(["du", "-sm", folder], capture_output=True, text=True, check=True).stdout.split()[0])


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve()
    (built,) = OUT.glob("*.whl")
    make_environment(target, built)
    print(f"partner environment: {size_mb(target)} MB in {target.name}")

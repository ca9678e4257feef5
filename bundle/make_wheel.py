"""Build the partner bundle: `python bundle/make_wheel.py`, into dist/partner.

The wheel holds protocol/ and partner_node/ of this tree and nothing else. It depends on their content alone: files
are laid out anew with fixed rights, dates come from SOURCE_DATE_EPOCH (a fixed day if that is not set), and the build
backend is one version, checked by hash. Beside it go the lock of what it needs, and the checksums of both.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "dist" / "partner"
LOCK = ROOT / "requirements" / "partner.lock"
BUILD_LOCK = ROOT / "requirements" / "build.lock"
PACKAGES = ("partner_node", "protocol")
_STAGE = ROOT / "build" / "partner"
_BACKEND = ROOT / "build" / "backend"
_EPOCH = "1735689600"
"""2025-01-01: dates in the wheel say nothing, but must be the same."""

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


def sources() -> list[Path]:
    """The files of the bundle's packages, relative to the tree."""
    found = (path for package in PACKAGES for path in (ROOT / package).rglob("*"))
    return sorted(p.relative_to(ROOT) for p in found if p.is_file() and "__pycache__" not in p.parts)


def make_wheel(out: Path = OUT) -> Path:
    """The wheel, with partner.lock and SHA256SUMS beside it; what was in the folder before is replaced."""
    os.umask(0o022)
    for folder in (_STAGE, out):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for path in (*sources(), Path("bundle/pyproject.toml"), Path("bundle/README.md")):
        target = _STAGE / (path.name if path.parts[0] == "bundle" else path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / path).read_bytes())
        target.chmod(0o644)
    wheel = _build(out)
    shutil.copyfile(LOCK, out / LOCK.name)
    sums = (f"{sha256(path)}  {path.name}\n" for path in (wheel, out / LOCK.name))
    (out / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
    return wheel


def _build(out: Path) -> Path:
    """Run the pinned build backend, without anything from the index but itself."""
    stamp = _BACKEND / BUILD_LOCK.name
    if not stamp.exists() or stamp.read_bytes() != BUILD_LOCK.read_bytes():
        shutil.rmtree(_BACKEND, ignore_errors=True)
        locked = ["--require-hashes", "--requirement", str(BUILD_LOCK)]
        subprocess.run([*PIP, "install", "--target", str(_BACKEND), *locked], check=True)
        shutil.copyfile(BUILD_LOCK, stamp)
    settings = {"PYTHONPATH": str(_BACKEND), "PYTHONHASHSEED": "0"}
    environment = {"SOURCE_DATE_EPOCH": _EPOCH, **os.environ, **settings}
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(out)]
    subprocess.run([*PIP, "wheel", *options, str(_STAGE)], check=True, env=environment)
    (wheel,) = out.glob("*.whl")
    return wheel


def sha256(path: Path) -> str:
    """Checksum of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    made = make_wheel()
    python = [ROOT / path for path in sources() if path.suffix == ".py"]
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in python)
    print(f"{made.relative_to(ROOT)}: {made.stat().st_size:,} bytes, {len(python)} files, {lines:,} lines of Python")
    print(f"sha256 {sha256(made)}")

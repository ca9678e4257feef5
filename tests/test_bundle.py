"""The partner bundle: two packages and what they import, the same bytes everywhere."""

import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import protocol

ROOT = Path(__file__).parents[1]
PACKAGES = ("partner_node", "protocol")


def built(tree: Path) -> Path:
    """The wheel of a tree."""
    done = subprocess.run([sys.executable, tree / "bundle" / "make_wheel.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tree / "dist" / "partner").glob("*.whl")
    return wheel


def copied(folder: Path) -> Path:
    """What the bundle is built from, elsewhere."""
    for part in ("partner_node", "protocol", "bundle", "bank_node", "experiments", "requirements"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(copied(tmp_path_factory.mktemp("tree")))


def test_it_holds_the_two_packages_as_they_are_here_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as file:
        held = {name: file.read(name) for name in file.namelist() if ".dist-info/" not in name}
        about = {name.split("/")[1] for name in file.namelist() if ".dist-info/" in name}
    assert {name.split("/")[0] for name in held} == set(PACKAGES)
    assert about == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt"}
    here = {
        str(path.relative_to(ROOT)): path.read_bytes()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == here


def test_it_is_the_same_bytes_whoever_builds_it(wheel, tmp_path):
    """Other dates, other rights, another folder."""
    tree = copied(tmp_path)
    for path in tree.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o700)
    assert built(tree).read_bytes() == wheel.read_bytes()


def test_checksums_beside_it_are_right(wheel):
    sums = dict(line.split("  ")[::-1] for line in (wheel.parent / "SHA256SUMS").read_text().splitlines())
    files = {path.name for path in wheel.parent.iterdir()} - {"SHA256SUMS"}
    assert sums.keys() == files == {wheel.name, "partner.lock"}
    for name, digest in sums.items():
        assert hashlib.sha256((wheel.parent / name).read_bytes()).hexdigest() == digest


def imported() -> set[str]:
    """Top-level names that the two packages import."""
    names = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    names.add((node.module or "").split(".")[0])
    return names


def test_it_asks_for_what_it_imports_and_nothing_else():
    asked = tomllib.loads((ROOT / "bundle" / "pyproject.toml").read_text())["project"]["dependencies"]
    named = {re.split(r"[<>=]", requirement)[0] for requirement in asked}
    known = packages_distributions()
    only_with_an_extra = {"flwr", "click", "tenseal", "heu", "python_calamine"}  # click is what typer raises on Flower
    only_with_an_extra |= {"adbc_driver_postgresql", "torch", "safetensors", "scipy"}
    others = imported() - set(sys.stdlib_module_names) - set(PACKAGES) - only_with_an_extra
    assert "bank_node" not in others
    assert "experiments" not in others
    brought_by_pydantic = {"pydantic_core"}
    assert {name for top in others for name in known[top]} - brought_by_pydantic == named
    core = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert set(asked) <= set(core)


def test_its_extras_are_those_of_the_whole():
    extras, whole = (
        tomllib.loads((ROOT / path).read_text())["project"]["optional-dependencies"]
        for path in ("bundle/pyproject.toml", "pyproject.toml")
    )
    assert extras.keys() == {"flower", "xlsx", "postgres", "torch"}
    assert set(extras["xlsx"]) <= set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
    assert extras["torch"] == whole["torch"]
    assert extras["postgres"] == whole["postgres"]
    assert extras["flower"] == [asked.replace("[simulation]", "") for asked in whole["flower"]]


def pinned(lock: str) -> set[str]:
    text = (ROOT / "requirements" / lock).read_text()
    assert text.count("==") <= text.count("--hash=sha256:")
    return set(re.findall(r"^([\w.-]+==[^ ]+)", text, re.MULTILINE))


def test_its_lock_is_a_part_of_the_core_lock():
    assert pinned("partner.lock") < pinned("core.lock")


def test_its_version_is_ours(wheel):
    assert wheel.name == f"fedwarn_partner-{protocol.__version__}-py3-none-any.whl"

"""The packages are ours, and keep to their layers, types and style."""

import subprocess
import sys
from pathlib import Path

import pytest

import experiments
import protocol

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def test_the_packages_that_python_finds_are_ours():
    assert Path(protocol.__file__).parent == ROOT / "protocol"
    assert Path(experiments.__file__).parent == ROOT / "experiments"


@pytest.mark.parametrize("command", ["bank_node", "partner_node", "experiments"])
def test_a_stranger_called_protocol_is_named_in_one_sentence(tmp_path, command):
    (tmp_path / "protocol").mkdir()
    (tmp_path / "protocol" / "__init__.py").write_text("")
    (tmp_path / command).symlink_to(ROOT / command)
    done = subprocess.run([sys.executable, "-m", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "'protocol' that Python finds is not ours" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "tool",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], ["lint-imports", "--no-cache"]],
    ids=" ".join,
)
def test_style_types_and_layers(tool):
    done = subprocess.run([str(BIN / tool[0]), *tool[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]

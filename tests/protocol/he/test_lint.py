"""No generator that can be predicted and no float noise under protocol/he: read from the syntax, not by grep."""

import ast
from pathlib import Path

import pytest

import protocol.he

ROOT = Path(protocol.he.__file__).parent
MODULES = {"random", "numpy.random", "protocol.draws", "scipy", "time"}
NAMES = {"default_rng", "Generator", "Philox", "normal", "standard_normal", "gauss", "laplace", "RandomState", "random"}


def offences(source: str) -> list[str]:
    """Imports of, and attributes that belong to, a generator or a float noise source."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found += [alias.name for alias in names if alias.name in MODULES]
            case ast.ImportFrom(module=str(module), names=names):
                found += [module] * (module in MODULES)
                found += [alias.name for alias in names if f"{module}.{alias.name}" in MODULES or alias.name in NAMES]
            case ast.Attribute(attr=attr) if attr in NAMES:
                found.append(attr)
    return found


def test_the_engines_draw_from_the_operating_system_alone() -> None:
    files = sorted(ROOT.rglob("*.py"))
    assert len(files) > 10
    assert {str(file): bad for file in files if (bad := offences(file.read_text()))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np\nx = np.random.default_rng(1)",
        "import random",
        "from numpy.random import Philox",
        "from numpy import random as r",
        "from protocol.draws import draw",
        "noise = generator.normal(0, 1)",
        "import time",
    ],
)
def test_the_lint_has_teeth(source: str) -> None:
    assert offences(source)

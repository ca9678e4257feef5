"""Outside of the families nobody asks which family a model is of; import-linter's layers are held by test_packages."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from bank_node.families.catalogue import FAMILIES
from bank_node.family.fitted import Fitted

ROOT = Path(__file__).parents[1]
PACKAGES = ("bank_node", "partner_node", "protocol", "experiments")
OF_FAMILIES = ("bank_node/trees/", "bank_node/linear/", "protocol/job/boosting.py", "protocol/job/linear.py")
"""Where families are, on both sides."""
TYPES = {
    *(kind.__name__ for family in FAMILIES.values() for kind in (type(family), family.asks, family.stored)),
    *(type(family.asks(kind=name).params).__name__ for name, family in FAMILIES.items()),
    *(fitted.__name__ for fitted in Fitted.__subclasses__()),
}
"""Each family, its part of a job, its parameters, what a fit ends with, and what is stored of it."""


def asking(source: str) -> Iterator[int]:
    """Lines that ask which family something is of: by its type, or by a kind of the catalogue."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, tested]):
                found = _names(tested) & TYPES
            case ast.MatchClass(cls=tested):
                found = _names(tested) & TYPES
            case ast.Compare(left=left, comparators=comparators):
                sides = [left, *comparators]
                found = {side.id for side in sides if isinstance(side, ast.Name)} & TYPES
                found |= {kind for side in sides for kind in _constants(side) & FAMILIES.keys()}
            case ast.MatchValue(value=ast.Constant(value=value)):
                found = {value} & FAMILIES.keys()
            case _:
                continue
        if found:
            yield node.lineno


def _names(tree: ast.expr) -> set[str]:
    names = {one.id for one in ast.walk(tree) if isinstance(one, ast.Name)}
    return names | {one.attr for one in ast.walk(tree) if isinstance(one, ast.Attribute)}


def _constants(tree: ast.expr) -> set[object]:
    return {one.value for one in ast.walk(tree) if isinstance(one, ast.Constant)}


def test_no_code_asks_which_family_a_model_is_of():
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(files) > 300
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in files
        if not str(path.relative_to(ROOT)).startswith(OF_FAMILIES)
        for line in asking(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "isinstance(model, BoostingModel)",
        "isinstance(params, job.GlmParams | ScorecardParams)",
        "isinstance(trained.fitted, (Boosted, Other))",
        "type(model) is LinearModel",
        "about.kind == 'boosting'",
        "model.kind in ('glm', 'scorecard')",
        "match model:\n    case ScorecardModel(params=params):\n        pass",
        "match about.kind:\n    case 'glm':\n        pass",
    ],
)
def test_who_asks_is_found(source):
    assert list(asking(source))


@pytest.mark.parametrize("source", ["isinstance(rule, NumberRule)", "split.kind == 'time'", "model.kind in FAMILIES"])
def test_other_questions_are_free(source):
    assert list(asking(source)) == []

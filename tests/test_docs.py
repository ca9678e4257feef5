"""The documents say what the code does: help texts, verbs, keys, exit codes, links; and nothing of this machine.

`python -m tests.test_docs` writes the help texts of the README anew.
"""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import click
import pytest
import typer
from pydantic import BaseModel

import bank_node.cli
import experiments.cli
import partner_node.cli
from bank_node.settings.config import BankConfig, PartnerAddress
from experiments.benchmarks import BENCHMARKS
from partner_node.config import PartnerConfig, Policy
from protocol.contract import Contract
from protocol.errors import BY_CODE, FedwarnError
from protocol.node.command import Interrupted
from protocol.node.settings import NodeData

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "bank-node": bank_node.cli.verbs,
    "partner-node": partner_node.cli.verbs,
    "fedwarn": experiments.cli.verbs,
}
HELP = re.compile(r"(<!-- (?P<command>[a-z-]+) --help -->\n```text\n)(?P<text>.*?)(?=```)", re.DOTALL)
CODE = re.compile(r"```.*?```|(?<!`)`[^`\n]+`(?!`)", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:)(?P<file>[^)#\s]*)#?(?P<heading>[^)\s]*)\)")


@cache
def tracked() -> tuple[Path, ...]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(path for name in listed.split("\0") if name and (path := ROOT / name).is_file())


def documents() -> list[Path]:
    found = [path for path in tracked() if path.suffix == ".md"]
    assert ROOT / "SECURITY.md" in found
    return found


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def help_of(command: str) -> str:
    """What `--help` prints, 80 columns wide, without colours."""
    settings = {"COLUMNS": "80", "TERMINAL_WIDTH": "80", "NO_COLOR": "1", "TERM": "dumb"}
    kept = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "GITHUB_ACTIONS")}
    done = subprocess.run(
        [Path(sys.executable).parent / command, "--help"],
        capture_output=True, text=True, check=True, env={**kept, **settings},
    )  # fmt: skip
    return "\n".join(line.rstrip() for line in done.stdout.strip("\n ").splitlines()) + "\n"


def test_the_readme_shows_what_help_prints():
    shown = {block["command"]: block["text"] for block in HELP.finditer(text("README.md"))}
    assert shown.keys() == COMMANDS.keys()
    for command, block in shown.items():
        assert block == help_of(command), f"run `{Path(sys.executable).name} -m tests.test_docs`"


def _verbs(verbs: typer.Typer) -> set[tuple[str, ...]]:
    """All verbs of a command, those of its groups as two words."""
    group = typer.main.get_command(verbs)
    found = set()
    for name, command in group.commands.items():
        found |= {(name, inner) for inner in getattr(command, "commands", ())} or {(name,)}
    return found


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_verb_and_target_that_a_document_names_exists(document):
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    for code in CODE.findall(document.read_text(encoding="utf-8")):
        for command, words in re.findall(r"\b(bank-node|partner-node|fedwarn)((?: [a-z-]+)+)", code):
            given = tuple(words.split())
            if not given[0].startswith("-"):
                assert {given[:1], given[:2]} & _verbs(COMMANDS[command]), f"{command} {words}"
        assert set(re.findall(r"(?:^|\n|`)make ([a-z-]+)", code)) <= targets, code
        benchmarks = re.findall(r"\bfedwarn benchmark ([a-z]+)", code)
        assert set(benchmarks) <= BENCHMARKS.keys(), code


def test_every_benchmark_is_described():
    assert set(re.findall(r"`fedwarn benchmark ([a-z]+)", text("docs/benchmarks.md"))) == BENCHMARKS.keys()


def test_exit_codes_are_those_of_the_code():
    rows = re.findall(r"^\| (\d+) \| (?:`(\w+)`)? ?\|", text("docs/operations.md"), re.MULTILINE)
    named = {int(code): name for code, name in rows}
    errors = {code: error.__name__ for code, error in BY_CODE.items()}
    assert named == {0: "", FedwarnError.exit_code: "", **errors, Interrupted.exit_code: ""}


def _keys(*models: type[BaseModel]) -> set[str]:
    sections = {"data", "contract", "policy", "partners"}
    return {field.alias or name for model in models for name, field in model.model_fields.items()} - sections


def test_operations_describes_every_key_of_node_toml_and_no_other():
    section = text("docs/operations.md").split("## node.toml")[1].split("\n## ")[0]
    cells = [row.split("|")[1] for row in section.splitlines() if row.startswith("| ")]
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    known = _keys(BankConfig, PartnerConfig, PartnerAddress, Policy, Contract, NodeData)
    assert named == known


def test_operations_gives_the_defaults_of_the_contract():
    for clause, value in Contract().clauses.items():
        assert f"| `{clause}` | {value} |".replace("True", "true") in text("docs/operations.md")


def _headings(path: Path) -> set[str]:
    """The anchors of a document's headings, as the usual renderers make them."""
    lines = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(document):
    for link in LINK.finditer(CODE.sub("", document.read_text(encoding="utf-8"))):
        target = (document.parent / link["file"]).resolve() if link["file"] else document
        assert target.exists(), link.group()
        assert not link["heading"] or link["heading"] in _headings(target), link.group()


PLACE = re.compile(r"`((?:bank_node|partner_node|protocol|experiments|bundle|tests)/[\w./]*)`")


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_place_in_the_code_that_a_document_names_is_there(document):
    for place in PLACE.findall(document.read_text(encoding="utf-8")):
        assert (ROOT / place).exists(), f"{document.name} names {place}"


def test_the_code_tour_begins_at_functions_that_are_there():
    stops = re.findall(r"\[`(\S+\.py)`\]\(\S+\)[^|]*\| ([^|]+) \|$", text("docs/code-tour.md"), re.MULTILINE)
    assert len(stops) == 10
    for place, names in stops:
        for name in re.findall(r"`(?:\w+\.)?(\w+)`", names):
            assert f"def {name}(" in text(place), f"{place} has no {name}"


def test_no_tracked_file_names_a_machine_or_a_package_registry():
    folders = "|".join(("work", "root", "home", "Users"))
    hosts = "|".join(("pypi", "pythonhosted", "npmjs", "crates", "anaconda", "proxy.golang"))
    forbidden = re.compile(rf"(?<![\w.])/(?:{folders})/\w|\b(?:{hosts})\.(?:org|io|com)\b|\bindex-url\s*=")
    assert forbidden.search("see /" + "home/me")
    assert forbidden.search("https://pypi." + "org")
    searched = 0
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content:
            searched += 1
            found = forbidden.search(content.decode("utf-8", errors="replace"))
            assert found is None, f"{path.relative_to(ROOT)}: {found and found.group()}"
    assert searched > 100


def test_pictures_are_small():
    pictures = [path for path in tracked() if path.suffix in (".png", ".svg")]
    assert pictures
    assert all(path.stat().st_size < 400_000 for path in pictures)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    new = HELP.sub(lambda block: block[1] + help_of(block["command"]), readme.read_text(encoding="utf-8"))
    readme.write_text(new, encoding="utf-8")
    click.echo("README.md")


# -- the README in Chinese --------------------------------------------------------------------------------------------


def _parts(name: str) -> tuple[list[str], list[str], set[str]]:
    """Headings in English, blocks of code, and commands in running text; the help texts are English alone."""
    whole = re.sub(r"<details>.*?</details>\n?", "", text(name), flags=re.DOTALL)
    headings = [line.split(" · ")[0] for line in whole.splitlines() if re.match(r"#+ ", line)]
    blocks = re.findall(r"```.*?\n```", whole, re.DOTALL)
    prose = re.sub(r"```.*?\n```", "", whole, flags=re.DOTALL)
    commands = {code for code in re.findall(r"`([^`\n]+)`", prose) if code.split()[0] in (*COMMANDS, "make")}
    return headings, blocks, commands


def _figures(prose: str) -> set[str]:
    return {figure.rstrip(".,") for figure in re.findall(r"\d[\d,.]*", prose)}


def test_the_readme_in_chinese_has_the_same_headings_commands_and_figures():
    english, chinese = _parts("README.md"), _parts("README.zh.md")
    assert chinese[0] == english[0]
    assert chinese[1] == english[1]
    assert chinese[2] == english[2]
    prose = re.sub(r"<details>.*?</details>|```.*?```", "", text("README.zh.md"), flags=re.DOTALL)
    own = re.sub(r"<details>.*?</details>|```.*?```", "", text("README.md"), flags=re.DOTALL)
    assert _figures(prose) <= _figures(own)

"""What the commands have in common: how they end."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.table import Table
from rich.tree import Tree

from protocol.fields import as_cell, as_shown, printable
from protocol.node.command import PlainConsole, Talk
from protocol.node.findings import Finding, as_table

STRUCK = """
import os, signal
from protocol.node.command import app, main
verbs = app("A command whose library turns an interruption into an error of its own.")
@verbs.command()
def work() -> None:
    try:
        os.kill(os.getpid(), signal.{sent})
        signal.pause()
    except KeyboardInterrupt as struck:
        raise SystemError("returned a result with an exception set") from struck
main(verbs, "worker")
"""


@pytest.mark.parametrize("sent", ["SIGINT", "SIGTERM"])
def test_what_fails_after_the_signal_is_an_interruption(sent):
    ended = subprocess.run(
        [sys.executable, "-c", STRUCK.format(sent=sent)], capture_output=True, text=True, env=os.environ, check=False
    )
    assert (ended.returncode, ended.stderr) == (130, "worker: it was interrupted; run it again.\n")


def test_what_fails_without_one_is_a_bug():
    failing = STRUCK.format(sent="SIGTERM").replace("os.kill(os.getpid(), signal.SIGTERM)", "raise KeyboardInterrupt")
    ended = subprocess.run([sys.executable, "-c", failing], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "by a bug of its own" in ended.stderr


# -- the options that hold everywhere -------------------------------------------------------------------------------

HEAVY = ("numba", "scipy", "grpc", "cryptography", "duckdb.experimental", "jinja2", "statsmodels", "xgboost")
WITHOUT = """
import sys
from {package}.cli import verbs
from protocol.node.command import run
code = run(verbs, "it", sys.argv[1:])
sys.exit(code or [name for name in {heavy} if name in sys.modules] or 0)
"""
VERB = {"bank_node": "train", "partner_node": "serve", "experiments": "run"}


@pytest.mark.parametrize("package", VERB)
@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("VERB", "--help")])
def test_help_is_printed_without_loading_what_takes_long(package, arguments):
    code = WITHOUT.format(package=package, heavy=HEAVY)
    given = [VERB[package] if word == "VERB" else word for word in arguments]
    ended = subprocess.run([sys.executable, "-c", code, *given], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ("--log-format" in ended.stdout) == ("--help" in arguments)


@pytest.mark.parametrize("arguments", [("--json", "verify", "nowhere"), ("verify", "nowhere", "--json")])
def test_an_option_that_holds_everywhere_may_stand_before_or_after_the_verb(arguments):
    command = [sys.executable, "-m", "experiments", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert json.loads(ended.stdout)["error"]["exit_code"] == ended.returncode == 2


def test_a_usage_error_is_json_if_that_was_asked_for():
    command = [sys.executable, "-m", "experiments", "verify", "--no-such-option", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert json.loads(ended.stdout)["error"]["exit_code"] == ended.returncode == 2


# -- what a peer wrote, as it is shown -----------------------------------------------------------------------------

EVIL = "[red]x[/] :smile: [link=http://a]b[/link] \x1b[2J\x1b]0;t\x07\u202e\u2066end[/"
SHOWN = r"[red]x[/] :smile: [link=http://a]b[/link] \u{1b}[2J\u{1b}]0;t\u{7}\u{202e}\u{2066}end[/"


def printed(*things: object) -> str:
    console = PlainConsole(width=2000, file=io.StringIO(), force_terminal=False)
    for thing in things:
        console.print(thing, soft_wrap=True)
    out: str = console.file.getvalue()  # type: ignore[attr-defined]
    return out


def table_of(name: str) -> Table:
    table = Table(title=name, caption=name)
    table.add_column(name)
    table.add_row(name)
    return table


def test_names_are_printed_as_they_are_wherever_they_stand() -> None:
    tree = Tree(EVIL)
    tree.add(EVIL)
    found = as_table([Finding(EVIL, EVIL, EVIL, EVIL), Finding(EVIL, EVIL, EVIL, EVIL, code=4)])
    for thing, times in ((EVIL, 1), (table_of(EVIL), 4), (tree, 2), (found, 8)):
        text = printed(thing)
        assert text.count(SHOWN) == times, text
        assert "\x1b" not in text


@given(st.text(st.characters(exclude_characters="\n"), min_size=1, max_size=40))
@example("[/]")
@example("[bold]")
@example("\x9b2J")
def test_no_name_changes_a_terminal_or_fails(name: str) -> None:
    assert printed(name) == as_shown(name) + "\n"
    assert all(printable(line) for line in printed(table_of(name)).splitlines())


def run_keys(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "partner_node", "keys", "telecom", "--folder", str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_keys_says_where_to_pin_the_fingerprint(tmp_path: Path) -> None:
    assert "under [peers] by its fingerprint, " in run_keys(tmp_path).stderr


def test_talk_is_log_lines_where_the_log_is_json(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in run_keys(tmp_path, "--log-format", "json").stderr.splitlines()]
    assert [line["level"] for line in lines] == ["INFO", "INFO"]
    assert "under [peers] by its fingerprint" in lines[1]["message"]
    assert run_keys(tmp_path / "quiet", "--log-format", "json", "--quiet").stderr == ""


FORGING = """
import logging
from protocol.errors import DataError
from protocol.node.command import app, main
verbs = app("A command that meets a name with a line end.")
@verbs.command()
def work() -> dict:
    name = "a\\n2026-01-01 CRITICAL forged\\x1b[2J\\u202e"
    logging.getLogger("x").warning("met %s", name)
    if {fails}:
        raise DataError("bank", "column " + name + " is empty", "leave it out")
    return dict(name=name)
main(verbs, "worker")
"""


@pytest.mark.parametrize("options", [(), ("--log-format", "json")])
@pytest.mark.parametrize("fails", [False, True])
def test_no_name_forges_a_line_of_the_log_or_of_an_error(fails: bool, options: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", FORGING.format(fails=fails), "--json", *options]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert len(ended.stderr.splitlines()) == 1 + fails
    assert len(ended.stdout.splitlines()) == 1
    assert all(printable(line) for line in (ended.stdout + ended.stderr).splitlines())
    said = json.loads(ended.stdout)
    name = said["error"]["thing"] if fails else said["name"]
    assert "forged\x1b[2J\u202e" in name, "a script gets the name itself"


def test_progress_says_a_phase_once_where_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    with Talk().progress() as bars:
        for done in range(3):
            bars("align [telecom]", done, 3)
    assert capsys.readouterr().err == "align [telecom]\n"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "＝"])
def test_a_cell_is_no_formula(start: str) -> None:
    assert as_cell(f'{start}HYPERLINK("http://a")') == f'\'{start}HYPERLINK("http://a")'
    assert as_cell("telecom: PA022 +0.120") == "telecom: PA022 +0.120"
    assert as_cell("\t=1") == r"\u{9}=1"


REFUSED = """
from dataclasses import dataclass
from protocol.errors import RefusedError
from protocol.messages import Message, Refusal, declared, encode
from protocol.node.command import app, main
from protocol.wire.envelope import Envelope
from protocol.wire.session import BankSession
from protocol.role import ask, drive
verbs = app("A command that asks what a partner refuses.")
@declared("test.asked", content="nothing", purpose="test commands")
class Asked(Message, frozen=True):
    pass
def refuse(sent):
    refusal = Refusal(code=5, party="telecom", thing="it is spent", remedy="ask less", rule="a_clause")
    return {p: Envelope(e.session, e.sequence, Refusal.KIND, encode(refusal)) for p, e in sent.items()}
@verbs.command()
def work() -> None:
    drive(ask({"telecom": Asked()}, Asked), BankSession(refuse).exchange)
main(verbs, "worker")
"""


def test_a_refusal_stands_once_on_the_console_and_in_the_log_besides():
    shown, logged = (
        subprocess.run([sys.executable, "-c", REFUSED, *options], capture_output=True, text=True, check=False)
        for options in ((), ("--log-format", "json"))
    )
    assert (shown.returncode, shown.stderr) == (5, "telecom: it is spent; ask less.\n")
    line, sentence = logged.stderr.splitlines()
    assert sentence == "telecom: it is spent; ask less."
    assert json.loads(line)["level"] == "WARNING"
    assert json.loads(line)["message"] == "telecom refuses test.asked (rule a_clause): telecom: it is spent"

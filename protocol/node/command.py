"""What the three commands have in common: options that hold everywhere, one sentence an error, and exit codes.

Data go to stdout, talk goes to stderr. A command returns what `--json` prints; everything else it says through
`TALK`. Options that hold everywhere are added to every verb, and so stand in each `--help`. This module is imported
before the first word is printed: it imports nothing that takes long.
"""

import json
import logging
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final, NoReturn

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

try:
    from typer.exceptions import TyperException
except ImportError:  # before 0.25 typer raises click's, and that is what Flower's pins leave
    from click.exceptions import ClickException as TyperException  # type: ignore[assignment]

from protocol import PROTOCOL_VERSION, __version__
from protocol.errors import FedwarnError, UsageError
from protocol.fields import as_shown, as_shown_in_json
from protocol.files import machine_told
from protocol.node.lifeline import end_with_stdin

_PANEL: Final = "Everywhere"
USAGE: Final = 2
LOG: Final = logging.getLogger(__name__)
_WIDEST: Final = 10_000
"""Columns of a table that goes into a file or a pipe."""


class PlainConsole(Console):
    """A console that prints strings as they are: names may come from a peer.

    Nothing in a string is markup, and control characters show as escapes. What has a style is a `Text`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """A string as what is printed; line ends part it as before."""
        return super().render_str("\n".join(as_shown(line, _WIDEST) for line in text.split("\n")), **options)


class Interrupted(FedwarnError):
    """Ctrl-C or SIGTERM."""

    exit_code = 130


@dataclass
class Talk:
    """How this command talks: quiet or not, JSON or not. out: stdout for tables; err: stderr.

    told_to_stop: a signal has come. Libraries in C turn the KeyboardInterrupt that they are struck by into errors of
    their own (SystemError, a query cancelled); whatever fails after the signal fails by it.
    """

    quiet: bool = False
    as_json: bool = False
    log_format: str = "text"
    told_to_stop: bool = False

    def __post_init__(self) -> None:
        self.out = PlainConsole(quiet=self.as_json)
        self.err = PlainConsole(stderr=True, quiet=self.quiet, highlight=False)

    def set(self, **changes: Any) -> None:
        """Talk otherwise from now on. changes: quiet, as_json, log_format."""
        vars(self).update(changes)
        self.__post_init__()
        _log_as(self.log_format, self.quiet)

    def show(self, table: Table) -> None:
        """A table on stdout, as wide as it needs where there is no terminal to cut it at."""
        wide = self.out.options.update(max_width=_WIDEST)
        whole = None if self.out.is_terminal else Measurement.get(self.out, wide, table).maximum
        self.out.print(table, width=whole, crop=False)

    def say(self, text: str) -> None:
        """One line of talk; with `--log-format json` a line of the log, so that stderr is JSON throughout."""
        if self.log_format == "json":
            LOG.info(text)
        else:
            self.err.print(text, soft_wrap=True)

    def progress(self) -> "Bars":
        """Progress bars, or a line a phase where there is no terminal."""
        return Bars(self.err, self.say, drawn=self.err.is_terminal and self.log_format == "text")


TALK: Final = Talk()
"""This process's; `main` sets it before the command runs."""


class Bars:
    """Progress by phase. Use as a context manager, and call with (phase, done, total)."""

    def __init__(self, console: Console, say: Callable[[str], None], *, drawn: bool) -> None:
        self._say, self._drawn, self._said = say, drawn, ""
        name = TextColumn("{task.description:24}", markup=False)
        columns = (name, BarColumn(), TextColumn("{task.completed}/{task.total}"))
        self._bars = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=False)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Bars":
        if self._drawn:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            self._bars.stop()

    def __call__(self, phase: str, done: int, total: int) -> None:
        if not self._drawn:
            if phase != self._said:
                self._say(phase)
            self._said = phase
            return
        if phase not in self._tasks:
            self._tasks[phase] = self._bars.add_task(phase, total=total)
        self._bars.update(self._tasks[phase], completed=done, total=total)


def app(help_text: str) -> typer.Typer:
    """A command of several verbs."""
    return typer.Typer(
        no_args_is_help=True,
        help=help_text,
        pretty_exceptions_enable=False,
        add_completion=False,
        rich_markup_mode="markdown",
    )


def main(verbs: typer.Typer, name: str) -> NoReturn:
    """Run one command line, and exit as docs/operations.md says. SIGTERM ends it as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    sys.exit(run(verbs, name, sys.argv[1:]))


def _interrupt(_signal: int, _frame: object) -> None:
    TALK.told_to_stop = True
    raise KeyboardInterrupt


def run(verbs: typer.Typer, name: str, arguments: list[str]) -> int:
    """Run one command line; its exit code."""
    # A usage error is found before options are read, and is told as JSON if that was asked for.
    TALK.set(quiet=False, as_json="--json" in arguments, log_format="text")
    try:
        with machine_told(name):
            result = with_options_everywhere(verbs).main(args=arguments, prog_name=name, standalone_mode=False)
        if TALK.as_json and isinstance(result, dict):
            print(as_shown_in_json(json.dumps(result, ensure_ascii=False, default=str)))
        if isinstance(result, dict):
            return int(result.get("exit_code", 0))
        if result == Interrupted.exit_code:  # typer has caught Ctrl-C and returns its code
            raise KeyboardInterrupt
        return int(result or 0)
    except FedwarnError as error:
        return _tell(_stopped(name) if TALK.told_to_stop else error)
    except typer.Exit as ended:
        return ended.exit_code
    except TyperException as error:
        thing = error.format_message().rstrip(".")
        return _tell(UsageError(name, thing, f"see `{name} --help`")) if thing else USAGE  # no verb: help was shown
    except (KeyboardInterrupt, typer.Abort):
        return _tell(_stopped(name))
    except BrokenPipeError:
        return 0
    except Exception:
        return _tell(_stopped(name)) if TALK.told_to_stop else _bug(name)


def _stopped(name: str) -> Interrupted:
    return Interrupted(name, "it was interrupted", "run it again")


def with_options_everywhere(verbs: typer.Typer) -> Any:
    """The command of these verbs, in which each verb and group has the options that hold everywhere."""
    options = typer.Typer(add_completion=False)
    options.command()(_everywhere)
    root, shared = typer.main.get_command(verbs), typer.main.get_command(options).params
    pending = [root]
    while pending:
        command = pending.pop()
        command.params = [*command.params, *shared]
        pending += getattr(command, "commands", {}).values()
    return root


def _show_version(asked: bool) -> None:
    if asked:
        about = {"version": __version__, "protocol": PROTOCOL_VERSION}
        print(json.dumps(about) if TALK.as_json else f"fedwarn {__version__}, protocol {PROTOCOL_VERSION}")
        raise typer.Exit


def _quiet(asked: bool) -> None:
    if asked:
        TALK.set(quiet=True)


def _log_format(chosen: str | None) -> None:
    if chosen not in (None, "text", "json"):
        raise UsageError("--log-format", f"{chosen!r} is no format", "give text or json")
    if chosen:
        TALK.set(log_format=chosen)


def _until_stdin_closes(asked: bool) -> None:
    if asked:
        end_with_stdin()


def _everywhere(
    _json: Annotated[
        bool,
        typer.Option("--json", expose_value=False, rich_help_panel=_PANEL, help="One JSON object last on stdout."),
    ] = False,
    _quietly: Annotated[
        bool,
        typer.Option(
            "--quiet", callback=_quiet, expose_value=False, rich_help_panel=_PANEL, help="No progress, no talk."
        ),
    ] = False,
    _format: Annotated[
        str | None,
        typer.Option(
            "--log-format", callback=_log_format, expose_value=False, rich_help_panel=_PANEL,
            metavar="text|json", help="Log lines as text, or as JSON objects.",
        ),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, expose_value=False, is_eager=True, rich_help_panel=_PANEL,
            help="Of the software and of the protocol.",
        ),
    ] = False,
    _stdin: Annotated[
        bool, typer.Option("--until-stdin-closes", callback=_until_stdin_closes, expose_value=False, hidden=True)
    ] = False,
) -> None:  # fmt: skip
    """Declare the options that hold everywhere."""


def _log_as(log_format: str, quiet: bool) -> None:
    handler = logging.StreamHandler()
    if log_format == "json":
        handler.setFormatter(_JsonLines())
    else:
        handler.setFormatter(_TextLines("%(asctime)s %(levelname)s %(message)s"))
        handler.addFilter(lambda record: not getattr(record, "raised", False))  # the command ends with that sentence
    logging.basicConfig(handlers=[handler], level=logging.WARNING if quiet else logging.INFO, force=True)


class _TextLines(logging.Formatter):
    """A log line, in which what came from elsewhere cannot begin another one."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return as_shown(super().formatMessage(record), _WIDEST)


class _JsonLines(logging.Formatter):
    """A log line as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": self.formatTime(record), "level": record.levelname, "message": record.getMessage()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return as_shown_in_json(json.dumps(line, ensure_ascii=False))


def _tell(error: FedwarnError) -> int:
    """One sentence on stderr; with --json also an object on stdout."""
    code: int = getattr(error, "code", error.exit_code)
    with suppress(OSError):  # stderr may be a file on the disk that is full
        if sentence := str(error):
            print(as_shown(sentence, _WIDEST), file=sys.stderr)
    if TALK.as_json:
        said = {"party": error.party, "thing": error.thing, "remedy": error.remedy, "exit_code": code}
        print(as_shown_in_json(json.dumps({"error": said}, ensure_ascii=False)))
    return code


def _bug(name: str) -> int:
    """A bug of ours: its traceback goes to a file, and the sentence says which."""
    with tempfile.NamedTemporaryFile("w", prefix=f"{name}-", suffix=".log", delete=False) as file:
        traceback.print_exc(file=file)
    return _tell(FedwarnError(name, "it failed by a bug of its own", f"please report it with {file.name}"))

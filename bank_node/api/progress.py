"""Progress of a training where it is watched: bars in a notebook, on a terminal, or a line a phase.

In a notebook one output cell is redrawn through IPython's own display; no widget library is needed, and what is
saved with the notebook is the last picture.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from importlib import import_module
from typing import Any, Final

from bank_node.partners.sessions import Progress
from protocol.node.command import Talk

_REDRAW_S: Final = 0.1


@contextmanager
def watched(wanted: bool) -> Iterator[Progress]:
    """What to tell the progress to."""
    if not wanted:
        yield lambda phase, done, total: None
    elif in_notebook():
        yield NotebookBars(_shown_in_notebook())
    else:
        with Talk().progress() as bars:
            yield bars


def in_notebook() -> bool:
    """Whether this is a cell of a notebook, in Jupyter or anything that speaks to an IPython kernel."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


class NotebookBars:
    """A bar a phase. show: puts HTML in the place of what it put there before."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show, self._drawn, self._told = show, 0.0, time.monotonic()
        self._phases: dict[str, tuple[int, int]] = {}
        self._since: dict[str, float] = {}

    def __call__(self, phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        self._since.setdefault(phase, self._told)  # a phase is first told of when some of it is done
        self._told = now
        self._phases[phase] = done, total
        if done >= total or now - self._drawn >= _REDRAW_S:
            self._drawn = now
            self._show("<table>" + "".join(self._line(p, now) for p in self._phases) + "</table>")

    def _line(self, phase: str, now: float) -> str:
        done, total = self._phases[phase]
        seconds = now - self._since[phase]
        if done >= total:
            seconds = self._since.setdefault(f"{phase} took", seconds)
        bar = f"<progress value='{done}' max='{max(1, total)}'></progress>"
        cells = (escape(phase), bar, f"{done}/{total}", f"{seconds:.1f} s")
        return "<tr>" + "".join(f"<td style='text-align:left'>{cell}</td>" for cell in cells) + "</tr>"


def _shown_in_notebook() -> Callable[[str], None]:
    """One place in the output of the cell that runs."""
    display: Any = import_module("IPython.display")
    handle: list[Any] = []

    def show(html: str) -> None:
        if handle:
            handle[0].update(display.HTML(html))
        else:
            handle.append(display.display(display.HTML(html), display_id=True))

    return show

"""The live table of a sweep: what every run is at. Without a terminal, a line a run that ends."""

import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table

_LINES: Final = 30
"""Runs that the table shows at once."""
_ENDED: Final = ("done", "failed")


class Board:
    """Thread-safe. Use as a context manager; call with a run's name, what it is at, and by what it failed."""

    def __init__(self, console: Console, labels: dict[str, str], states: dict[str, str]) -> None:
        self._console, self._labels, self._lock = console, labels, threading.Lock()
        self._at = dict(states)
        self._since: dict[str, float] = {}
        self._took: dict[str, float] = {}
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=2, transient=True)

    def __enter__(self) -> "Board":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def __call__(self, name: str, at: str, error: dict[str, Any] | None) -> None:
        with self._lock:
            self._since.setdefault(name, time.monotonic())
            self._at[name] = at
            if at not in _ENDED:
                return
            self._took[name] = time.monotonic() - self._since[name]
            ended = sum(state in _ENDED for state in self._at.values())
        why = f": {error['thing']}" if error else ""
        self._console.print(f"{ended}/{len(self._at)} {at} {self._labels[name]}{why}", soft_wrap=True, highlight=False)

    def _table(self) -> Table:
        with self._lock:
            names = _shown(list(self._at), self._at)
            table = Table(box=SIMPLE_HEAD)
            for column in ("run", "at", "seconds"):
                table.add_column(column, justify="right" if column == "seconds" else "left")
            for name in names:
                began = self._since.get(name)
                took = self._took.get(name, time.monotonic() - began if began else None)
                style = {"done": "green", "failed": "red", "planned": "dim"}.get(self._at[name])
                table.add_row(self._labels[name], self._at[name], "" if took is None else f"{took:.0f}", style=style)
            states = list(self._at.values())
        counts = {state: states.count(state) for state in ("done", "failed", "planned")}
        running = len(states) - sum(counts.values())
        table.caption = ", ".join(f"{n} {state}" for state, n in {**counts, "running": running}.items())
        return table


def _shown(names: Sequence[str], at: dict[str, str]) -> list[str]:
    """All if they fit; else first what runs, then what failed, what waits, and what is done."""
    if len(names) <= _LINES:
        return list(names)
    order = {"failed": 1, "planned": 2, "done": 3}
    chosen = set(sorted(names, key=lambda name: order.get(at[name], 0))[:_LINES])
    return [name for name in names if name in chosen]

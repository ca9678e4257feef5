"""What all pictures share: colours, one frame, lines and stacked bars."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from bank_node.record.facts import Text
from bank_node.report.document import Rung
from bank_node.report.page.svg import NAMED, style, to_svg

INK: Final = "#1d2733"
GREY: Final = "#7b8794"
BAD: Final = "#b3541e"
GOOD: Final = "#5b8fb9"
COLOURS: Final = ("#5b6774", "#b3541e", "#2a7f62", "#1f4e9c", "#7a3e8f", "#9c7a10", "#0e7c9b", "#a0305a", "#8d8d8d")
SQUARE: Final = (4.6, 3.5)
WIDE: Final = 9.4
_LONGEST_NAME: Final = 22


def colours(rungs: Sequence[Rung]) -> dict[str, str]:
    """A colour a rung; the placebo is grey."""
    real = [rung.name for rung in rungs if not rung.placebo]
    return {rung.name: "#a9b1ba" for rung in rungs} | {
        name: COLOURS[index % len(COLOURS)] for index, name in enumerate(real)
    }


def tick(name: str) -> str:
    """A name short enough to stand beside an axis."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def named(name: str) -> str:
    """A party or party set in a picture: the page puts its title there, once a language."""
    return f"{NAMED}{tick(name)}{NAMED}"


def beside(name: str) -> str:
    """The same beside an axis, with room for the longest title."""
    return f"{NAMED}{tick(name):<{_LONGEST_NAME}}{NAMED}"


def title(text: Text) -> Text:
    """A title cut to the room that there is; a Chinese character takes twice as much."""
    zh, room = text.zh, _LONGEST_NAME if text.zh.isascii() else _LONGEST_NAME // 2 + 1
    return Text(en=tick(text.en), zh=zh if len(zh) <= room else f"{zh[: room - 1]}…")


def picture(
    name: str,
    size: tuple[float, float],
    title: Text,
    draw: Callable[[Any], None],
    rows: int = 1,
    columns: int = 1,
    shared: bool = True,
) -> str:
    """One SVG. size: width and height in inches. draw: is given the axes, an array of them where there are several.

    shared: pictures side by side have one vertical axis.
    """
    with style(name):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(rows, columns, sharey=shared and columns > 1)
        if rows * columns > 1:
            figure.get_layout_engine().set(wspace=0.06, hspace=0.06)  # type: ignore[union-attr, call-arg]
        draw(axes)
        return to_svg(figure, name, title)


def lines_of(axis: Any, names: Sequence[str]) -> None:
    """Name the horizontal bars at 0, 1, 2, ... from the top down."""
    axis.set_yticks(range(len(names)), [name if name.startswith(NAMED) else tick(name) for name in names])
    axis.set_ylim(len(names) - 0.45, -0.55)
    axis.grid(axis="y", visible=False)


def stacked(axis: Any, names: Sequence[str], parts: Sequence[tuple[str, str, Sequence[float]]], columns: int) -> None:
    """Horizontal bars, one a name, in parts: label, colour, and a length a name. columns: of the legend."""
    left = np.zeros(len(names))
    look = {"height": 0.55, "edgecolor": "white", "linewidth": 0.6}
    for label, hue, lengths in parts:
        axis.barh(range(len(names)), lengths, left=left, color=hue, label=label, **look)
        left += np.array(lengths)
    lines_of(axis, names)
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "borderaxespad": 0.2}
    axis.legend(fontsize=8, ncols=columns, handlelength=1, **place)

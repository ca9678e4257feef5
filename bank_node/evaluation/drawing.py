"""What all pictures share: colours, one frame, lines and stacked bars."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from bank_node.evaluation.document import Rung
from bank_node.evaluation.facts import Text
from bank_node.evaluation.svg import style, to_svg

INK: Final = "#1d2733"
GREY: Final = "#7b8794"
BAD: Final = "#b3541e"
GOOD: Final = "#5b8fb9"
COLOURS: Final = ("#5b6774", "#b3541e", "#2a7f62", "#1f4e9c", "#7a3e8f", "#9c7a10", "#0e7c9b", "#a0305a")
SQUARE: Final = (4.6, 3.5)
WIDE: Final = 9.4


def colours(rungs: Sequence[Rung]) -> dict[str, str]:
    """A colour a rung; the placebo is grey."""
    real = [rung.name for rung in rungs if not rung.placebo]
    return {rung.name: "#a9b1ba" for rung in rungs} | {
        name: COLOURS[index % len(COLOURS)] for index, name in enumerate(real)
    }


def picture(
    name: str, size: tuple[float, float], title: Text, draw: Callable[[Any], None], rows: int = 1, columns: int = 1
) -> str:
    """One SVG. size: width and height in inches. draw: is given the axes, an array of them where there are several."""
    with style(name):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(rows, columns, sharey=columns > 1)
        if rows * columns > 1:
            figure.get_layout_engine().set(wspace=0.06, hspace=0.06)  # type: ignore[union-attr, call-arg]
        draw(axes)
        return to_svg(figure, name, title)


def stacked(
    axis: Any, names: list[str], looks: dict[str, tuple[str, str]], series: dict[str, list[float]], columns: int
) -> None:
    """Horizontal bars, one a name, in parts with a label and colour each."""
    left = np.zeros(len(names))
    for part, (label, hue) in looks.items():
        axis.barh(names, series[part], left=left, color=hue, label=label, height=0.55, edgecolor="white", linewidth=0.6)
        left += np.array(series[part])
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.legend(
        fontsize=8, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=min(columns, 4), borderaxespad=0.2, handlelength=1
    )

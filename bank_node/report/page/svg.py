"""A matplotlib figure as inline SVG: text stays text, both languages in one picture, the same bytes every time.

A label written as `@key@` is filled from the catalogue, once a language; the page's style shows one of them.
"""

import io
import re
import warnings
from collections.abc import Mapping
from html import escape, unescape
from typing import Any

import matplotlib

from bank_node.record.facts import Text
from bank_node.record.messages import catalogue

matplotlib.use("svg")

NAMED = "\u2063"
"""Stands before and after the name of a party or party set in a picture: an invisible separator."""
LANG = {"en": "en", "zh": "zh-Hans"}
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a93a0",
    "axes.labelcolor": "#3b4552",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e9ed",
    "grid.linewidth": 0.8,
    "xtick.color": "#3b4552",
    "ytick.color": "#3b4552",
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 1.7,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def style(name: str) -> Any:
    """The look of every figure, as a context; `name` salts the ids inside."""
    rules: Any = _STYLE | {"svg.hashsalt": name}
    return matplotlib.rc_context(rules)


def spans(text: Text, tag: str = "span") -> str:
    """A text in both languages as markup, escaped."""
    return "".join(f'<{tag} lang="{LANG[key]}">{escape(getattr(text, key))}</{tag}>' for key in LANG)


def to_svg(figure: Any, name: str, title: Text) -> str:
    """The figure as an `svg` element. title: what a screen reader says."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # text stays text: the reader's fonts draw it
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    body = buffer.getvalue()
    body = body[body.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    body = _own_ids(body, name)
    body = re.sub(r"@(\w+)@", lambda found: _label(found.group(1)), body)
    width, height = re.findall(r'(?:width|height)="([\d.]+)pt"', body)[:2]
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" role="img" aria-labelledby="{name}-title"><title id="{name}-title">'
        f"{escape(title.en)} / {escape(title.zh)}</title>"
    )
    return opening + body[body.index(">") + 1 :]


def with_names(body: str, words: Mapping[str, Text]) -> str:
    """A picture in which names have become titles, once a language. words: titles by name as it stands there."""

    def title(found: re.Match[str]) -> str:
        text = words.get(unescape(found.group(1)).rstrip())
        return found.group(1).rstrip() if text is None else spans(text, "tspan")

    return re.sub(f"{NAMED}(.*?){NAMED}", title, body)


def _own_ids(body: str, name: str) -> str:
    """Ids of one figure must not meet those of another on the page."""
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    return re.sub(r'(url\(|href=")#', rf"\1#{name}-", body)


def _label(key: str) -> str:
    """The sentence of a key; what is no key stays as it stands (a party may be called anything)."""
    sentence = catalogue().get(key)
    if sentence is None:
        return f"@{key}@"
    return spans(Text(en=sentence["en"], zh=sentence["zh"]), "tspan")

"""What the templates of all pages share: both languages, figures in their formats, everything from outside escaped."""

from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from bank_node.record.messages import say
from bank_node.report.page.svg import spans
from bank_node.report.wording import figure, metric_name, percent, rate_text, signed

BROWSER_LANGUAGE: Final = (
    '<script>document.getElementById("lang-zh").checked = navigator.language.startsWith("zh")</script>'
)
"""The only script of a page: it opens in the reader's language. Where scripts are off, it opens in English."""
_GLOBALS: Final = {
    "browser_language": Markup(BROWSER_LANGUAGE),
    "t": lambda key, **values: Markup(spans(say(key, **values))),
    "both": lambda text: Markup(spans(text)),
    "text": say,
    "metric_name": metric_name,
}
_FILTERS: Final = {
    "percent": percent,
    "rate": rate_text,
    "whole": lambda number: f"{number:,}",
    "short": lambda number: f"{number:.4g}",
    "figure": lambda value, name: figure(name, value),
    "signed": lambda value, name: signed(name, value),
}


def environment(package: str) -> Environment:
    """For the templates in a package's folder; what a page needs besides, it adds."""
    made = Environment(
        loader=PackageLoader(package, "."),
        autoescape=select_autoescape(default_for_string=True, default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= _GLOBALS
    made.filters |= _FILTERS
    return made

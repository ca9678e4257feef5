"""Every sentence of the report, in English and Chinese, from one catalogue (`messages.toml`).

The laboratory's own pages add a catalogue of theirs (`add_catalogue`).
"""

import tomllib
from functools import cache
from importlib.resources import files

from bank_node.record.facts import Text

LANGUAGES = ("en", "zh")
_PACKAGES = [__package__]


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """The catalogue: by key, then by language."""
    found: dict[str, dict[str, str]] = {}
    for package in _PACKAGES:
        found |= tomllib.loads(files(package).joinpath("messages.toml").read_text(encoding="utf-8"))
    return found


def add_catalogue(package: str) -> None:
    """Let a package's `messages.toml` add to the catalogue."""
    if package not in _PACKAGES:
        _PACKAGES.append(package)
        catalogue.cache_clear()


def say(key: str, **values: str | int | float | Text) -> Text:
    """The sentence of a key with its placeholders filled; a value that is itself a Text goes in by language.

    Raises: KeyError: no such key, or a placeholder without a value.
    """
    sentence = catalogue()[key]
    return Text(**{language: sentence[language].format(**_in(language, values)) for language in LANGUAGES})


def _in(language: str, values: dict[str, str | int | float | Text]) -> dict[str, str | int | float]:
    return {name: getattr(value, language) if isinstance(value, Text) else value for name, value in values.items()}

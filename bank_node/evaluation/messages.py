"""Every sentence of the report, in English and Chinese, from one catalogue (`messages.toml`)."""

import tomllib
from functools import cache
from importlib.resources import files

from bank_node.evaluation.facts import Text

LANGUAGES = ("en", "zh")


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """The catalogue: by key, then by language."""
    text = files(__package__).joinpath("messages.toml").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = tomllib.loads(text)
    return found


def say(key: str, **values: str | int | float | Text) -> Text:
    """The sentence of a key with its placeholders filled; a value that is itself a Text goes in by language.

    Raises: KeyError: no such key, or a placeholder without a value.
    """
    sentence = catalogue()[key]
    return Text(**{language: sentence[language].format(**_in(language, values)) for language in LANGUAGES})


def _in(language: str, values: dict[str, str | int | float | Text]) -> dict[str, str | int | float]:
    return {name: getattr(value, language) if isinstance(value, Text) else value for name, value in values.items()}

"""What messages hold, in both languages of the report: English as declared, Chinese from `disclosed.toml`."""

import tomllib
from functools import cache
from importlib.resources import files

from bank_node.record.facts import DisclosureRow, Text


@cache
def _chinese() -> dict[str, dict[str, list[str]]]:
    text = files(__package__).joinpath("disclosed.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def in_chinese(kind: str) -> tuple[str, str]:
    """Content and purpose of a kind of message. Raises: KeyError: the kind has no Chinese."""
    room, _, name = kind.partition(".")
    content, purpose = _chinese()[room][name]
    return content, purpose


def disclosed(row: DisclosureRow) -> tuple[Text, Text]:
    """Content and purpose of a row of the report."""
    try:
        content, purpose = in_chinese(row.kind)
    except KeyError:  # of a run of another version
        content, purpose = row.content, row.purpose
    return Text(en=row.content, zh=content), Text(en=row.purpose, zh=purpose)

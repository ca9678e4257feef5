"""Settings: every TOML file is read by one function, and an unknown key is an error that names the nearest."""

import tomllib
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from protocol.errors import UsageError
from protocol.table import nearest

S = TypeVar("S", bound=BaseModel)


def load_toml(model: type[S], path: Path) -> S:
    """The settings in a file.

    Raises: UsageError: the file is missing or not TOML; a key is unknown, missing, or of a wrong type or value.
    """
    return check_settings(model, parse_toml(path), path.name)


def parse_toml(path: Path) -> dict[str, Any]:
    """The file as it stands. Raises: UsageError: it is missing or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise UsageError("settings", f"the file {path.name} is not at {path.parent}", "correct the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError("settings", f"{path.name} is not valid TOML: {error}", "correct it there") from None


def check_settings(model: type[S], values: dict[str, Any], name: str) -> S:
    """The settings in a dictionary; `name` of the file, for the sentence."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _sentence(model, error.errors()[0], name) from None


def resolve(path: Path, beside: Path) -> Path:
    """A path written in a file, taken relative to that file."""
    return path if path.is_absolute() else (beside.parent / path).resolve()


def _sentence(model: type[BaseModel], detail: ErrorDetails, name: str) -> UsageError:
    place = [str(part) for part in detail["loc"]]
    key = ".".join(place)
    if detail["type"] == "extra_forbidden":
        hint = nearest(place[-1], _keys_at(model, place[:-1]))
        return UsageError("settings", f"{name} has the unknown key {key!r}{hint}", "correct or remove it")
    if detail["type"] == "missing":
        return UsageError("settings", f"{name} lacks the key {key!r}", "add it")
    if detail["type"] == "value_error":
        where = f" at {key!r}" if key else ""
        return UsageError("settings", f"{name}{where}: {detail['msg'].removeprefix('Value error, ')}", "correct it")
    given = type(detail["input"]).__name__
    return UsageError(
        "settings", f"{name}: the key {key!r} is a {given}, and {_lower(detail['msg'])}", "correct its value"
    )


def _keys_at(model: Any, place: list[str]) -> list[str]:
    """The keys that the settings know at a dotted place."""
    for part in place:
        if isinstance(model, type) and issubclass(model, BaseModel):
            found = model.model_fields.get(part)
            model = found.annotation if found else None
        model = _inner(model)
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _inner(annotation: Any) -> Any:
    """The settings class inside a container or union."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation
    for argument in get_args(annotation):
        inner = _inner(argument)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return inner
    return None if isinstance(annotation, UnionType) else annotation


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]

"""Settings: every TOML file is read by one function, and an unknown key is an error that names the nearest."""

import tomllib
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from protocol.errors import UsageError, nearest

S = TypeVar("S", bound=BaseModel)


def load_toml(model: type[S], path: Path) -> S:
    """The settings in a file.

    Raises: UsageError: the file is missing or not TOML; a key is unknown, missing, or of a wrong type or value.
    """
    return check_settings(model, parse_toml(path), path.name)


def parse_toml(path: Path) -> dict[str, Any]:
    """The file as it stands. Raises: UsageError: it is missing or not TOML."""
    try:
        return toml_of(path.read_text(encoding="utf-8"), path.name)
    except (FileNotFoundError, IsADirectoryError):
        raise UsageError("settings", f"the file {path.name} is not at {path.parent}", "correct the path") from None
    except UnicodeDecodeError as error:
        raise UsageError("settings", f"{path.name} is not valid TOML: {error}", "correct it there") from None


def toml_of(text: str, name: str) -> dict[str, Any]:
    """A text as TOML; `name` of its file, for the sentence. Raises: UsageError: it is not TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError("settings", f"{name} is not valid TOML: {error}", "correct it there") from None


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


def _keys_at(model: type[BaseModel], place: list[str]) -> list[str]:
    """The keys that the settings know at a dotted place."""
    annotation: Any = model
    for part in place:
        annotation = _below(annotation, part)
    return [key for settings in _settings_in(annotation) for key in _fields(settings)]


def _below(annotation: Any, part: str) -> Any:
    """The type of what lies under a key or position; of a union, the option that has it."""
    for option in _options(annotation):
        if get_origin(option) in (dict, list, tuple):
            return get_args(option)[get_origin(option) is dict]
    below = [_fields(option)[part] for option in _settings_in(annotation) if part in _fields(option)]
    if below:
        return below[0] if len(below) == 1 else Union[tuple(below)]  # noqa: UP007
    return annotation  # pydantic names the option of a union that it tried


def _options(annotation: Any) -> tuple[Any, ...]:
    """The types of a union, or of a catalogue that an annotation names; of anything else, itself."""
    if get_origin(annotation) is Annotated:
        named = [tuple(one.values()) for one in get_args(annotation)[1:] if isinstance(one, dict)]
        return named[0] if named else _options(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return tuple(option for one in get_args(annotation) for option in _options(one))
    return (annotation,)


def _settings_in(annotation: Any) -> list[type[BaseModel]]:
    return [o for o in _options(annotation) if isinstance(o, type) and issubclass(o, BaseModel)]


def _fields(settings: type[BaseModel]) -> dict[str, Any]:
    """The types of the settings' keys, by the names that stand in the file."""
    return {field.alias or name: field.annotation for name, field in settings.model_fields.items()}


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]

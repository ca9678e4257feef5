"""A model of any family, as bytes that are the same for the same model: what its digest is of, and its file holds."""

import hashlib
import json
from typing import Any, ClassVar, Self

import msgspec


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the models: the bank's part. objective: its name. parties: the bank first. FILE: in a model folder."""

    FILE: ClassVar[str]

    objective: str
    parties: tuple[str, ...]

    @property
    def own_columns(self) -> dict[str, str]:
        """The bank's columns that it uses, by what they hold: "number" or "category"."""
        raise NotImplementedError

    @property
    def offset_columns(self) -> tuple[str, ...]:
        """Columns among these that are no features."""
        return ()

    @property
    def sha256(self) -> str:
        """Digest of the model, with every float written exactly."""
        return hashlib.sha256(self.to_json()).hexdigest()

    def to_json(self) -> bytes:
        """Canonical JSON: sorted keys, floats in their shortest exact form."""
        return json.dumps(msgspec.to_builtins(self), sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """The model of `to_json`. Raises: msgspec.ValidationError if it is not one."""
        return msgspec.json.decode(text, type=cls)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied and pickled as JSON: which defaults are left out of it goes by identity, which a copy would lose."""
        return type(self).from_json, (self.to_json(),)

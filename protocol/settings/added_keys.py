"""Keys of the job file that the first version did not have: at their defaults they leave a job's digest as it was.

The digest names a job in query labels, and noise is drawn by label: a key added later must not change what a job that
does not use it trains.
"""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class WithAddedKeys(BaseModel):
    """A section whose later keys (`ADDED`) are not written at their defaults."""

    ADDED: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        unused = {k for k in self.ADDED if getattr(self, k) == fields[k].default}
        return {k: v for k, v in handler(self).items() if k not in unused}


class Section(WithAddedKeys):
    """A section that refuses keys that it does not know, and does not change once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

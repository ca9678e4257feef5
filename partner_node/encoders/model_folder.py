"""An encoder in a folder: `encoder.json` says how it reads events, `weights.safetensors` holds what was learned.

Both are the same bytes for the same events and seed, and the weights are checked against their SHA-256 when they are
read: columns of two months come from one encoder, or from none.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from partner_node.encoders.decorrelation import Components
from partner_node.encoders.vocabulary import Vocabulary
from protocol.errors import IntegrityError, UsageError
from protocol.files import own_folder, write_whole

_DOCUMENT: Final = "encoder.json"
_WEIGHTS: Final = "weights.safetensors"


class Described(BaseModel):
    """What `encoder.json` holds. learned: number of learned columns; reasons: what each goes most with.

    fitted_until, customers: what the encoder has seen. weights_sha256: "" where nothing is learned.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    learned: int
    seed: int
    fitted_until: str
    customers: int
    reasons: tuple[tuple[tuple[str, float], ...], ...] = ()
    weights_sha256: str = ""


class EventsDescribed(Described):
    """How events are read. amounts: whether they have one."""

    kind: Literal["events"] = "events"
    vocabulary: Vocabulary
    windows: tuple[int, ...]
    amounts: bool


class GraphDescribed(Described):
    """How a graph is read. inputs: of the network, by name, with middle and spread as they were fitted."""

    kind: Literal["graph"] = "graph"
    traits: tuple[str, ...]
    inputs: tuple[tuple[str, float, float], ...] = ()


D = TypeVar("D", bound=Described)


@dataclass(frozen=True)
class Encoder(Generic[D]):
    """An encoder as it is used. weights: of the network, by name; components: from its rows to columns."""

    described: D
    weights: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict, repr=False)
    components: Components | None = None

    @property
    def learned_names(self) -> tuple[str, ...]:
        """Of the learned columns."""
        return tuple(f"learned {k + 1}" for k in range(self.described.learned))

    @property
    def sha256(self) -> str:
        """Names the encoder: of its document, which has the digest of its weights."""
        return hashlib.sha256(_document(self.described)).hexdigest()


def with_weights(described: D, weights: Mapping[str, npt.NDArray[Any]], components: Components) -> Encoder[D]:
    """The encoder whose document names these weights."""
    digest = hashlib.sha256(_packed(weights, components)).hexdigest()
    return Encoder(described.model_copy(update={"weights_sha256": digest}), weights, components)


def save(encoder: Encoder[Any], folder: Path) -> None:
    """Write both files. Raises: UsageError: the folder cannot be written."""
    own_folder(folder)
    if encoder.components is not None:
        write_whole(folder / _WEIGHTS, _packed(encoder.weights, encoder.components))
    write_whole(folder / _DOCUMENT, _document(encoder.described))


def load(folder: Path, kind: type[D], party: str) -> Encoder[D]:
    """The encoder in a folder, of events or of graphs.

    Raises: UsageError: there is none, or one of the other kind. IntegrityError: it is not what it was.
    """
    if not (folder / _DOCUMENT).is_file():
        raise UsageError(party, f"there is no encoder in {folder}", "give the folder that an encode wrote (--save)")
    content = (folder / _DOCUMENT).read_bytes()
    wanted = kind.model_fields["kind"].default
    if f'"kind": "{wanted}"'.encode() not in content:
        raise UsageError(party, f"the encoder in {folder} is not one of {wanted}", "give the folder of one that is")
    try:
        described = kind.model_validate_json(content)
    except ValidationError:
        raise IntegrityError(
            party, f"{_DOCUMENT} in {folder} cannot be read", "take the folder from its copy"
        ) from None
    if not described.weights_sha256:
        return Encoder(described)
    weights = (folder / _WEIGHTS).read_bytes() if (folder / _WEIGHTS).is_file() else b""
    found = hashlib.sha256(weights).hexdigest()
    if found != described.weights_sha256:
        thing = f"the weights in {folder} have SHA-256 {found[:16]}, expected {described.weights_sha256[:16]}"
        raise IntegrityError(party, thing, "take the folder from its copy, or fit a new encoder")
    tensors = _safetensors(party).load(weights)
    mean, turned = tensors.pop("components.mean"), tensors.pop("components.turned")
    return Encoder(described, tensors, Components(mean, turned))


def _document(described: Described) -> bytes:
    text = json.dumps(described.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False)
    return f"{text}\n".encode()


def _packed(weights: Mapping[str, npt.NDArray[Any]], components: Components) -> bytes:
    tensors = {**weights, "components.mean": components.mean, "components.turned": components.turned}
    packed: bytes = _safetensors("partner").save({k: np.ascontiguousarray(v) for k, v in tensors.items()})
    return packed


def _safetensors(party: str) -> Any:
    """The library of the weights' file. Raises: UsageError: it is not installed."""
    try:
        from safetensors import numpy as safetensors
    except ImportError:
        thing = "learned columns need safetensors, which is not installed here"
        raise UsageError(party, thing, "install it (`make torch-env`), or ask for --columns 0") from None
    return safetensors

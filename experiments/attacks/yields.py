"""The yield table: what the best attack known to us gains at every kind of message, its bound, and a control.

gained <= bound < control, or a row proves nothing: the control is the same attack with the guard off.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec

from experiments.attacks.lying_bank import LIES, Lie, sealed_vectors
from experiments.attacks.lying_partner import FALSEHOODS
from experiments.attacks.scene import Carrier, Scene, made_up, of_run
from protocol.errors import RefusedError
from protocol.messages import CATALOGUE, Malformed, Refusal, decode, most_bytes
from protocol.wire.chunks import CHUNK_BYTES, join
from protocol.wire.envelope import Envelope
from protocol.wire.exchange_pb2 import Chunk
from protocol.wire.limits import RATES, Limits

ASKED: Final = frozenset({
    "hello", "probe", "formats_query", "start", "blinded_ids", "own_ids_query", "matched", "positions", "dated",
    "opening", "layout_query", "hint_query", "sums_query", "split_query", "node_split_query", "handles", "query",
    "values", "design", "coefficients", "masked_coefficients", "keep", "key_query", "peer_keys",
    "evaluation_query", "proof_query", "tags_query",
})  # fmt: skip
"""Last words of the kinds that a bank sends; of all others a partner is the sender."""
_CHUNKS: Final = 3


@dataclass(frozen=True)
class Row:
    """One attack. side: who lies. gained, bound, control: in `unit`."""

    side: str
    kind: str
    attack: str
    unit: str
    gained: float
    bound: float
    control: float

    @property
    def holds(self) -> bool:
        """Whether the guard bounds the gain, and is what bounds it."""
        return self.gained <= self.bound < self.control


def side_of(kind: str) -> str:
    """Who sends a kind."""
    return "bank" if kind.rsplit(".", 1)[-1] in ASKED else "partner"


def yield_table(run: Path | None = None, carrier: Carrier = "grpc") -> list[Row]:
    """Run every attack, with its guard and without.

    run: folder of a run, whose tables and contract are attacked; None: a made-up table. carrier: of messages; lies pass
    a partner's real port with a real certificate unless it is "in-process". Raises: UsageError, DataError.
    """
    with TemporaryDirectory(prefix="fedwarn-attack-") as folder:
        scene = of_run(Path(folder), run) if run else made_up(Path(folder))
        scene.carrier = carrier
        scene.record()
        rows = [*_sizes(), *_forms(scene), *_rates(), *_lies(scene), *_falsehoods(scene)]
        rows += [Row(side="bank", **values) for values in sealed_vectors(Path(folder))]
    return sorted(rows, key=lambda row: (row.kind, row.attack))


def as_values(rows: list[Row]) -> list[dict[str, Any]]:
    """For --json."""
    return [{name: round(v, 4) if isinstance(v, float) else v for name, v in asdict(row).items()} for row in rows]


def _lies(scene: Scene) -> Iterator[Row]:
    for lie in LIES:
        bound = float(lie.bound(scene.plan)) if callable(lie.bound) else lie.bound
        yield Row("bank", lie.kind, lie.attack, lie.unit, _told(scene, lie, True), bound, _told(scene, lie, False))


def _told(scene: Scene, lie: Lie, guarded: bool) -> float:
    """What a lie gains in a run of its own, since it may spoil what follows."""
    ambush = lie.ambush(guarded)
    scene.meet(ambush)
    return ambush.gained


def _falsehoods(scene: Scene) -> Iterator[Row]:
    for one in FALSEHOODS:
        gained, control = (one.tell(scene, guarded) for guarded in (True, False))
        yield Row("partner", one.kind, one.attack, one.unit, gained, 0.0, control)


def _sizes() -> Iterator[Row]:
    """A body longer than its kind may be is refused at its head; the control reads on."""
    for kind in sorted(CATALOGUE):
        read = [_chunks_read(kind, limited) for limited in (True, False)]
        attack = "a body longer than its kind may be"
        yield Row(side_of(kind), kind, attack, "MiB read", read[0], 1.0, read[1])


def _chunks_read(kind: str, limited: bool) -> float:
    read = 0
    size = most_bytes(kind, 1000) + 1

    def chunks() -> Iterator[Chunk]:
        nonlocal read
        for k in range(_CHUNKS):
            read += 1
            part = bytes(CHUNK_BYTES)
            yield Chunk(session="s", sequence=1, kind=kind, size=size, part=part) if k == 0 else Chunk(part=part)

    with suppress(Malformed):
        join(chunks(), (lambda kind: most_bytes(kind, 1000)) if limited else (lambda kind: 1 << 62))
    return float(read)


def _forms(scene: Scene) -> Iterator[Row]:
    """Bodies that are not as declared; the control decodes them as MessagePack without a type.

    A bank's go to a partner's port; a partner's are decoded as the bank decodes a reply.
    """
    with scene.door() as send:
        for kind, body in sorted(scene.recorded.items()):
            forged, side = list(_forged(msgspec.msgpack.decode(body))), side_of(kind)
            attack = "fields unknown, missing, of another type, out of range, or with control characters"
            gained = sum(_is_read(send, kind, one) if side == "bank" else _decodes(kind, one) for one in forged)
            yield Row(side, kind, attack, "bodies accepted", gained, 0.0, float(len(forged)))


def _is_read(send: Callable[[Envelope], Envelope], kind: str, body: bytes) -> bool:
    """Whether a partner takes a body for a message of its kind, whatever it then says to it."""
    answer = send(Envelope(secrets.token_hex(16), 0, kind, body))
    reply = decode(answer.kind, answer.body)
    return not (isinstance(reply, Refusal) and reply.rule in {"codec", "size"})


def _decodes(kind: str, body: bytes) -> bool:
    try:
        decode(kind, body)
    except Malformed:
        return False
    return True


def _forged(fields: dict[str, Any]) -> Iterator[bytes]:
    """The same message, wrong in one place."""
    yield msgspec.msgpack.encode({**fields, "unknown": 1})
    for name, value in fields.items():
        yield msgspec.msgpack.encode({**fields, name: {"nested": [value] * 2}})
        match value:
            case str():
                lies: list[Any] = ["\x1b[2J", "../../" + "x" * 70_000]
            case bool():
                lies = [2]
            case int():
                lies = [-(1 << 62), (1 << 64) - 1, 0.5]
            case float():
                lies = [float("nan"), float("inf")]
            case [str() as dtype, [*shape], bytes() as data]:
                lies = [(dtype, [*shape, 2], data), (dtype, [-1, *shape], data), ("|O8", shape, data)]
            case _:
                lies = []
        for lie in lies:
            yield msgspec.msgpack.encode({**fields, name: lie})


def _rates() -> Iterator[Row]:
    """Asked as often as a minute allows; what is costly is asked so often and no more."""
    for kind, rate in RATES.items():
        counts = [_admitted(kind, rate + 100, rates) for rates in (RATES, {})]
        attack = "asked again and again within a minute"
        yield Row("bank", kind, attack, "requests a minute", counts[0], float(rate), counts[1])


def _admitted(kind: str, tries: int, rates: Mapping[str, int]) -> float:
    limits = Limits("partner", clock=lambda: 0.0, sleep=lambda s: None, rates=rates)
    admitted = 0
    for _ in range(tries):
        try:
            limits.admit("bank", kind)
        except RefusedError:
            continue
        admitted += 1
    return float(admitted)

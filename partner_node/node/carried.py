"""A partner's node that any worker may serve: what it remembers is carried from message to message.

    worker A                                                    worker B
     |  message k -> reply k                                     |
     |---------------- Carried: seeds and digests -------------->|  message k + 1 -> reply k + 1

Nearly all that a node must remember is in its state folder: agreement, alignments, layouts, budgets, models, ledger.
Two things are not: the last exchange of a session, and an alignment under way. They are carried, large parts of them
by digest alone; what the digests name lies in a cache beside the state.

A worker keeps its node between messages, and uses it again if the ledger's end is where it left it: then nobody else
has answered since. Else the node is made anew from the state folder and from what is carried.
"""

from functools import cache
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from partner_node.algorithms.alignment import AlignmentState
from partner_node.config import PartnerConfig, load_config
from partner_node.node.service import PartnerService
from partner_node.store.cache import Cache
from protocol.errors import FedwarnError
from protocol.wire.envelope import Envelope, Mark
from protocol.wire.session import refused

CACHE: Final = "cache"
"""In the state folder."""


class Carried(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is carried: the last request and its reply, an alignment under way; "" where there is none.

    request, reply, order: SHA-256 in hex. secret: of the alignment, forgotten at its end.
    """

    session: str = ""
    sequence: int = 0
    kind: str = ""
    request: str = ""
    reply_kind: str = ""
    reply: str = ""
    alignment: str = ""
    bank_rows: int = 0
    received: int = 0
    secret: bytes = b""
    order: str = ""


class CarriedPartner:
    """One partner's node in this worker."""

    def __init__(self, config: PartnerConfig) -> None:
        self._config = config
        self._cache = Cache(config.state / CACHE, config.party)
        self._service: PartnerService | None = None

    def serve(self, envelope: Envelope, carried: bytes) -> tuple[Envelope, bytes]:
        """The reply to the bank's envelope, and what is to be carried to the next. carried: b"" at first."""
        before = msgspec.json.decode(carried, type=Carried) if carried else Carried()
        try:
            service = self._ready(before)
        except FedwarnError as error:
            return refused(envelope, error), carried
        reply = service.serve(self._config.bank, envelope)
        after = self._carried(service)
        service.rest()
        for name in {before.reply, before.order} - {after.reply, after.order}:
            self._cache.forget(name)
        return reply, msgspec.json.encode(after)

    def _ready(self, carried: Carried) -> PartnerService:
        """The node of this worker if nobody else has served since, or a new one. Raises: FedwarnError."""
        if self._service is not None and self._service.wake():
            return self._service
        if self._service is not None:
            self._service.close()
        self._service = None
        service = PartnerService(self._config, self._cache)
        try:
            self._recall(service, carried)
        except FedwarnError:
            service.close()
            raise
        self._service = service
        return service

    def _carried(self, service: PartnerService) -> Carried:
        """What this node holds in memory alone."""
        latest, aligning = service.latest(), service.aligning
        last, under_way = Carried(), bool(aligning.secret)
        if latest is not None:
            mark, reply = latest
            last = Carried(*mark[:3], mark.digest.hex(), reply.kind, self._cache.keep(reply.body))
        if not under_way:
            return last
        return msgspec.structs.replace(
            last,
            alignment=aligning.alignment,
            bank_rows=aligning.bank_rows,
            received=aligning.received,
            secret=aligning.secret,
            order=self._cache.keep(aligning.order.tobytes()),
        )

    def _recall(self, service: PartnerService, carried: Carried) -> None:
        """Let a new node know what the last one did. Raises: IntegrityError: the cache has lost it."""
        if carried.session:
            mark = Mark(carried.session, carried.sequence, carried.kind, bytes.fromhex(carried.request))
            body = self._cache.find(carried.reply)
            service.recall(mark, Envelope(carried.session, carried.sequence, carried.reply_kind, body))
        if carried.secret:
            order = np.frombuffer(self._cache.find(carried.order), dtype=np.int64)
            service.aligning = AlignmentState(
                alignment=carried.alignment,
                bank_rows=carried.bank_rows,
                received=carried.received,
                secret=carried.secret,
                order=order,
            )


@cache
def partner_here(config: Path) -> CarriedPartner:
    """The partner of a node.toml in this process. Raises: UsageError, DataError: there is no such node."""
    return CarriedPartner(load_config(config))

"""All parties in one process: what simulations and most tests run on.

What passes through is bytes, as on a network: sessions encode and decode every message.
"""

from collections.abc import Mapping
from functools import partial

from protocol.transport.base import FanOut
from protocol.wire.envelope import Serve


class InProcess(FanOut):
    """Partners that are functions of this process, each in a thread of its own.

    Args:
        bank: the name that the partners see as their peer.
        partners: what answers for each, usually `PartnerSessions.serve`.
    """

    def __init__(self, bank: str, partners: Mapping[str, Serve]) -> None:
        super().__init__({party: partial(serve, bank) for party, serve in partners.items()})

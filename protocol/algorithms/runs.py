"""Runs and labels: which run of which job asks, and a name for everything that is asked once.

    bank                                    partner
     |-- RunOpening (job, nonce) ------------->|  is the job approved, and a use of it left?
     |<- RunOpened (run number) ---------------|  draws the run's noise epoch, and keeps it

A *label* names one question of one run. A partner answers a label once for each bank and table lineage, whatever the
hint, the layout, the account's alignment or a restart: a second, different question under a used label is refused, and
the same question again gets the same bytes. The run number is the partner's to give, so that two runs of one job never
share a label. Numbers stand in labels where names could: a label tells a partner no name of another.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from protocol.fields import Count, Digest, Nonce
from protocol.he.streams import digest
from protocol.messages import Message, declared

Kind = Literal["sums", "counts", "cross", "release", "masked"]


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One question to one partner.

    kind: "sums" of a tree node, "counts" of a way of binning, "cross" sums of a regression; a "release" of scores, or a
    "masked" one.
    job: SHA-256 of the job, hex. run: as the partner numbered it. party_set, model, fold, output (class), round, tree,
    node: place in the job, each from 0; of a regression, tree is the step and node the first vector of the query.
    """

    kind: Kind
    job: Digest
    run: Count = 0
    party_set: Count = 0
    model: Count = 0
    fold: Count = 0
    output: Count = 0
    round: Count = 0
    tree: Count = 0
    node: Count = 0

    @property
    def text(self) -> str:
        """One line that no other label has."""
        return "/".join(str(part) for part in msgspec.structs.astuple(self))

    @property
    def unnumbered(self) -> str:
        """The same for every run of the job: noise differs between runs by their epochs."""
        return msgspec.structs.replace(self, run=0).text


@declared("run.opening", content="digest of the job, a nonce", purpose="open a run of an approved job")
class RunOpening(Message, frozen=True):
    """The bank begins a run. nonce: 32 bytes; the same nonce again is the same run."""

    job: Digest
    nonce: Nonce


@declared("run.opened", content="the number of the run", purpose="open a run of an approved job")
class RunOpened(Message, frozen=True):
    """run: 1, 2, ... of this job, this bank and this table lineage."""

    job: Digest
    run: Annotated[int, Meta(ge=1, le=1 << 31)]


def subject_of(job: str, nonce: bytes) -> str:
    """What masks between partners are agreed on for in one run: SHA-256 in hexadecimal."""
    return digest(b"fedwarn.v1 run", job.encode(), nonce).hex()

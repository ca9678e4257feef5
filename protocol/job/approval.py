"""The approval of a job at a partner: what one person there has allowed, and what a signed contract carries."""

from datetime import datetime
from typing import Literal

import msgspec

from protocol.he.streams import digest
from protocol.job.workload import Workload


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was approved: the predicate that a signed contract will carry.

    bank, partner: who asks, and who answers; partners: all of the job, in its order.
    job: its SHA-256, hex. name: from its file.
    columns: as the job file lists them; "*" stands for any text. features: names of the table's features that they
    mean, in the table's order; features_sha256: their digest, hex.
    workload: models with their bins, trees, depths, vectors and releases.
    clauses: of node and job the stricter, by name.
    approved: UTC, ISO 8601. not_after: from this time on, the approval is not in force.
    uses: how many runs it admits; budgets count them.
    """

    bank: str
    partner: str
    partners: tuple[str, ...]
    job: str
    name: str
    columns: tuple[str, ...]
    features: tuple[str, ...]
    features_sha256: str
    workload: Workload
    engine: str
    alignment: str
    split_rows: str
    clauses: dict[str, float]
    approved: str
    not_after: str
    uses: int
    schema: Literal[1] = 1

    def expired(self, now: datetime) -> bool:
        """Whether the approval is no longer in force at this time, UTC."""
        return now >= datetime.fromisoformat(self.not_after)


def digest_of_names(names: tuple[str, ...]) -> str:
    """SHA-256 of names in their order, hex."""
    return digest(b"fedwarn.v1 columns", msgspec.json.encode(names)).hex()

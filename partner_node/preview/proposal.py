"""What a partner proposes for a contract: the clauses that only it can name, since only it knows its bins."""

from dataclasses import dataclass
from math import ceil
from typing import Final

from partner_node.config import PartnerConfig
from partner_node.node.bins import as_told, cut_table
from partner_node.policy.approving import approval_of
from partner_node.preview.preview import bins_of, preview
from partner_node.preview.reach import Bins, bits_known, reach, share_for
from protocol.contract import Contract
from protocol.job import Job
from protocol.signing.contract import Purpose
from protocol.table import read_table

_FEW: Final = 2
"""Thresholds a column below which a share says little of a column."""
_ADMITTED: Final = 3
"""Thresholds a column that the share proposed in its place admits."""


@dataclass(frozen=True)
class Proposal:
    """clauses: of the contract. readable: the share of bins that a bank which lies could read by the approved job.

    known, whole: bits that the bank will know of each customer, and that there are. thresholds: of a column at most.
    """

    clauses: Contract
    readable: float
    known: float
    whole: float
    thresholds: int

    @property
    def words(self) -> Purpose:
        """What the share means, for a lawyer."""
        known, whole, most, share = f"{self.known:.0f}", f"{self.whole:.0f}", self.thresholds, f"{self.readable:.0%}"
        return Purpose(
            en=f"The bank will know, of each customer, on average at most {known} of {whole} bits, at most {most} cut "
            "points a column, enough to tell most customers from all others: it is personal data. A bank that breaks "
            f"the protocol could read {share} of the bins.",
            zh=f"银行对每位客户平均最多获知 {whole} 比特中的 {known} 比特，每个变量最多 {most} 个切点，"
            f"足以将多数客户与其他人区分：属于个人信息。违反协议的银行最多可读出 {share} 的分箱。",
        )


def propose(config: PartnerConfig, job: Job) -> Proposal:
    """Propose clauses for a job: the stricter ones of both sides, and a share that says something of each column.

    The share of a partner of few columns is raised until it admits three thresholds a column. `max_readable_share` is
    what the approved job needs at worst. Raises: UsageError, DataError: the table lacks a column of the job.
    """
    clauses = config.contract.stricter(job.contract)
    tables = _binned(config, job, clauses)
    share = max([clauses.max_information_share, *(_raised(columns, clauses) for columns in tables)])
    clauses = clauses.model_copy(update={"max_information_share": share})
    readable = max((worst.share for worst in preview(config, job, None).readable), default=1.0)
    widest = max(tables, key=len, default=[])
    known, whole = bits_known(widest, share)
    most = max((min(len(one.ordinary), clauses.max_thresholds_a_column) for one in widest), default=0)
    clauses = clauses.model_copy(update={"max_readable_share": min(clauses.max_readable_share, max(readable, 0.01))})
    return Proposal(clauses, readable, known, whole, most)


def _binned(config: PartnerConfig, job: Job, clauses: Contract) -> list[list[Bins]]:
    """The columns of the job, binned in each way that it asks for."""
    table, approval = read_table(config.data.source, config.data, config.party), approval_of(config, job)
    cut = (cut_table(config, table, c, clauses, approval.features) for c in approval.workload.cuttings)
    return [bins_of(as_told(config, one)) for one in cut]


def _raised(columns: list[Bins], clauses: Contract) -> float:
    """The share that admits three thresholds a column where the clause admits less than two, else 0."""
    asked = sum(len(one.ordinary) for one in columns)
    if reach(columns, clauses.max_information_share, 0.0, asked, 0).admitted >= _FEW * len(columns):
        return 0.0
    return ceil(100 * share_for(columns, _ADMITTED)) / 100

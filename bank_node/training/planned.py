"""What a job plans at most is held against the partners' contracts before anything is asked of them."""

from collections.abc import Mapping

from protocol.contract import Contract, refuse
from protocol.job import Job, linear_params
from protocol.job.workload import workload


def require_releases(job: Job, contracts: Mapping[str, Contract]) -> None:
    """Every step of a linear fit is one release of partial scores, and a plan has `max_iter` + 1 of them a fit.

    Raises: RefusedError: more than a partner's contract admits.
    """
    for partner, contract in contracts.items():
        planned, most = workload(job, partner).releases, contract.score_releases
        if planned > most:
            raise refuse(
                partner, "score_releases",
                f"the fits of this job's linear models plan up to {planned} releases of partial scores, and {most} are "
                "the most",
                f"{_fewer_steps(job, partner, most)}fit fewer linear models or rungs, or agree on a higher clause",
            )  # fmt: skip


def _fewer_steps(job: Job, partner: str, most: int) -> str:
    """The largest max_iter with which the plan fits, if any does."""
    fits = sum(
        planned.releases // (params.max_iter + 1)
        for model, planned in zip(job.models, workload(job, partner).models, strict=False)
        if (params := linear_params(model)) is not None
    )
    steps = most // fits - 1
    return f"set max_iter to {steps} at most, " if steps >= 1 else ""

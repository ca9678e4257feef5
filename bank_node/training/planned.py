"""How many steps linear fits may take, so that all of a job's fits stay within what partners release of scores."""

from collections.abc import Mapping
from typing import Final

from protocol.contract import Contract, refuse
from protocol.job import Job
from protocol.job.linear import releases_of
from protocol.job.workload import workload

FEWEST_STEPS: Final = 6
"""Below this a fit may end before it has converged; on real loans fits of one partner take four or five."""


def steps_within(job: Job, contracts: Mapping[str, Contract]) -> int:
    """Steps at most of any linear fit of the job, by the partner that admits the fewest; every step is a release.

    A fit takes `max_iter` at most anyway. Where all of them together plan more than a contract's `score_releases`,
    all are held to fewer, and the page says so of a fit that has then not converged.
    Raises: RefusedError: not even fits of `FEWEST_STEPS`, or of `max_iter` where that is less, are within a contract.
    """
    return min((_steps(job, partner, contract.score_releases) for partner, contract in contracts.items()), default=99)


def _steps(job: Job, partner: str, most: int) -> int:
    fits = [
        (planned.fits, model.most_steps)
        for model, planned in zip(job.models, workload(job, partner).models, strict=False)
        if model.most_steps
    ]
    longest = max((steps for _, steps in fits), default=0)

    def releases(limit: int) -> int:
        return sum(count * releases_of(min(limit, steps)) for count, steps in fits)

    least = min(longest, FEWEST_STEPS)
    if releases(least) > most:
        raise refuse(
            partner, "score_releases",
            f"the fits of this job's linear models take {releases(least)} releases of partial scores even with {least} "
            f"steps each, and {most} are the most",
            "fit fewer linear models or rungs, or agree on a higher clause",
        )  # fmt: skip
    return max(limit for limit in range(least, longest + 1) if releases(limit) <= most)

"""What alignment costs beyond the group multiplications that it cannot do without."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from bank_node.partners.alignment import align
from partner_node.algorithms.alignment import AlignmentAnswerer
from protocol.algorithms import group
from protocol.algorithms.alignment import PartnerAlignment, Setting
from protocol.messages import decode, encode
from protocol.role import Replies, Requests, drive

PARTNERS = ("bureau", "telecom")


def benchmark_align(rows: int = 20_000, setting: Setting = "one-sided") -> dict[str, Any]:
    """Align a bank with two partners in one process, each with `rows` rows of which nine tenths are common.

    The reference is the bare multiplications, in one tight loop a thread: a row and partner takes four (the bank
    blinds and takes off, the partner blinds the bank's id and its own).
    Returns: seconds of both, and their ratio.
    """
    reference_s = _seconds(partial(_multiply, 4 * len(PARTNERS) * rows))
    ours_s = _seconds(partial(_align, rows, setting))
    return {
        "ratio": ours_s / reference_s,
        "ours_s": ours_s,
        "reference_s": reference_s,
        "threads": group.cores(),
        "settings": {"rows": rows, "partners": len(PARTNERS), "alignment": setting, "overlap": 0.9},
    }


def _align(rows: int, setting: Setting) -> None:
    ids = [b"%d" % k for k in range(rows + rows // 10)]
    kept: list[PartnerAlignment] = []
    answerers = {
        party: AlignmentAnswerer(party, "bank", setting, 1, ids[rows // 10 :], kept.append) for party in PARTNERS
    }

    def exchange(requests: Requests) -> Replies:
        replies = {}
        for party, request in requests.items():
            reply = answerers[party].handle(decode(request.KIND, encode(request)))
            replies[party] = decode(reply.KIND, encode(reply))
        return replies

    drive(align("bank", PARTNERS, ids[:rows], 1, setting, lambda _done, _total: None), exchange)
    if [alignment.matches for alignment in kept] != [rows - rows // 10] * len(PARTNERS):
        raise AssertionError("the alignment is wrong")


def _multiply(count: int) -> None:
    """`count` multiplications of one point, a share a thread, without any result kept."""
    share = np.repeat(group.hash_to_group([b"a"]), -(-count // group.cores()), axis=0)
    scalar = group.random_scalar()
    with ThreadPoolExecutor(group.cores()) as threads:
        list(threads.map(lambda _: group.multiply(share, scalar), range(group.cores())))


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began

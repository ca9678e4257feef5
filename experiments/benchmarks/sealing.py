"""What sealing split bits costs: both sides' work for a block of splits, over packing the same bits in clear."""

import time
from secrets import token_bytes
from typing import Any

import numpy as np

from protocol.algorithms.boosting import Split, SplitBits, Splits
from protocol.algorithms.group import ROW_KEY_BYTES
from protocol.algorithms.sealing import NONCE_BYTES, SPLITS_A_BLOCK, RowKeys, SplitPads, open_scores, seal_scores
from protocol.draws import draw
from protocol.messages import I64, encoded_size

_SUBJECT = "layout"
_MATCHED = 10
"""Every tenth row of the partner is the bank's: a partner is as a rule the larger of the two."""


def benchmark_sealing(rows: int = 60_000) -> dict[str, Any]:
    """Seal 256 splits of `rows` rows, in one thread; `open_s` is the bank's work for a tenth of the rows.

    The reference is what a partner does without sealing: look up the side of every row, and pack two bits of it.
    bytes_a_split, clear_bytes_a_split: on the wire. scores_s: sealing one partial score of every row.
    """
    bins = draw(1, "bins").integers(0, 16, (rows, 1), dtype=np.uint8)
    keys = RowKeys(rows, np.arange(rows), np.frombuffer(token_bytes(rows * ROW_KEY_BYTES), np.uint8).reshape(rows, -1))
    places = np.arange(0, rows, _MATCHED)
    pads, opening = (SplitPads(k, Splits.KIND, _SUBJECT) for k in (keys, RowKeys(rows, places, keys.keys[places])))
    clear, sealed, opened = [], [], []
    began = time.perf_counter()
    for k in range(SPLITS_A_BLOCK):
        clear.append(_flags(bins, Split(0, tuple(range(k % 15 + 1)))))
    packed_at = time.perf_counter()
    nonce = token_bytes(NONCE_BYTES)
    for k, bits in enumerate(clear):
        sealed.append(pads.seal(bits, nonce + bytes([k])))
    sealed_at = time.perf_counter()
    for bits in sealed:
        opened.append(opening.open(bits))
    opened_at = time.perf_counter()
    _require_equal(clear[-1], opened[-1], rows, places)
    return {
        "ratio": (sealed_at - began) / (packed_at - began),
        "ours_s": sealed_at - began,
        "reference_s": packed_at - began,
        "seal_s": sealed_at - packed_at,
        "open_s": opened_at - sealed_at,
        "scores_s": _scores_s(keys),
        "bytes_a_split": _bytes(sealed[0]),
        "clear_bytes_a_split": _bytes(clear[0]),
        "threads": 1,
        "settings": {
            "rows": rows, "splits": SPLITS_A_BLOCK, "matched": len(places), "reference": "the same bits, packed",
        },
    }  # fmt: skip


def _flags(bins: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], split: Split) -> SplitBits:
    """As a partner computes them."""
    side = np.zeros(256, dtype=np.int8)
    side[list(split.left)] = 1
    side[15:] = 2
    told = side[bins[:, split.column]]
    return SplitBits(np.packbits(told == 1), np.packbits(told == 2))


def _bytes(bits: SplitBits) -> int:
    """Of one split in a message."""
    empty = encoded_size(Splits(bits=(), information_share=0.0))
    return encoded_size(Splits(bits=(bits,), information_share=0.0)) - empty


def _scores_s(keys: RowKeys) -> float:
    scores = draw(1, "scores").integers(-(10**6), 10**6, keys.rows)
    began = time.perf_counter()
    sealed, nonce = seal_scores(keys, "glm.scores", _SUBJECT, scores)
    seconds = time.perf_counter() - began
    if not np.array_equal(open_scores("partner", keys, "glm.scores", _SUBJECT, keys.rows, sealed, nonce), scores):
        raise AssertionError("other scores were opened than sealed")
    return seconds


def _require_equal(clear: SplitBits, opened: SplitBits, rows: int, places: I64) -> None:
    for before, after in ((clear.left, opened.left), (clear.missing, opened.missing)):
        if (np.unpackbits(before, count=rows)[places] != np.unpackbits(after, count=rows)[places]).any():
            raise AssertionError("other bits were opened than sealed")

"""Known answers of the blind product, computed by the big-integer reference and kept as JSON.

`python -m tests.protocol.he.vectors` writes them anew. Inputs are given by small formulas (docs/protocols/
blind-product.md, "Known answers"), long outputs by SHA-256 of their little-endian bytes.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np

from protocol.he.base import OneHot
from protocol.messages import I64
from tests.protocol.he import reference

FOLDER: Final = Path(__file__).parents[2] / "vectors" / "blind"

CASES: Final[dict[str, dict[str, Any]]] = {
    "one_block": {"n": 40, "sizes": [3, 2], "skip": 0, "columns": [0, 1], "scale": 1000, "noise": [0, 0, 0, 0, 0]},
    "two_blocks": {"n": 4100, "sizes": [4], "skip": 0, "columns": [0], "scale": 1, "noise": [7, -7, 1, -1]},
    "not_held": {"n": 300, "sizes": [2, 3, 2], "skip": 4, "columns": [2, 0], "scale": -777, "noise": [1, -1, 2, -2]},
    "plan_ends": {"n": 5, "sizes": [5], "skip": 0, "columns": [0], "scale": (1 << 40) - 1, "noise": [0, 0, 0, 0, 0]},
}  # fmt: skip
COMMON: Final = {
    "alignment": "alignment-1", "parties": ["bank", "telecom"], "label": "job/all/0/0/0/3/5",
    "master": "00" * 31 + "01", "partner_key": "00" * 31 + "02", "nonces": ["11" * 32, "22" * 32],
}  # fmt: skip
MUST_FAIL: Final = [
    {"change": "query one row short", "at": "answer", "error": "IntegrityError", "says": "another length"},
    {"change": "low words of six bytes", "at": "answer", "error": "IntegrityError", "says": "another length"},
    {"change": "one label too few", "at": "answer", "error": "IntegrityError", "says": "another length"},
    {"change": "query in the clear", "at": "answer", "error": "IntegrityError", "says": "another engine"},
    {"change": "column that does not exist", "at": "answer", "error": "IntegrityError", "says": "do not exist"},
    {"change": "column asked twice", "at": "answer", "error": "IntegrityError", "says": "do not exist"},
    {"change": "label used before", "at": "answer", "error": "IntegrityError", "says": "second, different question"},
    {"change": "flood budget spent", "at": "answer", "error": "RefusedError", "says": "flood budget"},
    {"change": "seed used for another matrix", "at": "hint", "error": "IntegrityError", "says": "two matrices"},
    {"change": "hint one column short", "at": "kit", "error": "IntegrityError", "says": "hint of another shape"},
    {"change": "answer one sum short", "at": "open", "error": "IntegrityError", "says": "number of sums"},
    {"change": "hint of another seed", "at": "opened", "error": "", "says": "other sums"},
    {"change": "one bit of b flipped", "at": "opened", "error": "", "says": "other sums"},
]


def matrix_of(case: dict[str, Any]) -> OneHot:
    """Position p is held unless skip > 0 and p is a multiple of it; bin of p in column j: (7 p + 3 j) mod size."""
    n, sizes = case["n"], np.array(case["sizes"])
    held = np.array([p for p in range(n) if not case["skip"] or p % case["skip"]])
    bins = (7 * held[:, None] + 3 * np.arange(len(sizes))) % sizes
    return OneHot(bins.astype(np.uint8), sizes.astype(np.int64), n, held.astype(np.int64))


def vector_of(case: dict[str, Any]) -> I64:
    """u[p] = scale (p mod 5 - 2)."""
    return np.array([case["scale"] * (p % 5 - 2) for p in range(case["n"])], dtype=np.int64)


def sha(values: Sequence[int], octets: int = 8) -> str:
    return sha256(b"".join(value.to_bytes(octets, "little") for value in values)).hexdigest()


def expected(case: dict[str, Any]) -> dict[str, Any]:
    """What a second implementation must find, from the reference alone."""
    matrix = matrix_of(case)
    seed = reference.public_seed(
        COMMON["alignment"], COMMON["parties"], [bytes.fromhex(nonce) for nonce in COMMON["nonces"]]
    )
    rows = written_rows(matrix)
    partner = reference.Partner(bytes.fromhex(COMMON["partner_key"]), seed, rows, matrix.digest)
    bank = reference.Bank(bytes.fromhex(COMMON["master"]), seed, case["n"])
    vector, asked = vector_of(case).tolist(), matrix.rows_of(case["columns"]).tolist()
    noise = dict(zip(asked, case["noise"], strict=True))
    query, hint = bank.seal(vector, COMMON["label"]), partner.hint()
    beta = partner.answer(query, COMMON["label"], [noise.get(r, 0) for r in range(len(rows))])
    secret = bank.secret(vector, COMMON["label"])
    opened = reference.open_whole([beta[r] for r in asked], [hint[r] for r in asked], secret)
    return {
        "seed": seed.hex(),
        "matrix": matrix.digest.hex(),
        "hint_id": partner.hint_id.hex(),
        "public_sha256": sha([c for a in reference.public(seed, reference.blocks_of(case["n"])) for c in a], 13),
        "hint_sha256": sha([value >> 40 for row in hint for value in row]),
        "hint_first": [f"{value >> 40:016x}" for value in hint[0][:3]],
        "secret_first": secret[:20],
        "query_high_sha256": sha([value >> 40 for value in query]),
        "query_low_sha256": sha([value % (1 << 40) for value in query], 5),
        "query_first": [f"{value:026x}" for value in query[:3]],
        "answer": [f"{beta[r] >> 40:016x}" for r in asked],
        "opened": opened,
    }


def written_rows(matrix: OneHot) -> list[list[int]]:
    rows = np.zeros((matrix.rows, matrix.n), dtype=np.int64)
    for j, start in enumerate(matrix.offsets[:-1]):
        rows[start + matrix.bins[:, j], matrix.positions] = 1
    return [[int(value) for value in row] for row in rows]


def write() -> None:
    """Compute the files from the reference."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, case in CASES.items():
        content = {"common": COMMON, "case": case, "expected": expected(case)}
        (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    (FOLDER / "must_fail.json").write_text(json.dumps(MUST_FAIL, indent=1) + "\n")


if __name__ == "__main__":
    write()

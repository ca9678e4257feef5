"""Known answers of the blind product over whole numbers, computed by the big-integer reference and kept as JSON.

`python -m tests.protocol.he.wide_vectors` writes them anew. Inputs are given by small formulas (docs/protocols/
blind-product.md, "Known answers"), long outputs by SHA-256 of their little-endian bytes.
"""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from protocol.he.base import Integers
from tests.protocol.he import wide_reference
from tests.protocol.he.vectors import COMMON, sha, vector_of
from tests.protocol.he.wide_products import written_integers

FOLDER: Final = Path(__file__).parents[2] / "vectors" / "blind_wide"
CASES: Final[dict[str, dict[str, Any]]] = {
    "columns_and_products": {"n": 40, "d": 2, "rows": [[0, -1], [1, -1], [0, 1], [1, 1]], "skip": 0, "scale": 1 << 30},
    "two_blocks": {"n": 8200, "d": 1, "rows": [[0, 0]], "skip": 4, "scale": -777},
}


def matrix_of(case: dict[str, Any]) -> Integers:
    """Position p is held unless skip > 0 divides p; its value in column j is (977 p + 11 j) mod 8193 - 4096."""
    n, d = case["n"], case["d"]
    held = np.array([p for p in range(n) if not case["skip"] or p % case["skip"]])
    values = (977 * held[:, None] + 11 * np.arange(d)) % 8193 - 4096
    return Integers(values.astype(np.int16), np.array(case["rows"]), n, held.astype(np.int64))


def expected(case: dict[str, Any]) -> dict[str, Any]:
    """What a second implementation must find, from the reference alone."""
    matrix, nonces = matrix_of(case), [bytes.fromhex(nonce) for nonce in COMMON["nonces"]]
    seed = wide_reference.public_seed(COMMON["alignment"], COMMON["parties"], nonces)
    rows = written_integers(matrix).tolist()
    partner = wide_reference.Partner(bytes.fromhex(COMMON["partner_key"]), seed, rows, matrix.digest)
    bank = wide_reference.Bank(bytes.fromhex(COMMON["master"]), seed, case["n"])
    vector = vector_of(case).tolist()
    query, hint, secret = bank.seal(vector, COMMON["label"]), partner.hint(), bank.secret(vector, COMMON["label"])
    beta = partner.answer(query, COMMON["label"])
    return {
        "seed": seed.hex(),
        "matrix": matrix.digest.hex(),
        "hint_id": partner.hint_id.hex(),
        "hint_sha256": sha([value >> wide_reference.CUT for row in hint for value in row], 10),
        "secret_first": secret[:20],
        "query_sha256": sha(query, 26),
        "query_first": [f"{value:052x}" for value in query[:2]],
        "answer": [f"{value >> wide_reference.CUT:020x}" for value in beta],
        "opened": wide_reference.open_whole(beta, hint, secret),
    }


def write() -> None:
    """Compute the files from the reference."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, case in CASES.items():
        content = {"common": COMMON, "case": case, "expected": expected(case)}
        (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    write()

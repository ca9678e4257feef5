"""The known answers over whole numbers."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from protocol.he.blind.public import public_seed
from protocol.he.blind.wide_kit import WideSecretKit
from protocol.he.integers import WideCiphertext
from protocol.he.parameters import INTEGERS
from tests.protocol.he.vectors import vector_of
from tests.protocol.he.wide_products import wide_product, written_integers
from tests.protocol.he.wide_vectors import CASES, COMMON, FOLDER, matrix_of


@pytest.mark.parametrize("name", CASES)
def test_the_known_answers(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.loads((FOLDER / f"{name}.json").read_text())
    case, expected = content["case"], content["expected"]
    assert (content["common"], case) == (COMMON, CASES[name])
    monkeypatch.setattr("tests.protocol.he.wide_products.PARTNER_KEY", bytes.fromhex(COMMON["partner_key"]))
    nonces = [bytes.fromhex(nonce) for nonce in COMMON["nonces"]]
    seed = public_seed(COMMON["alignment"], COMMON["parties"], nonces, INTEGERS)
    matrix, labels = matrix_of(case), [COMMON["label"]]
    partner = wide_product(tmp_path, matrix, seed)
    kit = WideSecretKit("telecom", bytes.fromhex(COMMON["master"]), seed, partner.kit.hint, case["n"])
    sealed, rows = kit.seal(vector_of(case)[None], labels), np.arange(matrix.rows_count)
    assert isinstance(sealed.body, WideCiphertext)
    query = partner.evaluator.check(sealed.body, labels, rows)
    answer = partner.evaluator.answer(query, np.zeros((1, len(rows)), dtype=np.int64))
    opened = kit.open(sealed, rows, answer)[0].tolist()
    assert opened == expected["opened"] == (written_integers(matrix) @ vector_of(case)).tolist()
    assert {
        "seed": seed.hex(),
        "matrix": matrix.digest.hex(),
        "hint_id": partner.evaluator.hint_id.hex(),
        "hint_sha256": _sha(partner.kit.hint),
        "secret_first": sealed.secrets[0, :20].tolist(),
        "query_sha256": _sha(sealed.body.residues),
        "query_first": [_hex(residue) for residue in sealed.body.residues[0, :2]],
        "answer": [_hex(octets) for octets in answer[0]],
        "opened": opened,
    } == expected


def _sha(octets: np.ndarray) -> str:
    return sha256(octets.tobytes()).hexdigest()


def _hex(octets: np.ndarray) -> str:
    return octets[::-1].tobytes().hex()

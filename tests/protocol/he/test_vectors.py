"""The known answers, and the changes after which they must fail, each at its step."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from partner_node.policy.budgets import FLOOD_BUDGET, Allowance, Asked, Budgets
from protocol import errors
from protocol.he import ring
from protocol.he.base import Ciphertext, Cleartext, OneHot, Sealed
from protocol.he.blind.evaluator import BlindEvaluator
from protocol.he.blind.public import public_seed
from protocol.he.blind.secret_kit import BlindSecretKit
from tests.hostile.raw import unchecked
from tests.protocol.he.products import written_out
from tests.protocol.he.vectors import CASES, COMMON, FOLDER, MUST_FAIL, expected, matrix_of, sha, vector_of


class Run:
    """One known answer, step by step, with one thing changed."""

    def __init__(self, folder: Path, name: str = "one_block", change: str = "") -> None:
        content = json.loads((FOLDER / f"{name}.json").read_text())
        self.common, self.case, self.expected = content["common"], content["case"], content["expected"]
        self.change, self.matrix = change, matrix_of(self.case)
        self.budgets = Budgets(folder / "budgets.sqlite", "telecom")
        nonces = [bytes.fromhex(nonce) for nonce in self.common["nonces"]]
        self.seed = public_seed(self.common["alignment"], self.common["parties"], nonces)
        self.labels, self.columns = [self.common["label"]], list(self.case["columns"])
        self.step = "hint"

    def __call__(self) -> dict[str, Any]:
        key, master = (bytes.fromhex(self.common[name]) for name in ("partner_key", "master"))
        if self.change == "seed used for another matrix":
            self.budgets.admit_seed(self.seed, b"another matrix")
        evaluator = BlindEvaluator("bank", key, self.matrix, self.seed, self.budgets)
        hint = self._hint(evaluator, key)
        self.step = "kit"
        kit = BlindSecretKit("telecom", master, self.seed, hint, self.matrix.n)
        sealed = kit.seal(vector_of(self.case)[None], self.labels)
        self.step = "answer"
        self._spend(evaluator)
        columns = self.columns + {"column that does not exist": [2], "column asked twice": [0]}.get(self.change, [])
        labels = [] if self.change == "one label too few" else self.labels
        noise = np.array([self.case["noise"]])
        query = evaluator.check(self._body(sealed), labels, columns)
        self._enter(query.labels[0], query.names[0], query.hint, query.cost)
        answer = evaluator.answer(query, noise)
        self.step = "open"
        rows = self.matrix.rows_of(self.columns)
        opened = kit.open(sealed, rows, answer[:, 1:] if self.change == "answer one sum short" else answer)
        self.step = "opened"
        return self._found(evaluator, hint, sealed, answer, opened)

    def _hint(self, evaluator: BlindEvaluator, key: bytes) -> np.ndarray:
        if self.change == "hint of another seed":
            return BlindEvaluator("bank", key, self.matrix, b"t" * 32, self.budgets).hint()
        hint = evaluator.hint()
        return hint[:, 1:] if self.change == "hint one column short" else hint

    def _spend(self, evaluator: BlindEvaluator) -> None:
        if self.change == "label used before":
            self._enter(self.labels[0], b"another query", evaluator.hint_id, 1.0)
        if self.change == "flood budget spent":
            self._enter("before", b"another query", evaluator.hint_id, FLOOD_BUDGET)

    def _enter(self, label: str, name: bytes, hint: bytes, cost: float) -> None:
        """Spend what a question costs, as the partner's roles do."""
        run = self.budgets.open_run("bank", "data", "0" * 64, b"n" * 32, b"e" * 32, None)
        with self.budgets.spending():
            self.budgets.spend("bank", "data", "rows", run, [Asked("sums", label, name, 1)], Allowance(None, None))
            self.budgets.spend_flood(hint, cost)

    def _body(self, sealed: Sealed) -> Ciphertext | Cleartext:
        body = sealed.body
        assert isinstance(body, Ciphertext)
        match self.change:
            case "query one row short":
                return Ciphertext(high=body.high[:, 1:], low=body.low[:, 1:])
            case "low words of six bytes":
                return unchecked(body, low=np.pad(body.low, ((0, 0), (0, 0), (0, 1))))
            case "query in the clear":
                return Cleartext(values=vector_of(self.case)[None])
            case "one bit of b flipped":
                high = body.high.copy()
                high[0, 0] ^= np.uint64(1 << 40)
                return Ciphertext(high=high, low=body.low)
        return body

    def _found(
        self, evaluator: BlindEvaluator, hint: np.ndarray, sealed: Sealed, answer: np.ndarray, opened: np.ndarray
    ) -> dict[str, Any]:
        body = sealed.body
        assert isinstance(body, Ciphertext)
        public = ring.public_residues(self.seed, -(-self.matrix.n // 4096))
        whole = [int(h) << 40 | int(w) for h, w in zip(public.high.ravel(), public.low.ravel(), strict=True)]
        first = [
            int(h) << 40 | int.from_bytes(w.tobytes(), "little") for h, w in zip(body.high[0], body.low[0], strict=True)
        ]
        return {
            "seed": self.seed.hex(),
            "matrix": self.matrix.digest.hex(),
            "hint_id": evaluator.hint_id.hex(),
            "public_sha256": sha(whole, 13),
            "hint_sha256": sha(hint.ravel().tolist()),
            "hint_first": [f"{value:016x}" for value in hint[0, :3].tolist()],
            "secret_first": sealed.secrets[0, :20].tolist(),
            "query_high_sha256": sha(body.high[0].tolist()),
            "query_low_sha256": sha([value % (1 << 40) for value in first], 5),
            "query_first": [f"{value:026x}" for value in first[:3]],
            "answer": [f"{value:016x}" for value in answer[0].tolist()],
            "opened": opened[0].tolist(),
        }  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_known_answers(name: str, tmp_path: Path) -> None:
    run = Run(tmp_path, name)
    assert run() == run.expected
    wanted = (written_out(run.matrix) @ vector_of(run.case))[run.matrix.rows_of(run.columns)] + run.case["noise"]
    assert run.expected["opened"] == wanted.tolist()


def test_the_files_are_the_reference_s() -> None:
    content = json.loads((FOLDER / "one_block.json").read_text())
    assert (content["common"], content["case"]) == (COMMON, CASES["one_block"])
    assert content["expected"] == json.loads(json.dumps(expected(CASES["one_block"])))
    assert json.loads((FOLDER / "must_fail.json").read_text()) == MUST_FAIL


@pytest.mark.parametrize("vector", json.loads((FOLDER / "must_fail.json").read_text()) if FOLDER.exists() else [])
def test_what_must_fail_fails_where_it_must(vector: dict[str, str], tmp_path: Path) -> None:
    run = Run(tmp_path, change=vector["change"])
    if vector["error"]:
        with pytest.raises(getattr(errors, vector["error"]), match=vector["says"]):
            run()
    else:
        assert run()["opened"] != run.expected["opened"]
    assert run.step == vector["at"]


def test_a_matrix_s_name_covers_all_that_it_is() -> None:
    base = matrix_of(CASES["one_block"])
    others = [
        OneHot(base.bins ^ np.uint8(1), base.sizes, base.n, base.positions),
        OneHot(base.bins, base.sizes + 1, base.n, base.positions),
        OneHot(base.bins, base.sizes, base.n + 1, base.positions),
        OneHot(base.bins, base.sizes, base.n + 1, base.positions + 1),
    ]
    assert len({base.digest, *(other.digest for other in others)}) == 5

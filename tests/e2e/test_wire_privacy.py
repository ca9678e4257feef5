"""What an onlooker with the whole wire of a training could read: nothing. The same test finds it in plaintext."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

from experiments.laboratory import OPEN, Laboratory
from protocol.algorithms.boosting import Sums, SumsQuery
from protocol.algorithms.parameters import BoostingParams
from protocol.draws import draw
from protocol.he.base import Ciphertext
from protocol.he.plan import make_plan
from protocol.messages import Message, encode
from tests.laboratory import some_columns

ROWS = 3000
PARAMS = BoostingParams(n_estimators=2, max_depth=3)


@dataclass
class Tapped(Laboratory):
    """A laboratory whose wire is recorded."""

    wire: list[Message] = field(default_factory=list)

    def reply(self, party: str, message: Message) -> Message:
        reply = super().reply(party, message)
        self.wire += [message, reply]
        return reply


def tapped(engine: str, folder: Path) -> Tapped:
    """A finished training with its wire."""
    rng = np.random.default_rng(4)
    bank, partner = some_columns(rng, ROWS, 2, 0.1), some_columns(rng, ROWS, 3, 0.1)
    y = (np.nan_to_num(bank[0].numbers) - np.nan_to_num(partner[0].numbers) + rng.normal(0, 3, ROWS) > 0).astype(float)
    positions = {"telecom": rng.permutation(ROWS)}
    laboratory = Tapped(y, bank, {"telecom": partner}, positions, folder, OPEN, engine)
    laboratory.train(PARAMS, seed=1)
    return laboratory


def secrets_of(lab: Tapped) -> dict[str, bytes]:
    """What must not be seen: gradients of the first tree, in the partner's order, and bin counts and sums of it."""
    view, objective = lab.task.partners[0], lab.task.objective
    g, h = objective.gradients(np.full(ROWS, objective.base(objective.weights)))
    plan, uniforms = make_plan(g, h, 0.0), draw(1, "rounding", 0).random((2, ROWS))
    values = np.stack((plan.g.quantise(g, uniforms[0]), plan.h.quantise(h, uniforms[1])), axis=1)
    vector = plan.packing(values[view.held], 0.0).vectors(values[:, 0], values[:, 1])[0]
    in_their_order = np.zeros(ROWS, dtype=np.int64)
    in_their_order[view.positions] = vector
    bins = lab.answerers["telecom"].table.bins[:, 0]
    sums = np.array([in_their_order[bins == b].sum() for b in range(3)])
    return {
        "gradients": in_their_order[100:104].astype("<i8").tobytes(),
        "sums of two bins": sums[:2].astype("<i8").tobytes(),
        "bin counts": np.bincount(bins)[:2].astype("<i8").tobytes(),
    }


def found(lab: Tapped) -> set[str]:
    """Which of the secrets stand somewhere on the wire."""
    bodies = [encode(message) for message in lab.wire]
    return {name for name, secret in secrets_of(lab).items() if any(secret in body for body in bodies)}


def test_nothing_known_stands_on_the_wire(tmp_path):
    assert found(tapped("blind", tmp_path)) == set()


def test_the_same_search_finds_it_in_plaintext(tmp_path):
    assert found(tapped("plaintext", tmp_path)) >= {"gradients", "sums of two bins"}


def octets_of(message: Message) -> np.ndarray:
    """The octets of a query's or an answer's numbers."""
    if isinstance(message, SumsQuery):
        body = message.body
        if isinstance(body, Ciphertext):
            return np.concatenate((np.frombuffer(body.high.tobytes(), np.uint8), body.low.ravel()))
        return np.frombuffer(body.values.tobytes(), np.uint8)
    assert isinstance(message, Sums)
    return np.frombuffer(message.sums.tobytes(), np.uint8)


@pytest.mark.parametrize("kind", [SumsQuery, Sums])
def test_queries_and_answers_look_uniform(tmp_path, kind):
    p_values = {}
    for engine in ("blind", "plaintext"):
        lab = tapped(engine, tmp_path / engine)
        octets = np.concatenate([octets_of(m) for m in lab.wire if isinstance(m, kind)])
        p_values[engine] = chisquare(np.bincount(octets, minlength=256)).pvalue
    assert p_values["blind"] > 1e-6
    assert p_values["plaintext"] < 1e-12

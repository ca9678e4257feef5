"""Strangers stay sealed: of rows that the bank did not match, all that it has tells nothing of their bits and scores.

The attacker has the bank's whole folder after a run: alignments, row keys, known splits, and the journal, which holds
every reply of its partners. The control is the same run with nothing sealed: there the same attack reads every row.
"""

import json
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

from bank_node.partners.known_splits import load_known
from bank_node.partners.partner_view import SPECIAL
from bank_node.training.journal import _read
from experiments.run.run import run
from partner_node.config import load_config
from partner_node.node.service import PartnerService
from protocol.algorithms.alignment import BankAlignment, PartnerAlignment, load
from protocol.algorithms.boosting import Split, SplitBits, Splits
from protocol.algorithms.glm import PartialScores
from protocol.messages import Message, decode
from tests.e2e.tables import scenario

PARTNERS = ("telecom", "bureau")
ROWS = 500
MODELS = [
    {"kind": "boosting", "params": {"n_estimators": 3, "max_depth": 3, "max_bin": 8}},
    {"kind": "glm", "params": {"max_bin": 4, "min_iv": 0.0}},
]
CONTRACT = {
    "min_rows_per_bin": 5, "min_rows_per_node": 20, "min_glm_columns": 2, "score_releases": 200,
    "max_information_share": 1.0,
}  # fmt: skip


@dataclass
class Seized:
    """What an attacker finds at the bank, and what is true at a partner. strangers: rows the bank did not match."""

    out: Path

    def alignment(self, partner: str) -> BankAlignment:
        found = [load(BankAlignment, path, partner) for path in (self._state / "alignments").glob("*.npz")]
        return next(one for one in found if one.party == partner)

    def strangers(self, partner: str) -> np.ndarray:
        aligned = self.alignment(partner)
        return np.setdiff1d(np.arange(aligned.rows), aligned.positions)

    def replies(self, partner: str, kind: type[Message]) -> list[Message]:
        (journal,) = (self._state / "journals").glob("*/replies")
        entries = [entry for _, entry in _read(journal)[0]]
        answers = [entry.replies[partner] for entry in entries if partner in entry.replies]
        return [decode(name, body) for name, body in answers if name == kind.KIND]

    def told(self, partner: str) -> list[SplitBits]:
        """The bits that the partner sent for each split, as they came."""
        return [bits for reply in self.replies(partner, Splits) for bits in reply.bits if bits is not None]

    def known(self, partner: str, layout: str) -> dict[Split, np.ndarray]:
        return load_known(self.sessions / f"{layout}.npz", self.alignment(partner).rows).sides

    @property
    def sessions(self) -> Path:
        """What the bank knows of each layout."""
        return self._state / "known"

    @property
    def _state(self) -> Path:
        return self.out / "nodes/bank/state"


def quiet(phase: str, done: int, total: int) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Seized]:
    """The job sealed on two engines, and once with nothing sealed."""
    folder = tmp_path_factory.mktemp("strangers")
    parties = {
        "bank": {"columns": ["own a", "own b"]},
        "telecom": {"columns": ["calls", "towers", "brand"], "coverage": 0.8, "strangers": 1.0},
        "bureau": {"columns": ["loans", "inquiries"], "coverage": 0.8, "strangers": 1.0},
    }
    job = scenario(folder, ROWS, parties=parties, models=MODELS, contract=CONTRACT, report={"bootstrap": 20})
    done = {}
    for name in ("blind", "plaintext", "clear"):
        done[name] = Seized(folder / name)
        with pytest.MonkeyPatch.context() as patch:
            if name == "clear":
                for kind in (BankAlignment, PartnerAlignment):
                    patch.setattr(kind, "row_keys", None)
            chosen = {"transport": "in-process", "engine": "blind" if name == "blind" else "plaintext"}
            run(job, folder / name, fresh=False, progress=quiet, overrides=chosen)
    return done


def truths(seized: Seized, partner: str) -> tuple[list[SplitBits], str]:
    """The bits of every split that the partner told, in order, computed at the partner; and the layout's name."""
    config = load_config(seized.out / "nodes" / partner / "node.toml")
    with PartnerService(config) as service:
        layouts = service._node._layouts
        found = []
        for path in sorted((config.state / "layouts").glob("*.json")):
            answerer = layouts.answerer(path.stem)
            if (seized.sessions / f"{path.stem}.npz").exists():
                found.append(([answerer._flags(split, b"") for split in seized.known(partner, path.stem)], path.stem))
    return max(found, key=lambda one: len(one[0]))


def at(vector: np.ndarray, rows: int, places: np.ndarray) -> np.ndarray:
    return np.unpackbits(vector, count=rows)[places]


def advantage(guessed: np.ndarray, true: np.ndarray) -> float:
    """How far a guess is right more often than a coin, in standard deviations of a coin's."""
    return abs(float((guessed == true).mean()) - 0.5) * 2 * np.sqrt(true.size)


def read_bits(seized: Seized, partner: str) -> tuple[np.ndarray, np.ndarray]:
    """What the messages say of strangers' bits, and what is true, shape (2 splits, strangers) each."""
    sent, (true, _) = seized.told(partner), truths(seized, partner)
    rows, places = seized.alignment(partner).rows, seized.strangers(partner)
    assert len(sent) == len(true) > 5
    assert len(places) > ROWS // 2
    return tuple(  # type: ignore[return-value]
        np.stack([at(vector, rows, places) for bits in each for vector in (bits.left, bits.missing)])
        for each in (sent, true)
    )


@pytest.mark.parametrize("partner", PARTNERS)
@pytest.mark.parametrize("engine", ["blind", "plaintext"])
def test_strangers_bits_cannot_be_told_from_a_coins(runs, engine, partner):
    guessed, true = read_bits(runs[engine], partner)
    assert advantage(guessed, true) < 5
    pairs = list(combinations(range(len(guessed)), 2))  # two plaintexts under one pad would differ as these do
    for first, second in pairs:
        assert advantage(guessed[first] ^ guessed[second], true[first] ^ true[second]) < 6


@pytest.mark.parametrize("partner", PARTNERS)
def test_the_same_attack_reads_every_bit_that_is_not_sealed(runs, partner):
    guessed, true = read_bits(runs["clear"], partner)
    assert (guessed == true).all()
    assert advantage(guessed, true) > 50


@pytest.mark.parametrize("partner", PARTNERS)
def test_the_bank_keeps_strangers_as_missing_and_the_rows_it_matched_as_they_are(runs, partner):
    seized = runs["blind"]
    true, layout = truths(seized, partner)
    known, strangers = seized.known(partner, layout), seized.strangers(partner)
    matched = np.setdiff1d(np.arange(seized.alignment(partner).rows), strangers)
    assert len(known) == len(true)
    for sides, bits in zip(known.values(), true, strict=True):
        assert (sides[strangers] == SPECIAL).all()
        missing, left = (at(vector, len(sides), matched) for vector in (bits.missing, bits.left))
        assert np.array_equal(sides[matched], np.where(missing, SPECIAL, left))


@pytest.mark.parametrize("partner", PARTNERS)
def test_strangers_scores_look_uniform(runs, partner):
    """Equal answers are equal bytes, of which one is counted: repeats are not drawn apart."""
    p_values = {}
    for name in ("blind", "clear"):
        seized = runs[name]
        replies = {r.scores.tobytes(): r.scores for r in seized.replies(partner, PartialScores)}
        assert len(replies) > 2
        octets = np.concatenate([s[seized.strangers(partner)] for s in replies.values()]).view(np.uint8)
        p_values[name] = chisquare(np.bincount(octets, minlength=256)).pvalue
    assert p_values["blind"] > 1e-6
    assert p_values["clear"] < 1e-12


@pytest.mark.parametrize("partner", PARTNERS)
def test_the_bank_has_the_row_keys_of_its_matches_and_no_others(runs, partner):
    seized = runs["blind"]
    aligned = seized.alignment(partner)
    path = seized.out / "nodes" / partner / "state/alignments" / f"{aligned.alignment}.npz"
    keys = load(PartnerAlignment, path, partner).keys
    folder = b"".join(p.read_bytes() for p in sorted((seized.out / "nodes/bank").rglob("*")) if p.is_file())
    strangers = set(seized.strangers(partner).tolist())
    assert {k for k, key in enumerate(keys) if key.tobytes() in folder} == set(range(len(keys))) - strangers


def test_sealing_changes_no_model_and_no_score(runs):
    scores = {name: (seized.out / "scores.csv").read_bytes() for name, seized in runs.items()}
    assert len(set(scores.values())) == 1
    models = {
        name: [json.loads(path.read_text())["sha256"] for path in sorted((seized.out / "models").rglob("model.json"))]
        for name, seized in runs.items()
    }
    assert models["blind"] == models["plaintext"] == models["clear"]
    assert len(models["blind"]) > 5

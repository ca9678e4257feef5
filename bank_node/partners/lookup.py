"""The bank's half of the standing look-up: ids that are new are evaluated, each under a fresh blind, and remembered.

A part is on disk before it is sent, so that after a crash the same bytes are sent again, which a partner answers
without spending ids twice.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import rbcl

from bank_node.partners.register import KeptRegister
from protocol.algorithms import group, voprf
from protocol.algorithms.alignment import PART
from protocol.algorithms.standing import (
    PROVED,
    Evaluation,
    EvaluationQuery,
    Proof,
    ProofQuery,
    RegisterOpened,
    RegisterOpening,
    Tags,
    TagsQuery,
)
from protocol.errors import IntegrityError
from protocol.files import opened_arrays
from protocol.he.streams import permutation
from protocol.messages import U8
from protocol.role import Exchange, Script, ask, drive

SAMPLE: Final = 250
"""Elements of a part of more than `PROVED` that are proved, drawn after the answer has come."""
Told = Callable[[int, int], None]


def open_register(party: str, id_columns: int, dating: str) -> Script[RegisterOpened]:
    """What there is to be looked up."""
    opening = RegisterOpening(id_columns=id_columns, dating=dating)
    return (yield from ask({party: opening}, RegisterOpened))[party]


def evaluate(kept: KeptRegister, ids: list[bytes], lookup: bool, exchange: Exchange, told: Told) -> int:
    """Evaluate those of the ids that never were, and keep what they came to; how many.

    lookup: of new customers one by one. told: how many are done, and how many there are.
    Raises: IntegrityError: another key was used than the one that is pinned.
    """
    facts = kept.facts
    assert facts is not None
    public, pending = bytes.fromhex(facts.public), kept.folder / "pending.npz"
    if pending.is_file():
        _finish(kept, pending, public, lookup, exchange)
    words = kept.words(ids)
    new = kept.unknown(words)
    for first in range(0, len(new), PART):
        part = new[first : first + PART]
        part = part[permutation(len(part))]
        made = group.start(_blinded, [ids[k] for k in part], urgent=True).result()
        _write(pending, words[part], made[:, :32], made[:, 32:])
        _finish(kept, pending, public, lookup, exchange)
        told(first + len(part), len(new))
    return len(new)


def fetch_tags(kept: KeptRegister, places: int, exchange: Exchange) -> None:
    """The tags of the places that are new. Raises: IntegrityError: another number of them, or one twice."""
    if places < kept.places:
        thing = f"has {places} places, and had {kept.places} before"
        raise IntegrityError(kept.party, thing, "ask it whether its state folder was restored from a copy")
    while kept.places < places:
        query = TagsQuery(first=kept.places, count=min(PART, places - kept.places))
        tags = drive(ask({kept.party: query}, Tags), exchange)[kept.party].tags
        if len(tags) != query.count:
            raise IntegrityError(kept.party, "sent another number of tags than was asked", "ask it what it runs")
        kept.add_tags(tags)


def _finish(kept: KeptRegister, pending: Path, public: bytes, lookup: bool, exchange: Exchange) -> None:
    """Send a part that lies on disk, and keep what it comes to."""
    with opened_arrays(pending) as part:
        words, blinds, points = part["words"], part["blinds"], np.ascontiguousarray(part["points"])
    query = EvaluationQuery(points=points, lookup=lookup)
    answer = drive(ask({kept.party: query}, Evaluation), exchange)[kept.party]
    if answer.points.shape != points.shape:
        raise _malformed(kept.party)
    require_proved(kept.party, public, points, answer, exchange)
    joined = np.concatenate([blinds, answer.points], axis=1)
    try:
        secrets = group.start(_opened, joined, urgent=True).result()
    except group.NotAPoint:
        raise _malformed(kept.party) from None
    kept.learn(words, secrets)
    pending.unlink()


def require_proved(party: str, public: bytes, points: U8, answer: Evaluation, exchange: Exchange) -> None:
    """Raises: IntegrityError: the answer is not proved to be of the key that is pinned."""
    sent, came, proof = points, answer.points, answer.proof
    if len(points) > PROVED:
        sample = permutation(len(points))[:SAMPLE]
        sent, came = np.ascontiguousarray(points[sample]), np.ascontiguousarray(answer.points[sample])
        proof = drive(ask({party: ProofQuery(points=sent)}, Proof), exchange)[party].proof
    if not voprf.verified(public, sent, came, proof):
        thing = "evaluated ids under another key than the one that is pinned, or without a proof"
        raise IntegrityError(party, thing, "do not use this partner's answers, and ask it why")


def _blinded(ids: list[bytes]) -> U8:
    """Of each id the inverse of a fresh blind, and the blinded point, shape (n, 64)."""
    out = bytearray()
    for value in ids:
        blind = group.random_scalar()
        out += group.inverse(blind) + bytes(rbcl.crypto_scalarmult_ristretto255(blind, voprf.hash_to_group(value)))
    return np.frombuffer(bytes(out), dtype=np.uint8).reshape(-1, 64)


def _opened(joined: U8) -> U8:
    """Tag and key of each evaluated point, its blind taken off, shape (n, 48)."""
    points = [group.multiply(row[None, 32:], row[:32].tobytes()) for row in joined]
    return group.row_secrets(np.concatenate(points))


def _write(path: Path, words: U8, blinds: U8, points: U8) -> None:
    beside = path.with_suffix(".part.npz")
    beside.touch(mode=0o600)
    np.savez(beside, words=words, blinds=blinds, points=points)
    beside.replace(path)


def _malformed(party: str) -> IntegrityError:
    return IntegrityError(party, "answered with what is no evaluated id", "run the same version on both sides")

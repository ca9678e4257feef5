"""The bank's half of masks between partners: it carries their keys, and adds up what they hide."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from protocol.algorithms.glm import LARGEST_SCORE, MOST_DECIMALS, UNIT
from protocol.algorithms.masks import MaskKey, MaskKeyQuery, MasksAgreed, Member, PeerKey, PeerKeys, name, opened
from protocol.errors import IntegrityError, TransportError
from protocol.he.base import MAX_VALUE
from protocol.messages import I64, U64
from protocol.role import Script, ask


def agree_on_masks(bank: str, subject: str, alignments: Mapping[str, str]) -> Script[str]:
    """Let partners agree on masks; the name by which they know them. alignments: names of theirs, by partner.

    subject: digest of the job, or of the model to score by. Raises: PeerError: one does not trust another.
    """
    members = tuple(Member(party, alignments[party]) for party in sorted(alignments))
    group = name(bank, subject, members)
    with needing_all():
        keys = yield from ask({p: MaskKeyQuery(subject=subject, members=members) for p in alignments}, MaskKey)
        passed_on = tuple(
            PeerKey(m.party, keys[m.party].public, keys[m.party].signature, keys[m.party].certificate) for m in members
        )
        others = {p: PeerKeys(group=group, keys=tuple(k for k in passed_on if k.party != p)) for p in alignments}
        yield from ask(others, MasksAgreed)
    return group


@contextmanager
def needing_all() -> Iterator[None]:
    """Say of a partner that is gone what its absence means: the masks of the others stay on their scores."""
    try:
        yield
    except TransportError as error:
        thing = f"{error.thing}, and without it the sum of the partners' scores cannot be opened"
        raise TransportError(error.party, thing, error.remedy) from error


def largest_part(coefficients: Sequence[int], decimals: int) -> int:
    """What a partner's part of a score cannot pass as it is released, in 1 / UNIT."""
    step: int = 10 ** (MOST_DECIMALS - decimals)
    return min(sum(abs(b) for b in coefficients) * MAX_VALUE + step, LARGEST_SCORE * UNIT)


def summed(vectors: Mapping[str, U64], rows: int, largest: int) -> I64:
    """The sum of all partners' scores over the row space that they share, in 1 / UNIT, shape (rows,).

    Raises: IntegrityError: of other rows than agreed, or a sum that the coefficients cannot give, as of masks that do
        not cancel.
    """
    names = " and ".join(vectors)
    if any(vector.shape != (rows,) for vector in vectors.values()):
        raise IntegrityError(names, "sent masked scores of other rows than agreed", "run `bank-node align --anew`")
    total = opened(list(vectors.values()))
    if rows and not -largest <= int(total.min()) <= int(total.max()) <= largest:
        raise IntegrityError(names, "sent masked scores whose masks do not cancel", "run the job again")
    return total


def at_rows(scores: I64, places: Mapping[str, I64], not_held: Mapping[str, int]) -> I64:
    """Of every bank row, shape (n,): the sum at its place, and what stands for each partner that does not hold it.

    places: of the rows in the row space, the same at all partners that hold one, -1 at the others.
    """
    place = np.max(list(places.values()), axis=0)
    out = np.where(place >= 0, scores[place], 0)
    for party, absent in not_held.items():
        out += np.where(places[party] >= 0, 0, absent)
    return np.asarray(out, dtype=np.int64)

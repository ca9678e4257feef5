"""The bank's half of the alignment: blind, compare, and tell each partner no more than the setting says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from protocol import group
from protocol.algorithms.alignment import (
    PART,
    Aligned,
    BankAlignment,
    BlindedIds,
    Matched,
    OwnIds,
    OwnIdsQuery,
    Positions,
    Setting,
    Start,
    Started,
    TwiceBlinded,
)
from protocol.errors import DataError, IntegrityError
from protocol.he.streams import digest, fresh_key, permutation
from protocol.messages import I64, U8
from protocol.role import Script, ask

Progress = Callable[[int, int], None]


@dataclass
class _Meeting:
    """One partner's alignment under way. order: in which the bank's ids are sent."""

    party: str
    secret: bytes
    order: I64
    alignment: str
    rows: int

    def __repr__(self) -> str:  # holds a secret
        return f"_Meeting({self.party})"


def align(
    bank: str, partners: Sequence[str], ids: Sequence[bytes], id_columns: int, setting: Setting, progress: Progress
) -> Script[dict[str, BankAlignment]]:
    """Align the bank's rows with every partner's.

    ids: the bank's, normalised, n of them. progress: is told (ids done, ids in all).
    Raises:
        DataError: a partner holds none of the bank's rows.
        IntegrityError: a partner answers with what is no point, or another number of them.
    """
    meetings = yield from _start(bank, partners, len(ids), id_columns, setting)
    total = sum(len(ids) + meeting.rows for meeting in meetings)
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    own = yield from _blind(meetings, ids, advance)
    theirs = yield from _collect(meetings, advance)
    places = {m.party: _matches(m, own[m.party], theirs[m.party]) for m in meetings}
    if setting == "one-sided":
        return (yield from _tell_number(meetings, places))
    return (yield from _tell_positions(meetings, places))


def _start(
    bank: str, partners: Sequence[str], rows: int, id_columns: int, setting: Setting
) -> Script[list[_Meeting]]:
    nonces = {party: fresh_key() for party in partners}
    started = yield from ask(
        {p: Start(setting=setting, id_columns=id_columns, rows=rows, nonce=nonces[p]) for p in partners}, Started
    )
    return [
        _Meeting(p, group.random_scalar(), permutation(rows), name(setting, bank, p, nonces[p], s.nonce), s.rows)
        for p, s in started.items()
    ]


def name(setting: str, bank: str, partner: str, bank_nonce: bytes, partner_nonce: bytes) -> str:
    """The name of an alignment, which neither side can choose."""
    parts = (b"fedwarn.v1 alignment", setting.encode(), bank.encode(), partner.encode(), bank_nonce, partner_nonce)
    return digest(*parts).hex()


def _blind(
    meetings: Sequence[_Meeting], ids: Sequence[bytes], advance: Callable[[int], None]
) -> Script[dict[str, list[U8]]]:
    """b·H(x) of the bank's ids, in the order in which they were sent, by partner."""
    blinded: dict[str, list[U8]] = {m.party: [] for m in meetings}
    for first in range(0, len(ids), PART):
        parts = {
            m.party: BlindedIds(
                points=group.hashed_and_raised([ids[i] for i in m.order[first : first + PART]], m.secret)
            )
            for m in meetings
        }
        answers = yield from ask(parts, TwiceBlinded)
        for m in meetings:
            points = answers[m.party].points
            if len(points) != len(parts[m.party].points):
                raise _malformed(m.party)
            blinded[m.party].append(_raised(m.party, points, group.inverse(m.secret)))
            advance(len(points))
    return blinded


def _collect(meetings: Sequence[_Meeting], advance: Callable[[int], None]) -> Script[dict[str, list[U8]]]:
    """b·H(y) of every partner's ids, in its order."""
    collected: dict[str, list[U8]] = {m.party: [] for m in meetings}
    for first in range(0, max(m.rows for m in meetings), PART):
        wanted = {
            m.party: OwnIdsQuery(first=first, count=min(PART, m.rows - first)) for m in meetings if first < m.rows
        }
        answers = yield from ask(wanted, OwnIds)
        for party, answer in answers.items():
            if answer.points.shape != (wanted[party].count, group.POINT_BYTES):
                raise _malformed(party)
            collected[party].append(answer.points)
            advance(len(answer.points))
    return collected


def _matches(meeting: _Meeting, own: Sequence[U8], theirs: Sequence[U8]) -> I64:
    """Where each of the bank's rows stands in the partner's order, -1 if it is not held, shape (n,)."""
    place = {key: k for k, key in enumerate(group.as_keys(np.concatenate(theirs)))}
    if len(place) != meeting.rows:
        raise IntegrityError(meeting.party, "holds an id twice", "it must give one row an id")
    sent = np.array([place.get(key, -1) for key in group.as_keys(np.concatenate(own))], dtype=np.int64)
    places = np.empty_like(sent)
    places[meeting.order] = sent
    if not (places >= 0).any():
        raise DataError(
            meeting.party,
            "holds none of the bank's rows",
            "compare the id columns of both sides: ids padded or typed differently never match",
        )
    return places


def _tell_number(meetings: Sequence[_Meeting], places: Mapping[str, I64]) -> Script[dict[str, BankAlignment]]:
    """one-sided: the row space is the partner's order; it learns only how many matched."""
    yield from ask({m.party: Matched(matches=int((places[m.party] >= 0).sum())) for m in meetings}, Aligned)
    return {m.party: BankAlignment(m.alignment, m.party, "one-sided", m.rows, places[m.party]) for m in meetings}


def _tell_positions(meetings: Sequence[_Meeting], places: Mapping[str, I64]) -> Script[dict[str, BankAlignment]]:
    """shared: the row space is what any partner matched, in one fresh random order."""
    matched = np.flatnonzero(np.any([places[m.party] >= 0 for m in meetings], axis=0))
    rows = matched[permutation(len(matched))]
    yield from ask({m.party: Positions(order=places[m.party][rows]) for m in meetings}, Aligned)
    out = {}
    for m in meetings:
        positions = np.full(len(places[m.party]), -1, dtype=np.int64)
        held = places[m.party][rows] >= 0
        positions[rows[held]] = np.flatnonzero(held)
        out[m.party] = BankAlignment(m.alignment, m.party, "shared", len(rows), positions)
    return out


def _raised(party: str, points: U8, scalar: bytes) -> U8:
    try:
        return group.raised(points, scalar)
    except ValueError:
        raise _malformed(party) from None


def _malformed(party: str) -> IntegrityError:
    return IntegrityError(party, "answered with what is no blinded id", "run the same version on both sides")

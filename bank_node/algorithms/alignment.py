"""The bank's half of the alignment: blind, compare, and tell each partner no more than the setting says."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from protocol.algorithms import group
from protocol.algorithms.alignment import (
    PART,
    Aligned,
    BankAlignment,
    BlindedIds,
    Dated,
    Held,
    Matched,
    OwnIds,
    OwnIdsQuery,
    Positions,
    Setting,
    Start,
    Started,
    TwiceBlinded,
    name,
)
from protocol.algorithms.group import Pending
from protocol.errors import DataError, IntegrityError, PeerError
from protocol.he.streams import fresh_key, permutation
from protocol.messages import I64, U8, Message
from protocol.role import Script, ask

Progress = Callable[[int, int], None]


@dataclass
class _Meeting:
    """One partner's alignment under way. order: in which the bank's ids are sent, if at once."""

    party: str
    secret: bytes
    order: I64
    alignment: str
    rows: int

    def __repr__(self) -> str:  # holds a secret
        return f"_Meeting({self.party})"


@dataclass(frozen=True)
class DatedRows:
    """The bank's rows where partners are sent their dates. entity: which of the ids; as_of: microseconds; (rows,)."""

    entity: I64
    as_of: I64


def align(
    bank: str, partners: Sequence[str], ids: Sequence[bytes], id_columns: int, setting: Setting, progress: Progress,
    dating: str = "", dated: DatedRows | None = None,
) -> Script[dict[str, BankAlignment]]:  # fmt: skip
    """Align the bank's rows with every partner's.

    ids: the bank's, normalised, n of them. progress: is told (ids done, ids in all). dating: the grid on which both
    sides' ids are dated, or `EXACT`, and then `dated` has the rows, several of which may be of one id.
    Raises:
        DataError: a partner holds none of the bank's rows.
        IntegrityError: a partner answers with what is no point, with another number of them, or with one twice.
    """
    meetings = yield from _start(bank, partners, len(ids), id_columns, setting, dating)
    total = sum(len(ids) + meeting.rows for meeting in meetings)
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    own = yield from _blind(meetings, ids, advance)
    theirs = yield from _collect(meetings, advance)
    places = {m.party: _matches(m, _points(m, own[m.party]), _points(m, theirs[m.party])) for m in meetings}
    if dated is not None:
        return (yield from _tell_dates(meetings, places, dated))
    if setting == "one-sided":
        return (yield from _tell_number(meetings, places))
    return (yield from _tell_positions(meetings, places))


def align_in_parts(
    bank: str, partners: Sequence[str], parts: Iterator[list[bytes]], rows: int, id_columns: int, setting: Setting,
    progress: Progress, dating: str = "",
) -> Script[dict[str, BankAlignment]]:  # fmt: skip
    """`align` for rows that are read part by part, each sent in a fresh order of its own.

    parts: the ids, normalised and distinct, at most PART of them at once; rows: their number. dating: the grid on which
    they are dated. In memory are one part,
    the partners' points, and where each row stands. A partner that holds none of the rows is told nothing more, and has
    no alignment.
    Raises: IntegrityError: as `align`.
    """
    meetings = yield from _start(bank, partners, rows, id_columns, setting, dating, in_parts=True)
    total, done = sum(rows + meeting.rows for meeting in meetings), 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    theirs = yield from _collect(meetings, advance)
    tables = {m.party: _places_of(m, _points(m, theirs.pop(m.party))) for m in meetings}
    places = yield from _find(meetings, parts, rows, tables, advance)
    held = [m for m in meetings if (places[m.party] >= 0).any()]
    if not held:
        return {}
    if setting == "one-sided":
        return (yield from _tell_number(held, {m.party: places[m.party] for m in held}))
    return (yield from _tell_positions(held, places))


def _find(
    meetings: Sequence[_Meeting], parts: Iterator[list[bytes]], rows: int, tables: Mapping[str, dict[bytes, int]],
    advance: Callable[[int], None],
) -> Script[dict[str, I64]]:  # fmt: skip
    """Where each of the bank's rows stands in every partner's order, -1 if it is not held, shape (rows,)."""
    places = {m.party: np.full(rows, -1, dtype=np.int64) for m in meetings}
    inverses = {m.party: group.inverse(m.secret) for m in meetings}
    first = 0
    for ids in parts:
        order = permutation(len(ids))
        points = group.start(group.hash_to_group, ids, urgent=True).result()[order]
        asked = {m.party: BlindedIds(points=group.raised(points, m.secret)) for m in meetings}
        for party, answer in (yield from ask(asked, TwiceBlinded)).items():
            if answer.points.shape != points.shape:
                raise _malformed(party)
            keys = _opened(party, answer.points, inverses[party])
            places[party][first + order] = [tables[party].get(key, -1) for key in keys]
            advance(len(ids))
        first += len(ids)
    return places


def _opened(party: str, points: U8, inverse: bytes) -> list[bytes]:
    try:
        keys = group.as_keys(group.raised(points, inverse))
    except group.NotAPoint:
        raise _malformed(party) from None
    if len(set(keys)) != len(keys):
        raise _twice(party)
    return keys


def _places_of(meeting: _Meeting, theirs: U8) -> dict[bytes, int]:
    place = {key: k for k, key in enumerate(group.as_keys(theirs))}
    if len(place) != meeting.rows:
        raise _twice(meeting.party)
    return place


def _start(
    bank: str,
    partners: Sequence[str],
    rows: int,
    id_columns: int,
    setting: Setting,
    dating: str = "",
    in_parts: bool = False,
) -> Script[list[_Meeting]]:
    nonces = {party: fresh_key() for party in partners}
    started = yield from ask(
        {p: Start(setting=setting, id_columns=id_columns, rows=rows, nonce=nonces[p], dating=dating) for p in partners},
        Started,
    )
    for party, answer in started.items():
        if answer.rows < 1:
            raise DataError(party, "has no rows to align", "give it a table with rows")
    return [
        _Meeting(
            p,
            group.random_scalar(),
            permutation(0 if in_parts else rows),
            name(setting, bank, p, nonces[p], s.nonce),
            s.rows,
        )
        for p, s in started.items()
    ]


def _blind(
    meetings: Sequence[_Meeting], ids: Sequence[bytes], advance: Callable[[int], None]
) -> Script[dict[str, list[Pending]]]:
    """b·H(x) of the bank's ids, in the order in which they were sent, by partner.

    While the partners blind one part, this side blinds the next and takes its own blinding off the last.
    """
    points = group.start(group.hash_to_group, ids, urgent=True).result()
    opened: dict[str, list[Pending]] = {m.party: [] for m in meetings}
    inverses = {m.party: group.inverse(m.secret) for m in meetings}

    def begin(first: int) -> dict[str, Pending]:
        return {
            m.party: group.start(
                partial(group.multiply, scalar=m.secret), points[m.order[first : first + PART]], urgent=True
            )
            for m in meetings
        }

    blinded = begin(0)
    for first in range(0, len(ids), PART):
        part = {party: BlindedIds(points=pending.result()) for party, pending in blinded.items()}
        blinded = begin(first + PART)
        for party, answer in (yield from ask(part, TwiceBlinded)).items():
            if answer.points.shape != part[party].points.shape:
                raise _malformed(party)
            opened[party].append(group.start(partial(group.multiply, scalar=inverses[party]), answer.points))
            advance(len(answer.points))
    return opened


def _collect(meetings: Sequence[_Meeting], advance: Callable[[int], None]) -> Script[dict[str, list[Pending]]]:
    """b·H(y) of every partner's ids, in its order; checked to be points."""
    collected: dict[str, list[Pending]] = {m.party: [] for m in meetings}
    for first in range(0, max(m.rows for m in meetings), PART):
        wanted = {
            m.party: OwnIdsQuery(first=first, count=min(PART, m.rows - first)) for m in meetings if first < m.rows
        }
        for party, answer in (yield from ask(wanted, OwnIds)).items():
            if answer.points.shape != (wanted[party].count, group.POINT_BYTES):
                raise _malformed(party)
            collected[party].append(group.start(group.require_points, answer.points))
            advance(len(answer.points))
    return collected


def _points(meeting: _Meeting, parts: Sequence[Pending]) -> U8:
    """All parts of a partner's points, when they are computed. Raises: IntegrityError."""
    try:
        return np.concatenate([part.result() for part in parts])
    except group.NotAPoint:
        raise _malformed(meeting.party) from None


def _matches(meeting: _Meeting, own: U8, theirs: U8) -> I64:
    """Where each of the bank's rows stands in the partner's order, -1 if it is not held, shape (n,)."""
    keys = group.as_keys(own)
    place = _places_of(meeting, theirs)
    if len(set(keys)) != len(keys):
        raise _twice(meeting.party)
    sent = np.array([place.get(key, -1) for key in keys], dtype=np.int64)
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
    yield from _conclude(meetings, {p: Matched(matches=int((at >= 0).sum())) for p, at in places.items()})
    return {m.party: BankAlignment(m.alignment, m.party, "one-sided", m.rows, places[m.party]) for m in meetings}


def _tell_positions(meetings: Sequence[_Meeting], places: Mapping[str, I64]) -> Script[dict[str, BankAlignment]]:
    """shared: the row space is what any partner matched, in one fresh random order."""
    matched = np.flatnonzero(np.any([places[m.party] >= 0 for m in meetings], axis=0))
    rows = matched[permutation(len(matched))]
    yield from _conclude(meetings, {p: Positions(order=at[rows]) for p, at in places.items()})
    out = {}
    for m in meetings:
        positions = np.full(len(places[m.party]), -1, dtype=np.int64)
        held = places[m.party][rows] >= 0
        positions[rows[held]] = np.flatnonzero(held)
        out[m.party] = BankAlignment(m.alignment, m.party, "shared", len(rows), positions)
    return out


def _tell_dates(
    meetings: Sequence[_Meeting], places: Mapping[str, I64], dated: DatedRows
) -> Script[dict[str, BankAlignment]]:
    """shared, at points in time: the row space is the bank's rows of the ids that any partner matched."""
    at = {party: place[dated.entity] for party, place in places.items()}
    matched = np.flatnonzero(np.any([at[m.party] >= 0 for m in meetings], axis=0))
    rows = matched[permutation(len(matched))]
    answers = yield from ask({m.party: Dated(order=at[m.party][rows], as_of=dated.as_of[rows]) for m in meetings}, Held)
    out = {}
    for m in meetings:
        _require_name(m, answers[m.party].alignment)
        held = _held(m, answers[m.party], at[m.party][rows] >= 0)
        positions = np.full(len(dated.entity), -1, dtype=np.int64)
        positions[rows[held]] = np.flatnonzero(held)
        out[m.party] = BankAlignment(m.alignment, m.party, "shared", len(rows), positions)
    return out


def _held(meeting: _Meeting, answer: Held, matched: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which rows of the row space had a record on their date, shape (rows,)."""
    if answer.held.shape != ((len(matched) + 7) // 8,):
        raise _malformed(meeting.party)
    held = np.unpackbits(answer.held, count=len(matched)).view(bool)
    if bool((held & ~matched).any()):
        raise IntegrityError(meeting.party, "holds rows that it cannot know", "run the same version on both sides")
    if not held.any():
        raise DataError(
            meeting.party, "has no record of any matched id at its date", "compare the dates of both sides' records"
        )
    return held


def _conclude(meetings: Sequence[_Meeting], last: Mapping[str, Message]) -> Script[None]:
    """The last message to each partner; both must then know the alignment by the same name."""
    answers = yield from ask(last, Aligned)
    for m in meetings:
        _require_name(m, answers[m.party].alignment)


def _require_name(meeting: _Meeting, alignment: str) -> None:
    if alignment != meeting.alignment:
        raise PeerError(
            meeting.party, "names the alignment otherwise", "configure the same name of each party at both nodes"
        )


def _twice(party: str) -> IntegrityError:
    return IntegrityError(party, "sent one blinded id twice", "it must give one row an id")


def _malformed(party: str) -> IntegrityError:
    return IntegrityError(party, "answered with what is no blinded id", "run the same version on both sides")

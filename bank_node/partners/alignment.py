"""The bank's half of the alignment: blind, compare, and tell each partner no more than the setting says."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from protocol.algorithms import group
from protocol.algorithms.alignment import (
    NO_ROW_KEYS,
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
class _Found:
    """What the bank's rows came to at a partner. places: of each in the partner's order, -1 if not held, shape (n,).

    keys: the row key of each, shape (n, 32).
    """

    places: I64
    keys: U8 = field(repr=False)

    def aligned(self, meeting: _Meeting) -> BankAlignment:
        """One-sided: the row space is the partner's order, and the keys of the rows held open its answers."""
        keys = self.keys[self.places >= 0]
        return BankAlignment(meeting.alignment, meeting.party, "one-sided", meeting.rows, self.places, keys)


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
        IntegrityError: a partner answers with what is no point or tag, with another number of them, or one twice.
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
    found = {m.party: _matches(m, _secrets(m, own[m.party]), np.concatenate(theirs[m.party])) for m in meetings}
    if setting == "one-sided" and dated is None:
        return (yield from _tell_number(meetings, found))
    places = {party: one.places for party, one in found.items()}
    if dated is not None:
        return (yield from _tell_dates(meetings, places, dated))
    return (yield from _tell_positions(meetings, places))


def align_in_parts(
    bank: str, partners: Sequence[str], parts: Iterator[list[bytes]], rows: int, id_columns: int, setting: Setting,
    progress: Progress, dating: str = "",
) -> Script[dict[str, BankAlignment]]:  # fmt: skip
    """`align` for rows that are read part by part, each sent in a fresh order of its own.

    parts: the ids, normalised and distinct, at most PART of them at once; rows: their number. dating: the grid on which
    they are dated. In memory are one part, the partners' tags, and where each row stands with its key. A partner that
    holds none of the rows is told nothing more, and has no alignment.
    Raises: IntegrityError: as `align`.
    """
    meetings = yield from _start(bank, partners, rows, id_columns, setting, dating, in_parts=True)
    total, done = sum(rows + meeting.rows for meeting in meetings), 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    theirs = yield from _collect(meetings, advance)
    tables = {m.party: _places_of(m, np.concatenate(theirs.pop(m.party))) for m in meetings}
    found = yield from _find(meetings, parts, rows, tables, advance)
    held = [m for m in meetings if (found[m.party].places >= 0).any()]
    if not held:
        return {}
    if setting == "one-sided":
        return (yield from _tell_number(held, found))
    return (yield from _tell_positions(held, {m.party: found[m.party].places for m in held}))


def _find(
    meetings: Sequence[_Meeting], parts: Iterator[list[bytes]], rows: int, tables: Mapping[str, dict[bytes, int]],
    advance: Callable[[int], None],
) -> Script[dict[str, _Found]]:  # fmt: skip
    """Where each of the bank's rows stands in every partner's order, and its key there."""
    found = {m.party: _Found(np.full(rows, -1, dtype=np.int64), _no_keys(rows)) for m in meetings}
    inverses = {m.party: group.inverse(m.secret) for m in meetings}
    first = 0
    for ids in parts:
        order = permutation(len(ids))
        points = group.start(group.hash_to_group, ids, urgent=True).result()[order]
        asked = {m.party: BlindedIds(points=group.raised(points, m.secret)) for m in meetings}
        for party, answer in (yield from ask(asked, TwiceBlinded)).items():
            if answer.points.shape != points.shape:
                raise _malformed(party)
            secrets = _opened(party, answer.points, inverses[party])
            found[party].places[first + order] = _looked_up(party, secrets, tables[party])
            found[party].keys[first + order] = secrets[:, group.TAG_BYTES :]
            advance(len(ids))
        first += len(ids)
    return found


def _no_keys(rows: int) -> U8:
    return np.zeros((rows, group.ROW_KEY_BYTES), dtype=np.uint8)


def _opened(party: str, points: U8, inverse: bytes) -> U8:
    """Tags and keys of one part, shape (k, 48)."""
    kernel = partial(group.secrets_of_points, scalar=inverse)
    try:
        return group.start(kernel, points, urgent=True).result()
    except group.NotAPoint:
        raise _malformed(party) from None


def _looked_up(party: str, secrets: U8, place: Mapping[bytes, int]) -> list[int]:
    """The place of each row in the partner's order, by its tag; -1 if it is not held."""
    tags = group.as_keys(secrets[:, : group.TAG_BYTES])
    if len(set(tags)) != len(tags):
        raise _twice(party)
    return [place.get(tag, -1) for tag in tags]


def _places_of(meeting: _Meeting, theirs: U8) -> dict[bytes, int]:
    place = {tag: k for k, tag in enumerate(group.as_keys(theirs))}
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
    """Tags and keys of b·H(x) of the bank's ids, in the order in which they were sent, by partner.

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
            opened[party].append(group.start(partial(group.secrets_of_points, scalar=inverses[party]), answer.points))
            advance(len(answer.points))
    return opened


def _collect(meetings: Sequence[_Meeting], advance: Callable[[int], None]) -> Script[dict[str, list[U8]]]:
    """The tags of b·H(y) of every partner's ids, in its order."""
    collected: dict[str, list[U8]] = {m.party: [] for m in meetings}
    for first in range(0, max(m.rows for m in meetings), PART):
        wanted = {
            m.party: OwnIdsQuery(first=first, count=min(PART, m.rows - first)) for m in meetings if first < m.rows
        }
        for party, answer in (yield from ask(wanted, OwnIds)).items():
            if answer.tags.shape != (wanted[party].count, group.TAG_BYTES):
                raise _malformed(party)
            collected[party].append(answer.tags)
            advance(len(answer.tags))
    return collected


def _secrets(meeting: _Meeting, parts: Sequence[Pending]) -> U8:
    """Tags and keys of the bank's rows, when they are computed, shape (n, 48). Raises: IntegrityError."""
    try:
        return np.concatenate([part.result() for part in parts])
    except group.NotAPoint:
        raise _malformed(meeting.party) from None


def _matches(meeting: _Meeting, own: U8, theirs: U8) -> _Found:
    """The bank's rows in the partner's order. own: in the order sent, shape (n, 48). theirs: tags."""
    found = _Found(np.empty(len(own), dtype=np.int64), _no_keys(len(own)))
    found.places[meeting.order] = _looked_up(meeting.party, own, _places_of(meeting, theirs))
    found.keys[meeting.order] = own[:, group.TAG_BYTES :]
    if not (found.places >= 0).any():
        raise DataError(
            meeting.party,
            "holds none of the bank's rows",
            "compare the id columns of both sides: ids padded or typed differently never match",
        )
    return found


def _tell_number(meetings: Sequence[_Meeting], found: Mapping[str, _Found]) -> Script[dict[str, BankAlignment]]:
    """one-sided: the row space is the partner's order; it learns only how many matched."""
    aligned = {m.party: found[m.party].aligned(m) for m in meetings}
    yield from _conclude(meetings, {p: Matched(matches=one.matches) for p, one in aligned.items()})
    return aligned


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
        out[m.party] = BankAlignment(m.alignment, m.party, "shared", len(rows), positions, NO_ROW_KEYS)
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
        out[m.party] = BankAlignment(m.alignment, m.party, "shared", len(rows), positions, NO_ROW_KEYS)
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

"""What the bank keeps of a partner's register: secrets of the ids evaluated, tags of its places, and sealed answers.

    state/refreshed/PARTNER/     for the owner's eyes only
      register.json              name, public key (pinned at first use), version and contract of the last refresh
      ids.bin                    a record an id that was evaluated, whether it matches or not: name, tag, row key
      tags.bin                   a record a place
      pending.npz                a part whose answer has not come yet: the same bytes are sent again
      VERSION/QUERY              the partner's answers on that version, as they came: sealed row by row

Records are appended; a record that a crash has cut off is dropped when the file is read.
"""

import shutil
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from bank_node.settings.config import BankConfig
from protocol.algorithms.alignment import BankAlignment
from protocol.algorithms.group import ROW_BYTES, TAG_BYTES
from protocol.algorithms.scoring import ScoringQuery
from protocol.errors import IntegrityError
from protocol.files import folder_name, kept_key, own_folder, write_whole
from protocol.he.streams import digest
from protocol.messages import I64, U8, Message, decode, encode

WORD_BYTES: Final = 16
_RECORD: Final = WORD_BYTES + ROW_BYTES


class RegisterFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """register: its name. public: the partner's key, hex. version, contract: of the last refresh, "" before it.

    places: that the answers of that version have; a refresh that was interrupted may know more already.
    """

    register: str
    public: str
    version: str = ""
    contract: str = ""
    places: int = 0


@dataclass
class KeptRegister:
    """One partner's register at the bank. Not thread-safe."""

    folder: Path
    party: str

    def __post_init__(self) -> None:
        self._records: U8 = _records(self.folder / "ids.bin", _RECORD)
        self._tags: U8 = _records(self.folder / "tags.bin", TAG_BYTES)
        self._by_word, self._by_tag = _Sorted(self._records[:, :WORD_BYTES]), _Sorted(self._tags)

    @property
    def facts(self) -> RegisterFacts | None:
        """What is known of the register; None before the first refresh."""
        path = self.folder / "register.json"
        return msgspec.json.decode(path.read_bytes(), type=RegisterFacts) if path.is_file() else None

    def pin(self, register: str, public: bytes) -> RegisterFacts:
        """The register's facts; its name and key are those of the first use. Raises: IntegrityError: others."""
        known = self.facts or RegisterFacts(register, public.hex())
        if (known.register, known.public) != (register, public.hex()):
            thing = "evaluates ids under another key than before, so that no id would be found again"
            remedy = f"ask it why; to begin anew, remove {self.folder.name} under refreshed in the state folder"
            raise IntegrityError(self.party, thing, remedy)
        self.write(known)
        return known

    def write(self, facts: RegisterFacts) -> None:
        """Keep the facts; folders of other versions go."""
        write_whole(self.folder / "register.json", msgspec.json.encode(facts), durable=True)
        for old in self.folder.iterdir():
            if old.is_dir() and facts.version and old.name != facts.version:
                shutil.rmtree(old)

    # -- ids and places ------------------------------------------------------------------------------------------

    def words(self, ids: list[bytes]) -> U8:
        """Names of ids in the bank's own files, shape (n, 16)."""
        key = kept_key(self.folder / "names.key")
        joined = b"".join(blake2b(value, digest_size=WORD_BYTES, key=key).digest() for value in ids)
        return np.frombuffer(joined, dtype=np.uint8).reshape(-1, WORD_BYTES)

    def unknown(self, words: U8) -> I64:
        """Which of these ids were never evaluated."""
        return np.flatnonzero(self._by_word.find(words) < 0)

    def learn(self, words: U8, secrets: U8) -> None:
        """Keep the secrets of ids; one that is known already stays as it is."""
        new = self.unknown(words)
        added = np.concatenate([words[new], secrets[new]], axis=1)
        _append(self.folder / "ids.bin", self._records, added)
        self._records = np.concatenate([self._records, added])
        self._by_word = _Sorted(self._records[:, :WORD_BYTES])

    @property
    def places(self) -> int:
        """How many places have a tag."""
        return len(self._tags)

    def add_tags(self, tags: U8) -> None:
        """Tags of the places that follow."""
        _append(self.folder / "tags.bin", self._tags, tags)
        self._tags = np.concatenate([self._tags, tags])
        self._by_tag = _Sorted(self._tags)

    def aligned(self, words: U8, facts: RegisterFacts) -> BankAlignment:
        """Where rows stand in the register, with their keys. words: of ids that were all evaluated."""
        records = self._records[self._by_word.find(words)]
        positions = self._by_tag.find(records[:, WORD_BYTES : WORD_BYTES + TAG_BYTES])
        positions = np.where(positions < facts.places, positions, -1)
        keys = np.ascontiguousarray(records[positions >= 0, WORD_BYTES + TAG_BYTES :])
        return BankAlignment(facts.register, self.party, "one-sided", facts.places, positions, keys)

    # -- answers -------------------------------------------------------------------------------------------------

    def keep(self, version: str, query: ScoringQuery, reply: Message) -> None:
        """Keep an answer as it came."""
        kept = msgspec.msgpack.encode((reply.KIND, encode(reply)))
        write_whole(own_folder(self.folder / version) / _name(query), kept)

    def answer(self, version: str, query: ScoringQuery) -> Message | None:
        """A kept answer. Raises: IntegrityError: what is kept cannot be read."""
        path = self.folder / version / _name(query)
        if not version or not path.is_file():
            return None
        kind, body = msgspec.msgpack.decode(path.read_bytes(), type=tuple[str, bytes])
        return decode(kind, body)


def kept_register(config: BankConfig, partner: str) -> KeptRegister:
    """The register of a partner, as it is kept in the node's state folder."""
    folder = own_folder(own_folder(config.state / "refreshed") / folder_name(partner))
    return KeptRegister(folder, partner)


class _Sorted:
    """Finds rows of bytes among others by binary search, shape (n, 16)."""

    def __init__(self, rows: U8) -> None:
        self._rows, heads = rows, _heads(rows)
        self._order = np.argsort(heads, kind="stable")
        self._heads = heads[self._order]

    def find(self, wanted: U8) -> I64:
        """The place of each, -1 of one that is not there, shape (k,)."""
        if not len(self._rows):
            return np.full(len(wanted), -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(self._heads, _heads(wanted)), len(self._rows) - 1)
        found = self._order[at].astype(np.int64)
        same = (self._rows[found] == wanted).all(axis=1)
        return np.where(same, found, -1)


def _heads(rows: U8) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    return np.ascontiguousarray(rows[:, :8]).view("<u8")[:, 0] if len(rows) else np.zeros(0, dtype=np.uint64)


def _records(path: Path, width: int) -> U8:
    raw = np.fromfile(path, dtype=np.uint8) if path.is_file() else np.zeros(0, dtype=np.uint8)
    return raw[: len(raw) // width * width].reshape(-1, width)


def _append(path: Path, whole: U8, added: U8) -> None:
    """Append records behind the whole ones that are there."""
    path.touch(mode=0o600)
    with path.open("r+b") as file:
        file.seek(whole.size)
        file.truncate()
        file.write(np.ascontiguousarray(added).tobytes())


def _name(query: ScoringQuery) -> str:
    """Names what was asked, but for the register."""
    return digest(query.pool.encode(), str(query.handles).encode()).hex()

"""The contracts that are in force at a node, and how they ended: files in its state folder.

contracts/ID/SERIAL.json     every version, as signed
contracts/ID/ended.json      a termination, as signed
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from protocol.contract import Contract, refuse
from protocol.files import file_named, own_folder, write_whole
from protocol.signing.contract import (
    CLAUSE,
    TERMINATION_TYPE,
    Ending,
    Opened,
    SignedContract,
    pinned,
    read_contract,
    read_ending,
    require_signed,
)
from protocol.signing.envelope import Envelope

FOLDER: Final = "contracts"


class Contracts:
    """Those of one node. keys: pinned contract keys, by party. party: the node's own name."""

    def __init__(self, state: Path, party: str, keys: Mapping[str, str]) -> None:
        self._folder, self._party, self._keys = state / FOLDER, party, keys

    def install(self, path: Path) -> SignedContract:
        """Put a contract in force.

        Raises: RefusedError: it is not signed by both, not in force, not this node's, or older than the one that is
        here; or it is a second one over the columns of another.
        """
        opened = read_contract(path)
        contract = require_signed(opened, self._keys, path.name)
        if self._party not in contract.parties:
            raise refuse(path.name, CLAUSE, f"is of {' and '.join(contract.parties)}", f"give one of {self._party}")
        before = self.latest(contract.id)
        if before is not None and before.contract.serial >= contract.serial:
            thing = f"has serial {contract.serial}, and {before.contract.serial} is in force"
            raise refuse(path.name, CLAUSE, thing, "install the newest one that both have signed")
        if before is not None and contract.supersedes != digest_of(before):
            raise refuse(path.name, CLAUSE, "supersedes another contract than the one in force", "draft its renewal")
        self._require_other_columns(opened, path.name)
        place = own_folder(file_named(self._folder, contract.id, "", self._party))
        write_whole(place / f"{contract.serial}.json", opened.envelope.to_json().encode(), durable=True)
        return contract

    def end(self, path: Path) -> Ending:
        """Enter a termination that either party has signed. Raises: RefusedError: it is not signed by one of them."""
        ending, envelope = read_ending(path, TERMINATION_TYPE)
        opened = self.latest(ending.contract)
        if opened is None:
            raise refuse(path.name, CLAUSE, "ends a contract that is not here", "name the termination of one that is")
        pins = pinned(opened.contract, self._keys, path.name)
        if ending.party not in pins or ending.party not in envelope.signers(pins):
            thing = f"is not signed by the pinned contract key of {ending.party}"
            raise refuse(path.name, CLAUSE, thing, "ask its signatory for it again")
        write_whole(self._ended_file(ending.contract), envelope.to_json().encode(), durable=True)
        return ending

    def latest(self, contract: str) -> Opened | None:
        """The newest version of a contract; None if there is none."""
        folder = file_named(self._folder, contract, "", self._party)
        serials = sorted(int(path.stem) for path in folder.glob("[0-9]*.json"))
        return read_contract(folder / f"{serials[-1]}.json") if serials else None

    def all(self) -> Iterator[Opened]:
        """The newest version of every contract."""
        for folder in sorted(path for path in self._folder.glob("*") if path.is_dir()):
            opened = self.latest(folder.name)
            if opened is not None:
                yield opened

    def ended(self, contract: SignedContract) -> datetime:
        """When a contract ends or ended: by its date, or by a termination, effective when it is received or later."""
        end, path = datetime.fromisoformat(contract.not_after), self._ended_file(contract.id)
        if not path.is_file():
            return end
        received = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        named = datetime.fromisoformat(read_ending(path, TERMINATION_TYPE)[0].effective)
        return min(end, max(received, named))

    def with_peer(self, peer: str) -> list[Opened]:
        """All with one other party, in force or not."""
        return [opened for opened in self.all() if peer in opened.contract.parties]

    def require(self, peer: str, *, needed: bool) -> Opened | None:
        """The contract in force with a peer; the one that ends last, of several.

        needed: whether a node without any answers nothing. Returns: None without any, where none is needed.
        Raises: RefusedError: none is in force, and there was one or one is needed.
        """
        now, found = datetime.now(UTC), self.with_peer(peer)
        live = [one for one in found if one.contract.when(now) == "in force" and self.ended(one.contract) > now]
        if live:
            best = max(live, key=lambda one: self.ended(one.contract))
            require_signed(best, self._keys, f"the contract with {peer}")
            return best
        if found:
            last = max(self.ended(one.contract) for one in found)
            thing = f"the contract with {peer} ended at {last.isoformat(timespec='seconds')}"
            if all(one.contract.when(now) == "early" for one in found):
                thing = f"the contract with {peer} is not in force before {found[0].contract.not_before}"
            raise refuse(self._party, CLAUSE, thing, "sign its renewal, and install it at both nodes")
        if needed:
            remedy = "draft, complete, sign and install one (docs/contract.md)"
            raise refuse(self._party, CLAUSE, f"no contract with {peer} is installed, and one is required", remedy)
        return None

    def clauses(self, peer: str, own: Contract) -> Contract:
        """The clauses that hold with a peer: those of the contract in force, or the node's own without any."""
        live = self.require(peer, needed=False)
        return live.contract.clauses if live else own

    def _require_other_columns(self, opened: Opened, name: str) -> None:
        """Raises: RefusedError: another contract with the same party covers the same columns."""
        now, contract = datetime.now(UTC), opened.contract
        for other in self.all():
            same = other.contract.parties == contract.parties and other.contract.id != contract.id
            if same and self.ended(other.contract) > now and _share_columns(other.contract, contract):
                thing = f"covers columns that the contract {other.contract.id[:12]} covers"
                raise refuse(name, CLAUSE, thing, "draft a renewal of that one, or let it end first")

    def _ended_file(self, contract: str) -> Path:
        return file_named(self._folder, contract, "", self._party) / "ended.json"


def digest_of(opened: Opened) -> str:
    """What a renewal names as the one that it supersedes."""
    return sha256(opened.envelope.payload).hexdigest()


def write_envelope(path: Path, envelope: Envelope) -> None:
    """Write a contract or statement as a file that others may read."""
    write_whole(path, envelope.to_json().encode(), 0o644)


def _share_columns(one: SignedContract, other: SignedContract) -> bool:
    """Whether two contracts name a column alike; a pattern may mean any."""
    first, second = set(one.approval.columns), set(other.approval.columns)
    return bool(first & second) or any("*" in column for column in first | second)

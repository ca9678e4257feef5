"""The register of a lineage: a place for every row that was ever in it, with tag and key under the lineage's key.

A new row takes a new place, in a random order among those that are new with it; a row that is gone keeps its place.
A version that is held back (told.py) does not enter the register: what was answered last is answered again.
"""

import os
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Final

import numpy as np

from partner_node.algorithms.alignment import dated_records
from partner_node.node.holdings import Holdings
from partner_node.node.publishing import lineage_folder, states_file
from partner_node.node.told import LEAST_CHANGED
from partner_node.policy.evaluations import Evaluations
from partner_node.store.row_states import load_states
from protocol.algorithms import group, voprf
from protocol.algorithms.alignment import PartnerAlignment
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
from protocol.contract import Contract, refuse
from protocol.errors import IntegrityError, PeerError
from protocol.files import opened_arrays
from protocol.he.streams import derive, digest, permutation
from protocol.messages import I64, U8
from protocol.node.keys import keeper_of

_CONTEXT: Final = "lineage key"
SAME: Final = "run the same version on both sides"


@dataclass(frozen=True)
class _Places:
    """words: keyed hashes of the ids, 16 bytes, in order of place. secrets: tag and key of each, shape (n, 48).

    sha256: of the version that they stand for.
    """

    words: U8 = field(repr=False)
    secrets: U8 = field(repr=False)
    sha256: str


class Register:
    """Of one bank and lineage."""

    def __init__(self, own: Holdings) -> None:
        self._own, config = own, own.config
        self.name = own.name_of("register", config.bank.encode(), config.policy.account.encode())
        self._evaluations = Evaluations(own.budgets, config.party, config.bank, config.policy.account)
        self._aligned: PartnerAlignment | None = None

    @property
    def held_back(self) -> bool:
        """Whether the table differs from the version of the register in so few rows that it is joined to the next."""
        before = self._kept()
        if before is None or before.sha256 == self._own.table.sha256:
            return False
        then, now = (load_states(states_file(self._own.config, s)) for s in (before.sha256, self._own.table.sha256))
        return then is not None and now is not None and 0 < now.changed(then) < LEAST_CHANGED

    def open(self, opening: RegisterOpening, most_ids: int) -> RegisterOpened:
        """Tell what there is to be looked up. most_ids: that the bank may have evaluated. Raises: PeerError."""
        config = self._own.config
        self._require_one_sided()
        if (opening.dating, opening.id_columns) != (config.dating, len(config.data.id)):
            thing = f"has ids of {opening.id_columns} columns dated {opening.dating!r}"
            raise PeerError(config.bank, thing, "set the same id columns, period, first and last at both nodes")
        places = self._places()
        left = max(0, most_ids - self._evaluations.spent)
        return RegisterOpened(
            register=self.name,
            version=self._own.name_of("table", bytes.fromhex(places.sha256)),
            places=len(places.words),
            public=voprf.public_key(self._key),
            ids_left=min(left, 1 << 28),
        )

    def evaluate(self, query: EvaluationQuery, most_ids: int, contract: Contract) -> Evaluation:
        """Evaluate blinded ids, which are spent before. Raises: RefusedError, IntegrityError: no points."""
        self._require_one_sided()
        request = digest(b"fedwarn.v1 evaluation", np.ascontiguousarray(query.points).data)
        points = self._raised(query.points)  # what is no point is refused, and spends nothing
        self._evaluations.spend(request, len(query.points), most_ids, query.lookup, contract.lookups_per_day)
        proof = b""
        if len(points) <= PROVED:
            proof = voprf.prove(self._key, query.points, points, group.random_scalar())
        return Evaluation(points=points, proof=proof)

    def prove(self, query: ProofQuery) -> Proof:
        """That the key was used for these. Raises: IntegrityError: no points."""
        self._require_one_sided()
        points = self._raised(query.points)
        return Proof(proof=voprf.prove(self._key, query.points, points, group.random_scalar()))

    def tags(self, query: TagsQuery) -> Tags:
        """The tags of some places. Raises: IntegrityError: there are none."""
        self._require_one_sided()
        places = self._places()
        if query.first + query.count > len(places.words):
            raise IntegrityError(self._own.config.bank, "asked for places that do not exist", SAME)
        return Tags(tags=places.secrets[query.first : query.first + query.count, : group.TAG_BYTES])

    @property
    def aligned(self) -> PartnerAlignment:
        """The register as a row space: the record of the table at each place, -1 where the row is gone."""
        if self._aligned is None:
            places = self._places()
            place = {word: k for k, word in enumerate(group.as_keys(places.words))}
            ids, record = self._ids()
            order = np.full(len(place), -1, dtype=np.int64)
            order[[place[word] for word in self._words(ids)]] = record
            keys = np.ascontiguousarray(places.secrets[:, group.TAG_BYTES :])
            held = int((order >= 0).sum())
            config = self._own.config
            self._aligned = PartnerAlignment(
                self.name, config.bank, "one-sided", len(order), held, order, keys, self._own.table.sha256
            )
        return self._aligned

    def _require_one_sided(self) -> None:
        if self._own.config.alignment != "one-sided":
            thing = f"looks up rows, and {self._own.config.party} aligns both ways"
            raise PeerError(self._own.config.bank, thing, "align anew, or set alignment one-sided at both nodes")

    def _raised(self, points: U8) -> U8:
        try:
            return group.raised(points, self._key)
        except group.NotAPoint:
            raise IntegrityError(self._own.config.bank, "sent what is no blinded id", SAME) from None

    @property
    def _key(self) -> bytes:
        """The key of the lineage and bank, wrapped on disk under the key of the secrets folder."""
        config = self._own.config
        keeper = keeper_of(config.party, config.secrets)
        fresh = keeper.wrap(group.random_scalar(), _CONTEXT, self.name)
        return keeper.unwrap(self._evaluations.key(fresh), _CONTEXT, self.name)

    def _places(self) -> _Places:
        """The places, with the rows of the table that are new; kept before they are told."""
        before, sha256 = self._kept(), self._own.table.sha256
        if before is not None and (before.sha256 == sha256 or self.held_back):
            return before
        known = set(group.as_keys(before.words)) if before is not None else set()
        ids, _ = self._ids()
        new = [(value, word) for value, word in zip(ids, self._words(ids), strict=True) if word not in known]
        new = [new[k] for k in permutation(len(new))] if new else []
        words = np.frombuffer(b"".join(word for _, word in new), dtype=np.uint8).reshape(-1, 16)
        secrets = _secrets([value for value, _ in new], self._key)
        if before is not None:
            words, secrets = np.concatenate([before.words, words]), np.concatenate([before.secrets, secrets])
        made = _Places(words, secrets, sha256)
        self._keep(made)
        self._aligned = None
        return made

    def _ids(self) -> tuple[list[bytes], I64]:
        """The keys by which rows are looked up, and the table's row behind each."""
        ids, dated = dated_records(self._own.table, self._own.config.grid)
        return ids, np.arange(len(ids), dtype=np.int64) if dated is None else dated.record

    def _words(self, ids: list[bytes]) -> list[bytes]:
        key = derive(self._own.key, "register")
        return [blake2b(value, digest_size=16, key=key).digest() for value in ids]

    def _kept(self) -> _Places | None:
        if not self._file.is_file():
            return None
        with opened_arrays(self._file) as kept:
            return _Places(kept["words"], kept["secrets"], str(kept["sha256"]))

    def _keep(self, places: _Places) -> None:
        beside = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        with open(beside, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            np.savez(file, words=places.words, secrets=places.secrets, sha256=places.sha256)
        beside.replace(self._file)

    @property
    def _file(self) -> Path:
        return lineage_folder(self._own.config) / f"{self.name}.register.npz"


def _secrets(ids: list[bytes], key: bytes) -> U8:
    """Tag and key of each id, shape (n, 48), on all cores."""
    if not ids:
        return np.zeros((0, group.ROW_BYTES), dtype=np.uint8)
    kernel = partial(_secrets_of, key=key)
    return group.start(kernel, ids, urgent=True).result()


def _secrets_of(ids: list[bytes], key: bytes) -> U8:
    return group.row_secrets(group.multiply(voprf.points_of(ids), key))


def require_current(register: Register, party: str) -> None:
    """Raises: RefusedError: the version of the table is held back, and nothing of it is told by the register."""
    if register.held_back:
        thing = f"its table differs from the version told before in fewer than {LEAST_CHANGED} rows"
        raise refuse(party, "refreshes", thing, "score by the bits of the last refresh")

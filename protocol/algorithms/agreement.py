"""Agreement: the first exchange. Do both nodes mean the same?

    bank                                         partner
     |-- Hello (version, engine, settings, contract, --|  the same? then the stricter clauses hold;
     |          digest of the job or pool) ----------->|  does this partner want that job to be approved first?
     |<- Welcome (the partner's, data digest) ---------|  the bank checks the same

Each greeting also shows how far the sender's books are, and returns what the other one showed last: a node
that was restored from a copy notices it (protocol/node/books.py), and refuses all but greetings.

All that follows is asked for the job of the last Hello: an Opening of another job is refused, and so is a query
label that does not begin with its digest. A job that a partner has not approved cannot ride on one that it has.

What each learns beyond that: the other's version, contract and settings, and how far its books are; the bank, a
keyed digest of the partner's file, which confirms no guess of it.
"""

from typing import Annotated

from msgspec import Meta, Struct

from protocol import PROTOCOL_VERSION, __version__
from protocol.contract import Contract
from protocol.errors import PeerError
from protocol.fields import Count, Digest, DigestOrNone, Name, Rows, require_finite, require_names
from protocol.messages import Message, declared


class SignedState(Struct, frozen=True, forbid_unknown_fields=True):
    """How far a party's books are, under its own signature (protocol/node/books.py).

    root: SHA-256 chained over all entries. key: the Ed25519 public key. signature: of party, counter and root.
    """

    party: Name
    counter: Annotated[int, Meta(ge=0, le=1 << 62)]
    root: Digest
    key: Annotated[bytes, Meta(min_length=32, max_length=32)]
    signature: Annotated[bytes, Meta(min_length=64, max_length=64)]

    def __post_init__(self) -> None:
        require_names(self.party)


class Terms(Message, frozen=True):
    """What both nodes must have set alike, and the clauses of which the stricter holds."""

    protocol_version: Count
    software: Name
    party: Name
    engine: Name
    alignment: Name
    split_rows: Name
    contract: Annotated[dict[Name, float], Meta(max_length=64)]

    def __post_init__(self) -> None:
        require_names(self.software, self.party, self.engine, self.alignment, self.split_rows, *self.contract)
        require_finite(self.contract.values())


@declared(
    "agreement.hello",
    content="version, engine, settings, contract clauses, digest of the job or of the pool to score by, state of books",
    purpose="agree on a run",
)
class Hello(Message, frozen=True):
    """The bank's terms. job: digest of the job it is about to run. pool: that it is about to score by.

    Both are empty in a greeting, after which nothing of a table may be asked where jobs need approval. books: how far
    the bank's books are; yours: the last state that the partner showed of its own.
    """

    terms: Terms
    job: DigestOrNone
    pool: DigestOrNone = ""
    books: SignedState | None = None
    yours: SignedState | None = None


@declared(
    "agreement.welcome",
    content="version, engine, settings, contract clauses, keyed digest of the data, state of books",
    purpose="agree on a run",
)
class Welcome(Message, frozen=True):
    """The partner's terms. data: of its file, a digest under its own key, which confirms no guess. rows: of its table.

    books: how far the partner's books are, None if it is behind; yours: the last state that the bank showed of its own.
    """

    terms: Terms
    data: Digest
    rows: Rows
    columns: Count
    equation_budget: Name
    noise_key: Name
    books: SignedState | None = None
    yours: SignedState | None = None

    def __post_init__(self) -> None:
        require_names(self.equation_budget, self.noise_key)


def terms(party: str, engine: str, alignment: str, split_rows: str, contract: Contract) -> Terms:
    """The terms of a node of this version."""
    return Terms(
        protocol_version=PROTOCOL_VERSION,
        software=__version__,
        party=party,
        engine=engine,
        alignment=alignment,
        split_rows=split_rows,
        contract={name: float(value) for name, value in contract.model_dump().items()},
    )


def agree(ours: Terms, theirs: Terms) -> Contract:
    """The contract that holds between two nodes.

    Raises: PeerError: they differ in version, engine, alignment or split_rows. An engine that gives away more
    than `blind` is never used because one side alone names it.
    """
    for name, remedy in (
        ("protocol_version", "install the same version on both sides"),
        ("engine", "set the same engine in both nodes' configs"),
        ("alignment", "set the same alignment, id_case and id_pad in both nodes' configs"),
        ("split_rows", "set the same split_rows in both nodes' configs"),
    ):
        mine, other = getattr(ours, name), getattr(theirs, name)
        if mine != other:
            raise _differ(ours, theirs, name, f"{mine}", f"{other}", remedy)
    return _contract(ours).stricter(_contract(theirs))


def _differ(ours: Terms, theirs: Terms, name: str, mine: str, other: str, remedy: str) -> PeerError:
    thing = f"{name} is {other} there and {mine} at {ours.party}"
    weaker = [engine for engine in (mine, other) if name == "engine" and engine != "blind"]
    if weaker:
        thing += f", and {weaker[0]} needs the consent of both"
    return PeerError(theirs.party, thing, remedy)


def _contract(terms: Terms) -> Contract:
    """Raises: PeerError: a clause is unknown, or out of its range."""
    try:
        return Contract.model_validate(terms.contract)
    except ValueError:
        raise PeerError(
            terms.party, "has a contract with a clause that is unknown or out of range", "correct [contract] there"
        ) from None

"""Agreement: the first exchange. Do both nodes mean the same?

    bank                                         partner
     |-- Hello (version, engine, settings, contract, --|  the same? then the stricter clauses hold;
     |          digest of the job or model) ---------->|  does this partner want that job to be approved first?
     |<- Welcome (the partner's, data digest) ---------|  the bank checks the same

All that follows is asked for the job of the last Hello: an Opening of another job is refused, and so is a query
label that does not begin with its digest. A job that a partner has not approved cannot ride on one that it has.

What each learns beyond that: the other's version, contract and settings; the bank, a digest of the partner's file.
"""

from protocol import PROTOCOL_VERSION, __version__
from protocol.contract import Contract
from protocol.errors import PeerError
from protocol.messages import Message, declared


class Terms(Message, frozen=True):
    """What both nodes must have set alike, and the clauses of which the stricter holds."""

    protocol_version: int
    software: str
    party: str
    engine: str
    alignment: str
    split_rows: str
    contract: dict[str, float]


@declared(
    "agreement.hello",
    content="version, engine, settings, contract clauses, digest of the job or of the model to score by",
    purpose="agree on a run",
)
class Hello(Message, frozen=True):
    """The bank's terms. job: digest of the job it is about to run; model: of the model it is about to score by.

    Both are empty in a greeting, after which nothing of a table may be asked where jobs need approval.
    """

    terms: Terms
    job: str
    model: str = ""


@declared(
    "agreement.welcome", content="version, engine, settings, contract clauses, data digest", purpose="agree on a run"
)
class Welcome(Message, frozen=True):
    """The partner's terms. data: SHA-256 of its file, under which its budgets are kept. rows: of its table."""

    terms: Terms
    data: str
    rows: int
    columns: int
    equation_budget: str
    noise_key: str


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
    return Contract.model_validate(terms.contract)

"""Standing look-up: ids evaluated under one key of the lineage, and tags of rows whose places stay.

    bank                                          partner
     |-- RegisterOpening (grid of dates, id columns) -->|  extends its register by the rows that are new
     |<- RegisterOpened (register, version, places, public key) --|
     |-- EvaluationQuery: fresh blinds times H(id), a part ------>|  spends ids before it answers
     |<- Evaluation: the key times these, with a proof up to 1,000 of them --|
     |-- ProofQuery: a sample of both, drawn by the bank --------->|
     |<- Proof ----------------------------------------------------|
     |-- TagsQuery (first, count): of places that are new -------->|
     |<- Tags -----------------------------------------------------|
     |   then ScoringQuery, with the register in the place of an alignment (scoring.py)

A register is a one-sided row space that lasts as long as the lineage: a new row takes a new place, a row that is gone
keeps its place and is answered "not held". Tag and key of a row are those of its id under the partner's key for this
lineage and bank (voprf.py), so that an id is evaluated once for life, and the bits that the bank keeps, sealed row by
row, open for a new customer once its id is evaluated.

What the partner learns: how many ids are evaluated, and when; not which, nor which match. The bank: where its own ids
stand, and when rows of the register appear. A proof over points that were not evaluated tells the bank nothing that
it could not have computed, but whether a guess of the answer is right.
"""

from typing import Annotated, Final

from msgspec import Meta

from protocol.algorithms.alignment import PART
from protocol.algorithms.group import POINT_BYTES, TAG_BYTES
from protocol.algorithms.voprf import PROOF_BYTES
from protocol.fields import Digest, NameOrNone, Rows, require_array, require_names
from protocol.messages import U8, Message, declared

PROVED: Final = 1000
"""Elements of a batch that are proved at once; of more, a sample of so many is."""
_PART_BYTES: Final = 64 * PART


def _require_points(points: U8, most: int, width: int = POINT_BYTES) -> None:
    require_array(points, None, width)
    if not 0 < len(points) <= most:
        raise ValueError("another number of elements than a part has")


@declared("register.opening", content="grid of dates, number of id columns", purpose="look up rows of a lineage")
class RegisterOpening(Message, frozen=True):
    """dating: the bank's grid, "" without dates."""

    id_columns: Annotated[int, Meta(ge=1, le=64)]
    dating: NameOrNone = ""

    def __post_init__(self) -> None:
        require_names(self.dating)


@declared(
    "register.opened",
    content="keyed digests of the lineage and of the version told, number of places, public key, ids left",
    purpose="look up rows of a lineage",
)
class RegisterOpened(Message, frozen=True):
    """register: names the row space. version: of the table, as it is told. places: there are. public: of the key.

    ids_left: that may still be evaluated.
    """

    register: Digest
    version: Digest
    places: Rows
    public: Annotated[bytes, Meta(min_length=POINT_BYTES, max_length=POINT_BYTES)]
    ids_left: Rows


@declared(
    "register.evaluation_query", content="blinded ids of the bank's rows", purpose="look up rows of a lineage",
    encrypted=True, most_bytes=_PART_BYTES,
)  # fmt: skip
class EvaluationQuery(Message, frozen=True):
    """Blinded ids, shape (k, 32). lookup: of new customers, one by one, which counts by the day as well."""

    points: U8
    lookup: bool = False

    def __post_init__(self) -> None:
        _require_points(self.points, PART)


@declared(
    "register.evaluation", content="the same ids, evaluated under the partner's key, and a proof of it",
    purpose="look up rows of a lineage", encrypted=True, most_bytes=_PART_BYTES,
)  # fmt: skip
class Evaluation(Message, frozen=True):
    """In the same order. proof: of all of them; b"" of more than `PROVED`."""

    points: U8
    proof: Annotated[bytes, Meta(max_length=PROOF_BYTES)]

    def __post_init__(self) -> None:
        _require_points(self.points, PART)


@declared(
    "register.proof_query", content="a sample of blinded ids", purpose="check that one key was used", encrypted=True
)
class ProofQuery(Message, frozen=True):
    """A sample of what was evaluated, shape (k, 32)."""

    points: U8

    def __post_init__(self) -> None:
        _require_points(self.points, PROVED)


@declared("register.proof", content="a proof that one key was used", purpose="check that one key was used")
class Proof(Message, frozen=True):
    """Of the sample."""

    proof: Annotated[bytes, Meta(min_length=PROOF_BYTES, max_length=PROOF_BYTES)]


@declared("register.tags_query", content="a range of places", purpose="look up rows of a lineage")
class TagsQuery(Message, frozen=True):
    """The bank asks for the tags of places that it does not know yet."""

    first: Rows
    count: Annotated[int, Meta(ge=1, le=PART)]


@declared(
    "register.tags", content="tags of the partner's ids", purpose="look up rows of a lineage", encrypted=True,
    most_bytes=_PART_BYTES,
)  # fmt: skip
class Tags(Message, frozen=True):
    """Shape (k, 16), in order of place."""

    tags: U8

    def __post_init__(self) -> None:
        _require_points(self.tags, PART, TAG_BYTES)

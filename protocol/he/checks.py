"""What every engine checks alike of vectors, queries and answers."""

from collections.abc import Sequence
from typing import TypeVar

from protocol.errors import ALIGN_ANEW, IntegrityError
from protocol.messages import I64

B = TypeVar("B")


def require_vectors(vectors: I64, labels: Sequence[str], n: int) -> None:
    """Raises: ValueError: it is not one vector of length n a label; a bug of the caller."""
    if vectors.shape != (len(labels), n):
        raise ValueError("one vector of the row space's length a label")


def body_of(body: object, engine: type[B], bank: str) -> B:
    """A body of the engine that is asked. Raises: IntegrityError: it is another's."""
    if not isinstance(body, engine):
        raise IntegrityError(bank, "sent a query of another engine", "set the same engine at both nodes")
    return body


def require_length(fits: bool, bank: str) -> None:
    """Raises: IntegrityError: a query is not over the row space of the hint."""
    if not fits:
        raise IntegrityError(bank, "sent a query of another length than the hint", ALIGN_ANEW)


def require_sums(fits: bool, partner: str) -> None:
    """Raises: IntegrityError: an answer has not the sums that were asked for."""
    if not fits:
        raise IntegrityError(
            partner, "answered with another number of sums than asked", "run the same version on both sides"
        )

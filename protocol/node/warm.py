"""Compiling numba's kernels once, into their cache on disk: products too small to notice, of every kind of query."""

from typing import Final

import numpy as np

from protocol.algorithms.boosting import SumsQuery
from protocol.algorithms.runs import Label
from protocol.he.base import Body, Integers, OneHot
from protocol.he.engines import OWN, evaluator, integer_evaluator, integer_kit, secret_kit
from protocol.he.plan import FieldBounds
from protocol.he.streams import fresh_key
from protocol.messages import decode, encode

_ROWS: Final = 200
_BINS: Final = 8
_BATCHES: Final = (1, 2, 5)
"""Vectors a query: their numbers choose the kernel."""


class _NoBudget:
    """Nothing is released here."""

    def admit_seed(self, seed: bytes, matrix: bytes) -> None:
        """Any."""


def _sent(body: Body) -> Body:
    """A query's body as it arrives: in arrays that cannot be written to, for which kernels are compiled apart."""
    bounds = FieldBounds(0, 1)
    labels = (Label("sums", "0" * 64),)
    query = SumsQuery(layout="0" * 64, labels=labels, columns=(), packed=True, g=bounds, h=bounds, body=body)
    sent = decode(query.KIND, encode(query))
    assert isinstance(sent, SumsQuery)
    return sent.body


def warm_kernels() -> None:
    """Seal, answer and open on our own engines, so that every kernel of the encryption is compiled and loaded."""
    bins = (np.arange(2 * _ROWS).reshape(_ROWS, 2) % _BINS).astype(np.uint8)
    matrix = OneHot(bins, np.full(2, _BINS, dtype=np.int64), _ROWS, np.arange(_ROWS))
    for engine in OWN:
        seed = fresh_key()
        answers = evaluator(engine, "warm", fresh_key(), matrix, seed, _NoBudget())
        kit = secret_kit(engine, "warm", fresh_key(), seed, answers.hint(), _ROWS)
        for count in _BATCHES:
            vectors = np.arange(count * _ROWS).reshape(count, _ROWS)
            labels = [f"warm {count} {k}" for k in range(count)]
            sealed, rows = kit.seal(vectors, labels), matrix.rows_of([0, 1])
            noise = np.zeros((count, len(rows)), dtype=np.int64)
            query = answers.check(_sent(sealed.body), labels, [0, 1])
            opened = kit.open(sealed, rows, answers.answer(query, noise))
            assert opened.sum() == 2 * vectors.sum()
        _warm_whole_numbers(engine)


def _warm_whole_numbers(engine: str) -> None:
    values, vectors = np.ones((_ROWS, 1), dtype=np.int16), np.arange(_ROWS)[None]
    matrix, rows, seed = Integers(values, np.array([[0, -1]]), _ROWS, np.arange(_ROWS)), np.arange(1), fresh_key()
    answers = integer_evaluator(engine, "warm", fresh_key(), matrix, seed, _NoBudget())
    kit = integer_kit(engine, "warm", fresh_key(), seed, answers.hint(), _ROWS)
    sealed = kit.seal(vectors, ["warm"])
    query = answers.check(sealed.body, ["warm"], rows)
    answer = answers.answer(query, np.zeros((1, 1), dtype=np.int64))
    assert kit.open(sealed, rows, answer).sum() == vectors.sum()

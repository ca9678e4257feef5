"""Generalised linear models: the messages between a bank and its partners, and the shared rules.

    bank                                              partner
     |   counts goods and bads a bin (woe.py), where columns are encoded by weight of evidence
     |-- Design (columns, and what stands for a bin) --->|  lays the columns out as whole numbers
     |<- Designed (its name) ----------------------------|
     |-- DesignHintQuery (bank's nonce) ---------------->|  draws the masks, computes the hint of columns and products
     |<- DesignHint (sealed) ----------------------------|
     |   for every iteration:
     |-- CrossQuery (sealed residual, weight, ...) ----->|  sums them over its columns, and products of two
     |<- CrossSums (sealed, exact) ----------------------|
     |   the bank takes a Newton step in all coefficients
     |-- Coefficients (the partner's, rounded) --------->|  adds up the partner's part of every row's score
     |<- PartialScores (rounded) ------------------------|
     |   or, of partners that share an order of rows and have agreed on masks (masks.py):
     |-- MaskedCoefficients (and a label) -------------->|  the same, rounded before it is masked
     |<- MaskedScores (masked) --------------------------|
     |   at the end of a model:
     |-- KeepTerms (model, coefficients) --------------->|  keeps what it needs to score by the model
     |<- Kept -------------------------------------------|
     |   later, of rows aligned anew:
     |-- ScoringQuery (scoring.py) --------------------->|  adds up its part of every row's score
     |<- TermScores (rounded) or MaskedTermScores -------|

A value v of a column is a whole number of thousandths, a coefficient of millionths, a partial score of 10^-decimals,
so that every engine and machine computes the very same model.

What each learns beyond the model: the bank, the sums, and the partner's rounded part of the score of every row that
it matched, other rows' parts being sealed (sealing.py); under masks the sum of all partners' parts. The partner, its
own coefficients at every iteration and, with encoding by weight of evidence, how each of its bins relates to the
label. SECURITY.md says what follows from that.

Source: McCullagh and Nelder, Generalized Linear Models (1989), ch. 2.5: iteratively reweighted least squares.
"""

from collections.abc import Sequence
from math import frexp
from typing import Final

import msgspec
import numpy as np

from protocol.algorithms.binning import ColumnShape
from protocol.he.base import I32, Cleartext
from protocol.he.integers import IntegerBody
from protocol.he.parameters import INTEGERS
from protocol.he.streams import digest
from protocol.messages import F64, I64, U8, U64, Disclosure, Message, as_sent, declared

VALUE: Final = 1_000
"""A column's number stands for itself / VALUE."""
LARGEST_VALUE: Final = 4_095
"""In thousandths: a weight of evidence, or a number of standard deviations, is cut here."""
_SMALLEST: Final = 1e-140
_LARGEST: Final = 1e140
"""Between these, sums of squares neither vanish nor overflow."""
COEFFICIENT: Final = 1_000_000
"""A coefficient's number stands for itself / COEFFICIENT."""
LARGEST_COEFFICIENT: Final = 1_000 * COEFFICIENT
UNIT: Final = VALUE * COEFFICIENT
"""A row's score before rounding is a whole number of 1 / UNIT; nine decimals do not round it."""
MOST_DECIMALS: Final = 9
LEAST_SHARE: Final = 1e-5
"""Of the spread that the strongest column's part of a score has: a column with less does not count in the score."""
QUERY_BYTES: Final = 1 << 27
"""Vectors of more bytes than this go in several queries, one after another, so that neither side has to hold all."""


class DesignColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One column of a design.

    column: its place in the partner's layout. values: what stands for each bin, `missing` last where there is one; of
    none, the column's own numbers, prepared as the layout says.
    """

    column: int
    values: tuple[int, ...] = ()


@declared(
    "glm.design",
    content="columns chosen for a model; what stands for each bin of theirs: how the bins relate to the label",
    purpose="lay out the columns of a linear model",
)
class Design(Message, frozen=True):
    """The columns of one partner in a model. layout: its bins."""

    layout: str
    columns: tuple[DesignColumn, ...]


@declared("glm.designed", content="a name, a nonce, the number of rows", purpose="name the columns laid out")
class Designed(Message, frozen=True):
    """design: digest of alignment, data and columns; names them from now on."""

    design: str
    rows: int
    nonce: bytes


@declared(
    "glm.hint_query",
    content="a random nonce; on engines ckks and paillier the bank's public keys",
    purpose="joint public randomness of the hint",
)
class DesignHintQuery(Message, frozen=True, omit_defaults=True):
    """The bank's share of the public seed. keys: as in `HintQuery` of binning."""

    design: str
    engine: str
    nonce: bytes
    keys: bytes = b""


@declared(
    "glm.hint",
    content="the columns and their products times public randomness, masked",
    purpose="let the bank open the sums, once for all fits of the design",
    encrypted=True,
)
class DesignHint(Message, frozen=True):
    """The hint of a matrix of whole numbers (protocol/he/integers.py)."""

    hint: U8


@declared(
    "glm.query",
    content="residuals and weights of the bank's rows, weights times its columns, zero elsewhere",
    purpose="gradient and curvature of the likelihood",
    encrypted=True,
)
class CrossQuery(Message, frozen=True):
    """Vectors to sum over the columns; one more, of the weights, over columns and products, where it is asked for.

    labels, weight_label: one a vector; no weight_label where body alone is asked.
    """

    design: str
    labels: tuple[str, ...]
    body: IntegerBody
    weight_label: str = ""
    weight: IntegerBody | None = None

    @property
    def disclosure(self) -> Disclosure:
        return as_sent(self.DISCLOSURE, isinstance(self.body, Cleartext))


@declared(
    "glm.sums",
    content="sums of the bank's vectors over columns and products of two columns, exact",
    purpose="gradient and curvature of the likelihood",
    encrypted=True,
)
class CrossSums(Message, frozen=True):
    """The sealed sums: of `labels` over the d columns; of the weight over columns and products, or of no vector."""

    plaintext: bool
    columns: U8
    weight: U8

    @property
    def disclosure(self) -> Disclosure:
        return as_sent(self.DISCLOSURE, self.plaintext)


@declared("glm.coefficients", content="the partner's coefficients, to six decimals", purpose="partial scores of a fit")
class Coefficients(Message, frozen=True):
    """In millionths, one a column of the design. decimals: of the scores wanted, the contract's at most."""

    design: str
    values: tuple[int, ...]
    decimals: int


@declared(
    "glm.partial_scores",
    content="the partner's part of the score, of every row of the row space, rounded, sealed so that the bank reads "
    "matched rows alone",
    purpose="residuals of a fit",
)
class PartialScores(Message, frozen=True, omit_defaults=True):
    """In 10^-decimals, a row of the row space, 0 where nothing stands; shape (n,).

    With one-sided alignment each has its row's pad added modulo 2^64 (sealing.py), and nonce names the pads.
    """

    decimals: int
    scores: I64
    nonce: bytes = b""


@declared(
    "glm.scores",
    content="the partner's part of the score, of every row of the row space, rounded, sealed so that the bank reads "
    "matched rows alone",
    purpose="score rows by a model trained before",
)
class TermScores(Message, frozen=True, omit_defaults=True):
    """As `PartialScores`, of a finished model."""

    decimals: int
    scores: I64
    nonce: bytes = b""


@declared(
    "glm.masked_coefficients",
    content="the partner's coefficients, to six decimals; a label",
    purpose="partial scores of a fit, hidden in the sum of all partners'",
)
class MaskedCoefficients(Message, frozen=True):
    """As `Coefficients`. group: of the masks. label: of this release, the same to all partners of the group."""

    design: str
    values: tuple[int, ...]
    decimals: int
    group: str
    label: str


@declared(
    "glm.masked_scores",
    content="the partner's part of the score, of every row, under masks that cancel in the sum of all partners' parts",
    purpose="residuals of a fit",
    encrypted=True,
)
class MaskedScores(Message, frozen=True):
    """In 1 / UNIT, rounded to 10^-decimals of each, modulo 2^64, a row of the row space; shape (n,)."""

    scores: U64


@declared(
    "glm.masked_term_scores",
    content="the partner's part of the score, of every row, under masks that cancel in the sum of all partners' parts",
    purpose="score rows by a model trained before",
    encrypted=True,
)
class MaskedTermScores(Message, frozen=True):
    """As `MaskedScores`, of a finished model."""

    scores: U64


@declared("glm.keep", content="the coefficients of a model", purpose="let the partner score the model later")
class KeepTerms(Message, frozen=True, omit_defaults=True):
    """A finished model by its digest. group: of the masks under which alone it may be scored by, or ""."""

    design: str
    model: str
    values: tuple[int, ...]
    group: str = ""


def product_rows(columns: int) -> I64:
    """The rows of the matrix of a design: its d columns, then the products of two, j <= k; shape (R, 2)."""
    first, second = np.triu_indices(columns)
    alone = np.stack((np.arange(columns), np.full(columns, -1)), axis=1)
    return np.concatenate((alone, np.stack((first, second), axis=1))).astype(np.int64)


def vectors_a_query(rows: int) -> int:
    """How many sealed vectors over a row space go in one query at most."""
    return max(1, QUERY_BYTES // (rows * INTEGERS.log2_q // 8))


def squared(sums: F64, columns: int) -> F64:
    """The symmetric matrix, shape (d, d), of the sums over the products of `product_rows`."""
    out = np.zeros((columns, columns))
    first, second = np.triu_indices(columns)
    out[first, second] = out[second, first] = sums
    return out


def mean_and_deviation(numbers: F64) -> tuple[float, float]:
    """Of numbers of any size, none of them missing; (0, 0) of none.

    Those whose squares are no numbers are scaled by a power of 2, which rounds nothing.
    """
    if not len(numbers):
        return 0.0, 0.0
    largest = float(np.abs(numbers).max())
    scale = 2.0 ** (frexp(largest)[1] - 1) if largest and not _SMALLEST < largest < _LARGEST else 1.0
    scaled = numbers / scale
    return float(scaled.mean()) * scale, float(scaled.std()) * scale


def standardised(numbers: F64, mean: float, deviation: float) -> I32:
    """Numbers as thousandths of a standard deviation from their mean, cut at LARGEST_VALUE; missing ones are 0."""
    with np.errstate(over="ignore"):
        scaled = (numbers - mean) / deviation * VALUE
    scaled = np.nan_to_num(scaled, nan=0.0, posinf=LARGEST_VALUE, neginf=-LARGEST_VALUE)
    return np.rint(np.clip(scaled, -LARGEST_VALUE, LARGEST_VALUE)).astype(np.int32)


def of_bins(bins: U8, values: Sequence[int]) -> I32:
    """What stands for each bin; 0 for one that the values do not have, as `missing` where none was missing before."""
    table = np.zeros(256, dtype=np.int32)
    table[: len(values)] = values
    return np.asarray(table[bins])


def rounded(scores: I64, decimals: int) -> I64:
    """Scores in 1 / UNIT to 10^-decimals, halves up."""
    step = 10 ** (MOST_DECIMALS - decimals)
    return np.asarray((scores + step // 2) // step)


def in_units(scores: I64, decimals: int) -> I64:
    """Rounded scores in 1 / UNIT again."""
    return np.asarray(scores * 10 ** (MOST_DECIMALS - decimals))


def release_binding(coefficients: I64, decimals: Sequence[int]) -> str:
    """What ties the label of a masked release to all its coefficients, the bank's own among them, and to the rounding.

    coefficients: in millionths, shape (p,). decimals: of each partner's scores.
    """
    return digest(b"fedwarn.v1 release", coefficients.astype("<i8").tobytes(), bytes(decimals)).hex()


def admits(column: DesignColumn, shape: ColumnShape) -> bool:
    """Whether a design may ask this of a column: a value a bin that it can hold, or its numbers if it has some."""
    fits = len(column.values) == shape.size and all(abs(v) <= LARGEST_VALUE for v in column.values)
    return fits if column.values else not shape.categorical

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
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta

from protocol.algorithms.binning import ColumnShape
from protocol.algorithms.runs import Label
from protocol.fields import (
    Count,
    Digest,
    DigestOrNone,
    Keys,
    Name,
    Nonce,
    Rows,
    require_array,
    require_names,
    require_printable,
)
from protocol.he.base import I32, MAX_PRODUCT, MAX_VALUE, MOST_ARRAY, MOST_TEXT, Cleartext, vectors_bytes
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
LARGEST_SCORE: Final = 8
"""A partner's part of a score is cut here: of log-odds, of a log-rate, or of standard deviations of the label."""
LEAST_SHARE: Final = 1e-5
"""Of the spread that the strongest column's part of a score has: a column with less does not count in the score."""
_MOST_COLUMNS: Final = 64
Decimals = Annotated[int, Meta(ge=0, le=MOST_DECIMALS)]
ROOM_LOG2: Final = 36
"""Vectors are scaled to a sum of absolute values below 2^36: sums of products of columns then stay below 2^60."""
ROW_LOG2: Final = 27
"""What a row takes of that at most, on average: of 512 rows or more it is no further limit."""
SumLog2 = Annotated[int, Meta(ge=0, le=40)]
Values = Annotated[
    tuple[Annotated[int, Meta(ge=-LARGEST_COEFFICIENT, le=LARGEST_COEFFICIENT)], ...], Meta(max_length=_MOST_COLUMNS)
]
QUERY_BYTES: Final = 1 << 27
"""Vectors of more bytes than this go in several queries, one after another, so that neither side has to hold all."""


class DesignColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One column of a design.

    column: its place in the partner's layout. values: what stands for each bin, `missing` last where there is one; of
    none, the column's own numbers, prepared as the layout says.
    """

    column: Annotated[int, Meta(ge=0, lt=1 << 16)]
    values: Annotated[tuple[Annotated[int, Meta(ge=-LARGEST_VALUE, le=LARGEST_VALUE)], ...], Meta(max_length=256)] = ()


@declared(
    "glm.design",
    content="columns chosen for a model; what stands for each bin of theirs: how the bins relate to the label",
    purpose="lay out the columns of a linear model",
    most_bytes=MOST_TEXT,
)
class Design(Message, frozen=True):
    """The columns of one partner in a model. layout: its bins. model: its number in the job.

    What stands for a bin is fixed by the first design of the run that names it.
    """

    layout: Digest
    job: Digest
    run: Count
    model: Count
    columns: Annotated[tuple[DesignColumn, ...], Meta(max_length=_MOST_COLUMNS)]


@declared("glm.designed", content="a name, a nonce, the number of rows", purpose="name the columns laid out")
class Designed(Message, frozen=True):
    """design: digest of alignment, data and columns; names them from now on."""

    design: Digest
    rows: Rows
    nonce: Nonce


@declared(
    "glm.hint_query",
    content="a random nonce; on engines ckks and paillier the bank's public keys",
    purpose="joint public randomness of the hint",
    most_bytes=1 << 28,
)
class DesignHintQuery(Message, frozen=True, omit_defaults=True):
    """The bank's share of the public seed. keys: as in `HintQuery` of binning."""

    design: Digest
    engine: Name
    nonce: Nonce
    keys: Keys = b""

    def __post_init__(self) -> None:
        require_names(self.engine)


@declared(
    "glm.hint",
    content="the columns and their products times public randomness, masked",
    purpose="let the bank open the sums, once for all fits of the design",
    encrypted=True,
    most_bytes=MOST_ARRAY,
)
class DesignHint(Message, frozen=True):
    """The hint of a matrix of whole numbers (protocol/he/integers.py)."""

    hint: U8

    def __post_init__(self) -> None:
        require_array(self.hint, None, None, 10)


@declared(
    "glm.query",
    content="residuals and weights of the bank's rows, weights times its columns, zero elsewhere",
    purpose="gradient and curvature of the likelihood",
    encrypted=True,
    most_bytes=lambda rows: MOST_TEXT + QUERY_BYTES + vectors_bytes(2, rows),
)
class CrossQuery(Message, frozen=True):
    """Vectors to sum over the columns; one more, of the weights, over columns and products, where it is asked for.

    label: of the query; its node is the number of the first vector. vectors: in the body. sum_log2: the sum of the
    sizes of a vector's entries is below 2^sum_log2; weight_sum_log2: of the weight's.
    """

    design: Digest
    label: Label
    vectors: Annotated[int, Meta(ge=1, le=1 << 12)]
    sum_log2: SumLog2
    body: IntegerBody
    weight_sum_log2: SumLog2 = 0
    weight: IntegerBody | None = None

    @property
    def vector_labels(self) -> tuple[str, ...]:
        """A text a vector of the body."""
        return vector_labels(self.label, self.vectors)

    @property
    def weight_label(self) -> str:
        """The text of the weight."""
        return f"{self.label.text}/weight"

    @property
    def disclosure(self) -> Disclosure:
        return as_sent(self.DISCLOSURE, isinstance(self.body, Cleartext))


@declared(
    "glm.sums",
    content="sums of the bank's vectors over columns and products of two columns, exact",
    purpose="gradient and curvature of the likelihood",
    encrypted=True,
    most_bytes=MOST_ARRAY,
)
class CrossSums(Message, frozen=True):
    """The sealed sums: of `labels` over the d columns; of the weight over columns and products, or of no vector."""

    plaintext: bool
    columns: U8
    weight: U8

    def __post_init__(self) -> None:
        if not {self.columns.ndim, self.weight.ndim} <= {2, 3}:
            raise ValueError("an array of other axes than declared")

    @property
    def disclosure(self) -> Disclosure:
        return as_sent(self.DISCLOSURE, self.plaintext)


@declared("glm.coefficients", content="the partner's coefficients, to six decimals", purpose="partial scores of a fit")
class Coefficients(Message, frozen=True):
    """In millionths, one a column of the design. decimals: of the scores wanted, the contract's at most."""

    design: Digest
    label: Label
    values: Values
    decimals: Decimals


@declared(
    "glm.partial_scores",
    content="the partner's part of the score, of every row of the row space, rounded, sealed so that the bank reads "
    "matched rows alone",
    purpose="residuals of a fit",
    most_bytes=MOST_ARRAY,
)
class PartialScores(Message, frozen=True, omit_defaults=True):
    """In 10^-decimals, a row of the row space, 0 where nothing stands; shape (n,).

    With one-sided alignment each has its row's pad added modulo 2^64 (sealing.py), and nonce names the pads.
    """

    decimals: Decimals
    scores: I64
    nonce: Annotated[bytes, Meta(max_length=32)] = b""

    def __post_init__(self) -> None:
        require_array(self.scores, None)


@declared(
    "glm.scores",
    content="the partner's part of the score, of every row of the row space, rounded, sealed so that the bank reads "
    "matched rows alone",
    purpose="score rows by a model trained before",
    most_bytes=MOST_ARRAY,
)
class TermScores(Message, frozen=True, omit_defaults=True):
    """As `PartialScores`, of a finished model."""

    decimals: Decimals
    scores: I64
    nonce: Annotated[bytes, Meta(max_length=32)] = b""

    def __post_init__(self) -> None:
        require_array(self.scores, None)


@declared(
    "glm.masked_coefficients",
    content="the partner's coefficients, to six decimals; a label",
    purpose="partial scores of a fit, hidden in the sum of all partners'",
)
class MaskedCoefficients(Message, frozen=True):
    """As `Coefficients`. group: of the masks. mask: names this release, the same to all partners of the group."""

    design: Digest
    label: Label
    values: Values
    decimals: Decimals
    group: Digest
    mask: Annotated[str, Meta(max_length=300)]

    def __post_init__(self) -> None:
        require_printable(self.mask)


@declared(
    "glm.masked_scores",
    content="the partner's part of the score, of every row, under masks that cancel in the sum of all partners' parts",
    purpose="residuals of a fit",
    encrypted=True,
    most_bytes=MOST_ARRAY,
)
class MaskedScores(Message, frozen=True):
    """In 1 / UNIT, rounded to 10^-decimals of each, modulo 2^64, a row of the row space; shape (n,)."""

    scores: U64

    def __post_init__(self) -> None:
        require_array(self.scores, None)


@declared(
    "glm.masked_term_scores",
    content="the partner's part of the score, of every row, under masks that cancel in the sum of all partners' parts",
    purpose="score rows by a model trained before",
    encrypted=True,
    most_bytes=MOST_ARRAY,
)
class MaskedTermScores(Message, frozen=True):
    """As `MaskedScores`, of a finished model."""

    scores: U64

    def __post_init__(self) -> None:
        require_array(self.scores, None)


@declared("glm.keep", content="the coefficients of a model", purpose="let the partner score the model later")
class KeepTerms(Message, frozen=True, omit_defaults=True):
    """The coefficients of a finished model. group: of the masks under which alone it may be scored by, or ""."""

    design: Digest
    values: Values
    group: DigestOrNone = ""


def product_rows(columns: int) -> I64:
    """The rows of the matrix of a design: its d columns, then the products of two, j <= k; shape (R, 2)."""
    first, second = np.triu_indices(columns)
    alone = np.stack((np.arange(columns), np.full(columns, -1)), axis=1)
    return np.concatenate((alone, np.stack((first, second), axis=1))).astype(np.int64)


def vector_labels(label: Label, vectors: int) -> tuple[str, ...]:
    """A text for every vector of a query."""
    return tuple(f"{label.text}/{k}" for k in range(vectors))


def bits_of_sums(rows: I64, columns: int, sum_log2: int) -> I64:
    """Bits of each sum, its sign included, shape (len(rows),). rows: of the matrix of a design of so many columns."""
    largest = np.where(rows < columns, MAX_VALUE.bit_length() - 1, MAX_PRODUCT.bit_length() - 1)
    return np.asarray(largest + sum_log2 + 1, dtype=np.int64)


def most_sum_log2(rows: int) -> int:
    """The largest declaration of a vector over so many matched rows; rounding to whole numbers may add one."""
    return min(ROOM_LOG2 + 1, ROW_LOG2 + rows.bit_length())


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


def released(scores: I64, decimals: int) -> I64:
    """Scores in 1 / UNIT as they leave a partner: to 10^-decimals, and cut at LARGEST_SCORE.

    A score beyond says no more of a row, and fewer values that can leave tell less of it: log2(1601) bits at two
    decimals.
    """
    most = LARGEST_SCORE * 10**decimals
    return np.asarray(np.clip(rounded(scores, decimals), -most, most))


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

"""The blind product in whole numbers, written from docs/protocols/blind-product.md and not from `protocol/he`.

Polynomials are lists of N Python integers; a product is one multiplication of two big integers (Kronecker
substitution). Only SHA-256, HMAC, AES and GMAC come from libraries. Slow, exact, and the judge of the fast one.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Polynomial = list[int]


@dataclass(frozen=True)
class Ring:
    """One row of the parameter table, and how its residues become bytes.

    slot: bits a coefficient in Kronecker substitution. parts: of a query, by what it is named: (bits shifted off, bytes
    kept) of every residue. flood: bits of each of the three integers in E, and bytes that each is drawn from.
    """

    n: int
    log2_q: int
    delta: int
    cut: int
    slot: int
    parts: tuple[tuple[int, int], ...]
    flood: tuple[int, int]

    @property
    def q(self) -> int:
        return 1 << self.log2_q


TREES = Ring(
    n=4096, log2_q=104, delta=62, cut=40,
    slot=152,  # 104 + 12 for the sum, 32 for small multipliers, a sign
    parts=((40, 8), (0, 5)), flood=(60, 8),
)  # fmt: skip
N, Q, DELTA, CUT, SLOT = TREES.n, TREES.q, 1 << TREES.delta, TREES.cut, TREES.slot


def digest(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "little") + part for part in parts)).digest()


def derive(key: bytes, purpose: str, *context: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869) with one block of output."""
    extracted = hmac.digest(digest(*context), key, "sha256")
    return hmac.digest(extracted, b"fedwarn.v1 " + purpose.encode() + b"\x01", "sha256")


def tag(key: bytes, *parts: bytes) -> bytes:
    content = b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    return AESGCM(key).encrypt(bytes(12), b"", content)


def stream(key: bytes, count: int) -> bytes:
    return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(count))


def words(key: bytes, count: int) -> list[int]:
    octets = stream(key, 8 * count)
    return [int.from_bytes(octets[8 * k : 8 * k + 8], "little") for k in range(count)]


def ternary(key: bytes, count: int) -> list[int]:
    out: list[int] = []
    for octet in stream(key, 2 * count + 1024):
        if octet < 243:
            out += [octet // 3**k % 3 - 1 for k in range(5)]
    return out[:count]


def errors(key: bytes, count: int) -> list[int]:
    """Centred binomial, eta = 21."""
    half = (1 << 21) - 1
    return [(word & half).bit_count() - (word >> 21 & half).bit_count() for word in words(key, count)]


def product(a: Polynomial, b: Polynomial, slot: int = SLOT) -> Polynomial:
    """a·b mod x^N + 1, over the integers, N = len(a); |b| < 2^32."""
    whole, n = _evaluate(a, slot) * _evaluate(b, slot), len(a)
    long = _coefficients(whole, 2 * n, slot)
    return [long[t] - long[t + n] for t in range(n)]


def _evaluate(a: Polynomial, slot: int) -> int:
    """a(2^slot): the positive and the negative coefficients each as one string of bytes."""
    sides = (b"".join(max(sign * c, 0).to_bytes(slot // 8, "little") for c in a) for sign in (1, -1))
    up, down = (int.from_bytes(side, "little") for side in sides)
    return up - down


def _coefficients(value: int, count: int, slot: int) -> Polynomial:
    bias = int.from_bytes((1 << (slot - 1)).to_bytes(slot // 8, "little") * count, "little")
    octets = (value + bias).to_bytes(slot // 8 * count + 1, "little")
    step = slot // 8
    return [int.from_bytes(octets[step * t : step * t + step], "little") - (1 << (slot - 1)) for t in range(count)]


def adjoint(a: Polynomial) -> Polynomial:
    """a(1/x) = a(x^(2N-1)): if (a·s)[i] = sum_t A[i,t] s[t], then this times m has coefficients sum_i m[i] A[i,t]."""
    return [a[0]] + [-a[-t] for t in range(1, len(a))]


def public_seed(alignment: str, parties: Sequence[str], nonces: Sequence[bytes], ring: Ring = TREES) -> bytes:
    parameters = f"blind N={ring.n} log2_q={ring.log2_q} eta=21".encode()
    return digest(b"fedwarn.v1 seed", parameters, alignment.encode(), *(p.encode() for p in parties), *nonces)


def public(seed: bytes, blocks: int, ring: Ring = TREES) -> list[Polynomial]:
    """a', a_1 .. a_J."""
    n, size = ring.n, ring.log2_q // 8
    octets = stream(derive(seed, "public randomness"), size * n * (blocks + 1))
    flat = [int.from_bytes(octets[size * k : size * k + size], "little") for k in range(n * (blocks + 1))]
    return [flat[n * j : n * j + n] for j in range(blocks + 1)]


def blocks_of(n: int, ring: Ring = TREES) -> int:
    return -(-n // ring.n)


class Partner:
    """matrix: rows of M as lists of n integers. name: SHA-256 that names the matrix."""

    def __init__(self, key: bytes, seed: bytes, matrix: list[list[int]], name: bytes, ring: Ring = TREES) -> None:
        self.key, self.seed, self.matrix, self.name, self.ring = key, seed, matrix, name, ring
        self.hint_id = digest(b"fedwarn.v1 hint", seed, name)
        self.masks = [ternary(self._row("rho", r), ring.n) for r in range(len(matrix))]

    def _row(self, purpose: str, row: int) -> bytes:
        return derive(self.key, purpose, self.name, self.seed, row.to_bytes(8, "little"))

    def hint(self) -> list[Polynomial]:
        """H, whole residues; `>> cut` is what is sent."""
        ring, n = self.ring, self.ring.n
        first, *rest = [adjoint(a) for a in public(self.seed, blocks_of(len(self.matrix[0]), ring), ring)]
        out = []
        for r, row in enumerate(self.matrix):
            masked = product(first, self.masks[r], ring.slot)
            total = [x + y for x, y in zip(masked, errors(self._row("rho'", r), n), strict=True)]
            for j, a in enumerate(rest):
                block = row[n * j : n * j + n]
                part = product(a, block + [0] * (n - len(block)), ring.slot)
                total = [x + y for x, y in zip(total, part, strict=True)]
            out.append([value % ring.q for value in total])
        return out

    def flooding(self, label: str, query: bytes) -> list[int]:
        """E a row: three uniform integers, centred."""
        (bits, size), rows = self.ring.flood, len(self.matrix)
        octets = stream(derive(self.key, "flood", self.hint_id, label.encode(), query), 3 * size * rows)
        drawn = [int.from_bytes(octets[size * k : size * k + size], "little") % (1 << bits) for k in range(3 * rows)]
        return [sum(drawn[3 * r : 3 * r + 3]) - 3 * (1 << bits - 1) for r in range(rows)]

    def answer(self, b: list[int], label: str, noise: list[int] | None = None) -> list[int]:
        """beta of all rows, whole residues."""
        n, ring = len(self.matrix[0]), self.ring
        noise = noise or [0] * len(self.matrix)
        parts = [
            b"".join((value >> shift & (1 << 8 * size) - 1).to_bytes(size, "little") for value in b)
            for shift, size in ring.parts
        ]
        flood = self.flooding(label, tag(derive(self.key, "queries", self.hint_id), *parts))
        out = []
        for r, row in enumerate(self.matrix):
            total = sum(value * entry for value, entry in zip(b[:n], row, strict=True))
            total += sum(value * mask for value, mask in zip(b[n:], self.masks[r], strict=True))
            out.append((total + flood[r] + (noise[r] << ring.delta)) % ring.q)
        return out


class Bank:
    def __init__(self, master: bytes, seed: bytes, n: int, ring: Ring = TREES) -> None:
        self.master, self.seed, self.n, self.ring = master, seed, n, ring

    def key(self, vector: list[int], label: str) -> bytes:
        octets = b"".join(value.to_bytes(8, "little", signed=True) for value in vector)
        content = tag(derive(self.master, "vectors", self.seed), octets)
        return derive(self.master, "query", self.seed, label.encode(), content)

    def secret(self, vector: list[int], label: str) -> list[int]:
        return ternary(derive(self.key(vector, label), "secret"), self.ring.n)

    def seal(self, vector: list[int], label: str, secret: list[int] | None = None) -> list[int]:
        """b_1 .. b_J cut to n entries, then b'."""
        key, s, ring = self.key(vector, label), secret or self.secret(vector, label), self.ring
        first, *rest = public(self.seed, blocks_of(self.n, ring), ring)
        body = [c for a in rest for c in product(a, s, ring.slot)][: self.n]
        drawn = errors(derive(key, "error"), self.n)
        body = [c + e + (u << ring.delta) for c, e, u in zip(body, drawn, vector, strict=True)]
        small = errors(derive(key, "error'"), ring.n)
        last = [c + e for c, e in zip(product(first, s, ring.slot), small, strict=True)]
        return [value % ring.q for value in body + last]


def open_whole(beta: list[int], hint: list[Polynomial], s: list[int], ring: Ring = TREES) -> list[int]:
    """M·u + noise from whole residues of answer and hint."""
    out, bits = [], ring.log2_q - ring.delta
    for value, row in zip(beta, hint, strict=True):
        inner = (value - sum(h * t for h, t in zip(row, s, strict=True)) + (1 << ring.delta - 1)) % ring.q >> ring.delta
        out.append(inner - (1 << bits) if inner >> bits - 1 else inner)
    return out

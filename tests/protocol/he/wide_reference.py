"""The blind product over whole numbers in Python integers, written from docs/protocols/blind-product.md."""

from tests.protocol.he.reference import Polynomial, adjoint, derive, digest, errors, product, stream, tag, ternary

N, Q, DELTA, CUT = 8192, 1 << 208, 1 << 144, 128
SLOT = 256  # bits a coefficient in Kronecker substitution: 208 + 13 for the sum, 25 for entries of M, a sign


def public_seed(alignment: str, parties: list[str], nonces: list[bytes]) -> bytes:
    parameters = b"blind N=8192 log2_q=208 eta=21"
    return digest(b"fedwarn.v1 seed", parameters, alignment.encode(), *(p.encode() for p in parties), *nonces)


def public(seed: bytes, blocks: int) -> list[Polynomial]:
    """a', a_1 .. a_J."""
    octets = stream(derive(seed, "public randomness"), 26 * N * (blocks + 1))
    flat = [int.from_bytes(octets[26 * k : 26 * k + 26], "little") for k in range(N * (blocks + 1))]
    return [flat[N * j : N * j + N] for j in range(blocks + 1)]


def blocks_of(n: int) -> int:
    return -(-n // N)


class Partner:
    """matrix: rows of M as lists of n integers. name: SHA-256 that names the matrix."""

    def __init__(self, key: bytes, seed: bytes, matrix: list[list[int]], name: bytes) -> None:
        self.key, self.seed, self.matrix, self.name = key, seed, matrix, name
        self.hint_id = digest(b"fedwarn.v1 hint", seed, name)
        self.masks = [ternary(self._row("rho", r), N) for r in range(len(matrix))]

    def _row(self, purpose: str, row: int) -> bytes:
        return derive(self.key, purpose, self.name, self.seed, row.to_bytes(8, "little"))

    def hint(self) -> list[Polynomial]:
        """H, whole residues; `>> CUT` is what is sent."""
        first, *rest = [adjoint(a) for a in public(self.seed, blocks_of(len(self.matrix[0])))]
        out = []
        for r, row in enumerate(self.matrix):
            masked = product(first, self.masks[r], SLOT)
            total = [x + y for x, y in zip(masked, errors(self._row("rho'", r), N), strict=True)]
            for j, a in enumerate(rest):
                block = row[N * j : N * j + N]
                part = product(a, block + [0] * (N - len(block)), SLOT)
                total = [x + y for x, y in zip(total, part, strict=True)]
            out.append([value % Q for value in total])
        return out

    def flooding(self, label: str, query: bytes) -> list[int]:
        octets = stream(derive(self.key, "flood", self.hint_id, label.encode(), query), 48 * len(self.matrix))
        drawn = [int.from_bytes(octets[16 * k : 16 * k + 16], "little") for k in range(3 * len(self.matrix))]
        return [sum(drawn[3 * r : 3 * r + 3]) - 3 * (1 << 127) for r in range(len(self.matrix))]

    def answer(self, b: list[int], label: str) -> list[int]:
        """beta of all rows, whole residues."""
        n = len(self.matrix[0])
        octets = b"".join(value.to_bytes(26, "little") for value in b)
        flood = self.flooding(label, tag(derive(self.key, "queries", self.hint_id), octets))
        out = []
        for r, row in enumerate(self.matrix):
            total = sum(value * entry for value, entry in zip(b[:n], row, strict=True))
            total += sum(value * mask for value, mask in zip(b[n:], self.masks[r], strict=True))
            out.append((total + flood[r]) % Q)
        return out


class Bank:
    def __init__(self, master: bytes, seed: bytes, n: int) -> None:
        self.master, self.seed, self.n = master, seed, n

    def key(self, vector: list[int], label: str) -> bytes:
        octets = b"".join(value.to_bytes(8, "little", signed=True) for value in vector)
        content = tag(derive(self.master, "vectors", self.seed), octets)
        return derive(self.master, "query", self.seed, label.encode(), content)

    def secret(self, vector: list[int], label: str) -> list[int]:
        return ternary(derive(self.key(vector, label), "secret"), N)

    def seal(self, vector: list[int], label: str, secret: list[int] | None = None) -> list[int]:
        """b_1 .. b_J cut to n entries, then b'."""
        key, s = self.key(vector, label), secret or self.secret(vector, label)
        first, *rest = public(self.seed, blocks_of(self.n))
        body = [c for a in rest for c in product(a, s, SLOT)][: self.n]
        body = [c + e + DELTA * u for c, e, u in zip(body, errors(derive(key, "error"), self.n), vector, strict=True)]
        last = [c + e for c, e in zip(product(first, s, SLOT), errors(derive(key, "error'"), N), strict=True)]
        return [value % Q for value in body + last]


def open_whole(beta: list[int], hint: list[Polynomial], s: list[int]) -> list[int]:
    """M·u from whole residues of answer and hint."""
    out = []
    for value, row in zip(beta, hint, strict=True):
        inner = (value - sum(h * t for h, t in zip(row, s, strict=True)) + DELTA // 2) % Q // DELTA
        out.append(inner - (1 << 64) if inner >> 63 else inner)
    return out

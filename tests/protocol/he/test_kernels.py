"""The compiled loops and their numpy fallbacks give the same integers, and those are the right ones."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.compiled import COMPILED
from protocol.he import kernels, ring
from protocol.he.blind import packing
from protocol.he.parameters import N
from tests.protocol.he.products import one_hot, written_out

Kernel = Callable[..., Any]
WRAP = 1 << 64

ADDS: list[Kernel] = [kernels._add_ones, kernels._add_pairs, kernels._add_eights]


def _words(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(0, WRAP - 1, shape, dtype=np.uint64, endpoint=True)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0, 1, 500, 4095, 4097]), st.integers(1, 19))
def test_sums_a_bin_are_the_matrix_product(seed: int, n: int, words: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 6, rng.integers(1, 5)).tolist()
    matrix = one_hot(n, sizes, np.flatnonzero(rng.random(n) < 0.7), seed % 50)
    columns = rng.permutation(len(sizes))[: rng.integers(1, len(sizes) + 1)].tolist()
    values, fives = _words(rng, words, n), rng.integers(0, 256, (rng.integers(0, 4), n, 5), dtype=np.uint8)
    for add in ("as they run", "numpy"):
        with pytest.MonkeyPatch.context() as patch:
            if add == "numpy":
                for name in ("_add_ones", "_add_pairs", "_add_eights"):
                    patch.setattr(kernels, name, kernels._add_numpy)
                patch.setattr(kernels, "_lay_words", kernels._lay_words_numpy)
                patch.setattr(kernels, "_lay_fives", kernels._lay_fives_numpy)
            got = kernels.sum_words(matrix, columns, values, fives)
        rows = written_out(matrix)[matrix.rows_of(columns)]
        every = np.concatenate((values, kernels.join_fives(fives)))
        want = rows.astype(object) @ every.T.astype(object) % WRAP
        assert got.T.astype(object).tolist() == want.tolist()


@pytest.mark.parametrize(
    ("kernel", "fallback"),
    [
        (kernels.small_times_words, kernels._times_small_numpy),
        (kernels.words_times_small, kernels._words_small_numpy),
    ],
)
@pytest.mark.parametrize("batch", [1, 3, 16])
def test_products_with_small_integers_wrap(kernel: Kernel, fallback: Kernel, batch: int) -> None:
    rng, rows = np.random.default_rng(batch), np.array([4, 0, 2])
    words, small = _words(rng, batch, 64), rng.integers(-1, 2, (5, 64)).astype(np.int8)
    if kernel is kernels.words_times_small:
        words, small = _words(rng, 5, 64), rng.integers(-1, 2, (batch, 64)).astype(np.int8)
        want = small.astype(object) @ words[rows].T.astype(object) % WRAP
    else:
        want = words.astype(object) @ small[rows].T.astype(object) % WRAP
    for run in (kernel, fallback):
        out = np.ones((batch, 3), dtype=np.uint64)
        run(words, small, rows, out)
        assert out.astype(object).tolist() == want.tolist()


@settings(deadline=None)
@given(st.lists(st.integers(0, (1 << 40) - 1), min_size=1, max_size=9))
def test_five_bytes_become_a_word(values: list[int]) -> None:
    low = np.frombuffer(b"".join(v.to_bytes(5, "little") for v in values), dtype=np.uint8).reshape(1, -1, 5)
    assert kernels.join_fives(low)[0].tolist() == values


@pytest.mark.parametrize("m", [1, ring.HALF, N, N + 17])
def test_packing_is_one_thing_in_both(m: int) -> None:
    rng = np.random.default_rng(m)
    blocks = -(-m // N)
    public = np.stack([ring.transform(rng.integers(-(2**25), 2**25, (4, N)).astype(float)) for _ in range(blocks)])
    folded = np.fft.ifft(public * ring.transform(rng.integers(-1, 2, N).astype(float)))
    drawn, values = _words(rng, m), rng.integers(-(2**41), 2**41, m)
    found = []
    for run in (packing._pack, packing._pack_numpy):
        high, low = np.zeros(m, dtype=np.uint64), np.zeros((m, 5), dtype=np.uint8)
        points = folded.copy()
        run(points.view(np.float64).reshape(*points.shape, 2), packing._UNTWIST, drawn, values, high, low)
        found.append((high.tolist(), low.tolist()))
    assert found[0] == found[1]


@pytest.mark.skipif(not COMPILED, reason="this is the run without numba")
def test_the_known_answers_hold_without_numba() -> None:
    """A process in which the kernels are numpy's, on the same known answers and refusals."""
    folder = Path(__file__).parent
    files = [
        str(folder / name)
        for name in ("test_vectors.py", "test_blind.py", "test_refusals.py", "test_noise.py", "test_wide_vectors.py")
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(
        command, env={**os.environ, "FEDWARN_NO_NUMBA": "1"}, cwd=folder.parents[2], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert " passed" in done.stdout or "100%" in done.stdout


def test_numba_may_be_absent() -> None:
    """A process that cannot import numba computes on numpy."""
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "from protocol.compiled import COMPILED; from protocol.he import kernels\n"
        "assert not COMPILED and kernels._add_ones is kernels._add_numpy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


@pytest.mark.parametrize("kernel", [kernels.small_times_words, kernels.words_times_small])
@pytest.mark.parametrize("wrong", ["row beyond", "negative row", "width", "out", "type"])
def test_products_refuse_what_would_lead_out_of_an_array(kernel: Kernel, wrong: str) -> None:
    words, small = np.zeros((3, 8), dtype=np.uint64), np.zeros((3, 8), dtype=np.int8)
    rows, out = np.array([0, 2]), np.zeros((3, 2), dtype=np.uint64)
    match wrong:
        case "row beyond":
            rows = np.array([0, 3])
        case "negative row":
            rows = np.array([0, -1])
        case "width":
            small = small[:, :7]
        case "out":
            out = out[:, :1]
        case "type":
            words = words.view(np.int64)
    with pytest.raises(ValueError, match=r"fit|exist|outside"):
        kernel(words, small, rows, out)


@pytest.mark.parametrize("wrong", ["bin", "position", "column", "length", "fives"])
def test_sums_refuse_what_would_lead_out_of_an_array(wrong: str) -> None:
    matrix = one_hot(9, [2, 3], np.arange(5), 1)
    words, fives, columns = np.zeros((1, 9), dtype=np.uint64), np.zeros((1, 9, 5), dtype=np.uint8), [0, 1]
    match wrong:
        case "bin":
            matrix = dataclasses.replace(matrix, bins=np.full_like(matrix.bins, 200))
        case "position":
            matrix = dataclasses.replace(matrix, positions=matrix.positions + 5)
        case "column":
            columns = [0, 2]
        case "length":
            words = words[:, :8]
        case "fives":
            fives = fives[..., :4]
    with pytest.raises(ValueError, match=r"fit|exist|outside"):
        kernels.sum_words(matrix, columns, words, fives)


def test_packing_refuses_what_would_lead_out_of_an_array() -> None:
    folded, m = np.zeros((1, 4, ring.HALF), dtype=np.complex128), N + 1
    drawn, high = np.zeros(m, dtype=np.uint64), np.zeros(m, dtype=np.uint64)
    with pytest.raises(ValueError, match=r"fit|exist|outside"):
        packing.pack(folded, drawn, np.zeros(m, dtype=np.int64), high, np.zeros((m, 5), dtype=np.uint8))

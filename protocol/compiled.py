"""Kernels run compiled by numba where it is installed, and as the numpy function beside them where it is not.

Both give the same integers; the tests run both. FEDWARN_NO_NUMBA=1 chooses numpy.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, cast

import numpy as np
import numpy.typing as npt

F = TypeVar("F", bound=Callable[..., Any])

try:
    import numba
except ImportError:
    numba = None  # type: ignore[assignment]

COMPILED: Final = numba is not None and os.environ.get("FEDWARN_NO_NUMBA", "") != "1"
"""Whether kernels run compiled in this process."""

if COMPILED:
    # Eight written-out additions become one vector instruction: the sums a bin are two to three times faster.
    numba.config.SLP_VECTORIZE = 1  # type: ignore[attr-defined]


def compiled(fallback: F) -> Callable[[Callable[..., Any]], F]:
    """Decorator: compile the loop (without the GIL, cached on disk), or take `fallback` in its place.

    A user who may write neither beside the code nor at home has no cache: the loop is then compiled at every start.
    """

    def choose(kernel: Callable[..., Any]) -> F:
        if not COMPILED:
            return fallback
        try:
            return cast(F, numba.njit(nogil=True, cache=True)(kernel))
        except RuntimeError:  # numba has found no folder for its cache
            return cast(F, numba.njit(nogil=True)(kernel))

    return choose


def of_types(arrays: Sequence[npt.NDArray[Any]], *types: type[np.generic]) -> bool:
    """Whether arrays have these types, in order: loops are compiled for no others."""
    return all(array.dtype == np.dtype(wanted) for array, wanted in zip(arrays, types, strict=True))

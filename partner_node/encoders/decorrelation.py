"""Principal components with fixed signs: learned columns that do not repeat each other, the same at every fit."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Components:
    """mean, shape (width,); turned, shape (width, columns): a row less the mean, times it, is the learned columns."""

    mean: npt.NDArray[np.float32]
    turned: npt.NDArray[np.float32]

    def __call__(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Learned columns, shape (n, columns), scaled to deviation 1 on the rows that were fitted on.

        Rounded to five digits: what a library adds in another order is not seen.
        """
        found = (rows.astype(np.float64) - self.mean) @ self.turned.astype(np.float64)
        return np.round(found, 4).astype(np.float32) + np.float32(0)


def fit_components(rows: npt.NDArray[Any], columns: int) -> Components:
    """The first principal components of the rows, each scaled to deviation 1; its largest loading is positive."""
    values = rows.astype(np.float64)
    mean = values.mean(axis=0)
    variance, axes = np.linalg.eigh(np.cov(values - mean, rowvar=False))
    order = np.argsort(-variance, kind="stable")[: min(columns, len(variance))]
    order = order[variance[order] > 1e-12 * variance.max()]
    axes = axes[:, order]
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(len(order))]
    turned = axes * np.sign(largest) / np.sqrt(variance[order])
    # Single floats: the last bits of doubles depend on how many threads a library adds with.
    return Components(mean.astype(np.float32), turned.astype(np.float32))

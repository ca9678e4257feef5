"""Data sets that the project's own scenarios use, fetched once and checked by SHA-256."""

from experiments.data.known import ensure

__all__ = ["ensure"]

"""Parties in one process, from arrays or tables: for tests, benchmarks and notebooks."""

from experiments.laboratory.laboratory import JOB, OPEN, Laboratory, layout_of, over_the_wire

__all__ = ["JOB", "OPEN", "Laboratory", "layout_of", "over_the_wire"]

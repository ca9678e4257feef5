"""The windows of hand aggregates where none are given."""

from typing import Final

WINDOWS: Final = (1, 3, 6, 12)
"""Months before a point over which events are added up."""

"""The bank's standing with its partners: what outlives a run, and serves the next."""

from bank_node.standing.known import load_known, save_known
from bank_node.standing.standing import Progress, Standing

__all__ = ["Progress", "Standing", "load_known", "save_known"]

"""What a model asks of one partner at most, as both sides compute it."""

from collections import Counter
from typing import Final

import msgspec

from protocol.algorithms.binning import Cutting

BINS: Final = "bins"
"""What bin tables are called among the models of a plan; they come last, and are opened first."""


class PlannedModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model of a job with one partner, over all rungs that the partner is in.

    name: of the model. fits: how many, a rung each and a fold of a rung each. trees: encrypted, in all fits together.
    depth: of its parameters.
    cutting: of its bins. bin_tables: whether goods and bads a bin are asked for; tested: and the rows of the test part.
    columns: of the partner in a linear model, at most; 0 of trees. vectors: of the bank, that are summed over them, in
    all rungs. releases: partial scores; alone: of these, in rungs that have no other partner.
    """

    name: str
    fits: int = msgspec.field(name="rungs")
    trees: int
    depth: int
    cutting: Cutting
    bin_tables: bool = False
    tested: bool = False
    columns: int = 0
    vectors: int = 0
    releases: int = 0
    alone: int = 0

    @property
    def vectors_a_tree(self) -> int:
        """Nodes of a tree that are summed at most: the root, and of any two siblings the smaller one."""
        return int(2 ** (self.depth - 1))

    @property
    def equations_a_tree(self) -> int:
        """A packed (g, h) counts two, and so do a g and an h."""
        return 2 * self.vectors_a_tree

    @property
    def counts(self) -> int:
        """Vectors whose rows are counted a bin."""
        return 2 + self.tested if self.bin_tables else 0

    @property
    def equations(self) -> int:
        """Sums a row space, of all its trees or steps; and rows and bads a bin."""
        return self.by_kind.total()

    @property
    def by_kind(self) -> Counter[str]:
        """The same, by the kind of label that they are asked under."""
        return Counter({"sums": self.trees * self.equations_a_tree, "counts": self.counts, "cross": self.vectors})

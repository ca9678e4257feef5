"""A node of a tree while it grows, and the split that was chosen for it."""

from dataclasses import dataclass, field

from bank_node.trees.interactions import Path
from bank_node.trees.leaf_values import Leaves
from bank_node.trees.split_gains import Scored
from protocol.algorithms.boosting import Split
from protocol.messages import I64


@dataclass(frozen=True)
class Choice:
    """The split of a node. split: of the party's columns by their places. gain: as scored."""

    party: str
    split: Split
    default_left: bool
    gain: float


@dataclass(eq=False)
class Node:
    """A node while it grows.

    fit: rows that are fitted on; rows: all that arrive, scored ones too. totals: exact integer (G, H) of fit.
    leaves: how they are valued below. path: columns split on above.
    """

    number: int
    depth: int
    fit: I64
    rows: I64
    totals: I64
    leaves: Leaves
    path: Path = frozenset()
    parent: "Node | None" = None
    sibling: "Node | None" = None
    sums: dict[str, I64] = field(default_factory=dict)
    not_held: dict[str, I64] = field(default_factory=dict)
    scored: dict[str, Scored] = field(default_factory=dict)
    choice: Choice | None = None
    children: tuple["Node", ...] = ()
    value: float = 0.0


def smaller(a: Node, b: Node) -> bool:
    """Which of two siblings is summed; the left one if they are alike."""
    return (len(a.fit), a.number) < (len(b.fit), b.number)

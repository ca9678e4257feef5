"""Training without labels: two pieces of one customer's events are near, of two customers far; hidden events are told.

The first is CoLES (Babaev et al., arXiv 2002.08232), the second asks for type and amount of events that were hidden,
from those before and the gap. Gradients are clipped, and every draw is named by the seed.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from partner_node.encoders.network import Batch, batch_of, build, represent, states
from partner_node.encoders.sequences import Sequences
from protocol.draws import draw
from protocol.messages import I64

CUSTOMERS: Final = 1000
"""Fewer are not fitted on: what is learned would be of single persons."""
_SHORTEST: Final = 4
_PIECE: Final = 48
"""Events of a piece at most."""
_NORM: Final = 1.0
_TEMPERATURE: Final = 0.1


@dataclass(frozen=True)
class Schedule:
    """steps: batches of `customers`, of each of which two pieces are taken. hidden: share of events that are."""

    steps: int = 400
    customers: int = 96
    rate: float = 2e-3
    hidden: float = 0.2


def train(torch: Any, device: Any, sequences: Sequences, kinds: int, seed: int, schedule: Schedule = Schedule()) -> Any:
    """The trained network."""
    torch.manual_seed(seed)
    network = build(torch, kinds).to(device).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=schedule.rate)
    slowing = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, schedule.steps)
    long_enough = np.flatnonzero(np.diff(sequences.starts) >= _SHORTEST)
    for step in range(schedule.steps):
        drawn = draw(seed, "batch", step)
        rows = drawn.choice(long_enough, min(schedule.customers, len(long_enough)), replace=False)
        pieces = _two_pieces(sequences, rows, drawn)
        batch = batch_of(torch, device, pieces, np.arange(len(pieces)), kinds)
        optimiser.zero_grad()
        loss = _contrast(torch, represent(torch, network, batch)) + _hidden(
            torch, network, batch, kinds, schedule, drawn
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), _NORM)
        optimiser.step()
        slowing.step()
    return network.eval()


def _two_pieces(sequences: Sequences, rows: I64, drawn: np.random.Generator) -> Sequences:
    """Two pieces of each sequence, drawn by themselves: the first of all, then the second of all.

    A piece is looked at from a moment before the event that follows it, drawn evenly."""
    both = np.concatenate((rows, rows))
    first, end = sequences.starts[both], sequences.starts[both + 1]
    length = drawn.integers(_SHORTEST, np.minimum(_PIECE, end - first) + 1)
    begin = drawn.integers(first, end - length + 1)
    following = np.minimum(begin + length, len(sequences.gaps) - 1)
    until = np.where(begin + length == end, sequences.left[both], sequences.gaps[following])
    return sequences.pieces(begin, length, (until * drawn.random(len(both))).astype(np.int64))


def _contrast(torch: Any, vectors: Any) -> Any:
    """Cross-entropy of finding a piece's other half among all pieces of the batch."""
    near = torch.nn.functional.normalize(vectors, dim=1)
    rows = len(near) // 2
    likeness = (near @ near.T / _TEMPERATURE).masked_fill(
        torch.eye(2 * rows, dtype=torch.bool, device=near.device), -1e9
    )
    other = torch.arange(2 * rows, device=near.device).roll(rows)
    return torch.nn.functional.cross_entropy(likeness, other)


def _hidden(torch: Any, network: Any, batch: Batch, kinds: int, schedule: Schedule, drawn: np.random.Generator) -> Any:
    """Cross-entropy of the types and amounts of hidden events, from what comes before them."""
    steps = np.arange(batch["kind"].shape[1])[None, :] < (batch["length"].cpu().numpy() - 1)[:, None]
    chosen = torch.from_numpy(steps & (drawn.random(steps.shape) < schedule.hidden)).to(batch["kind"].device)
    shown = {
        **batch,
        "kind": batch["kind"].masked_fill(chosen, kinds),
        "amount": batch["amount"].masked_fill(chosen, network["amount"].out_features - 1),
    }
    found = states(torch, network, shown)[chosen]
    if not len(found):
        return found.sum()
    entropy = torch.nn.functional.cross_entropy
    return entropy(network["kind"](found), batch["kind"][chosen]) + entropy(
        network["amount"](found), batch["amount"][chosen]
    )

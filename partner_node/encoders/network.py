"""The network: a gated recurrent unit over type, binned amount and gap of each event. torch is imported when it runs.

A sequence ends with a token of its own, NOW, whose gap is the time from the last event to the point: so it says how
long a customer has been silent. The representation is the last state and the mean of all, side by side.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from partner_node.encoders.sequences import AMOUNT_BINS, GAP_BINS, Codes, Sequences, gap_bins
from protocol.errors import UsageError

HIDDEN: Final = 48
WIDTH: Final = 2 * HIDDEN
"""Of a representation."""
_EMBEDDED: Final = {"kind": 16, "amount": 8, "gap": 8}

Batch = Mapping[str, Any]
"""Tensors `kind`, `amount`, `gap` (rows, steps), 0 after the end; `length` (rows,)."""


def torch_for(party: str) -> Any:
    """torch, set to give the same numbers whatever the number of cores. Raises: UsageError: it is not installed."""
    try:
        import torch
    except ImportError:
        raise UsageError(
            party, "learned columns need torch, which is not installed here",
            "install torch==2.13.0 and safetensors (`make torch-env`), or ask for --columns 0: hand aggregates alone",
        ) from None  # fmt: skip
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    return torch


def sizes(kinds: int) -> dict[str, int]:
    """How many codes each input has: two tokens more than types, for what is hidden and for NOW."""
    return {"kind": kinds + 2, "amount": AMOUNT_BINS + 1, "gap": GAP_BINS + 1}


def build(torch: Any, kinds: int) -> Any:
    """The network's layers, drawn from torch's generator. kinds: codes of types."""
    nn, codes = torch.nn, sizes(kinds)
    return nn.ModuleDict(
        {
            **{f"embed_{name}": nn.Embedding(codes[name], width) for name, width in _EMBEDDED.items()},
            "unit": nn.GRU(sum(_EMBEDDED.values()), HIDDEN, batch_first=True),
            "kind": nn.Linear(HIDDEN, codes["kind"]),
            "amount": nn.Linear(HIDDEN, codes["amount"]),
        }
    )


def states(torch: Any, network: Any, batch: Batch) -> Any:
    """The unit's state after every event, shape (rows, steps, HIDDEN)."""
    joined = torch.cat([network[f"embed_{name}"](batch[name]) for name in _EMBEDDED], dim=2)
    return network["unit"](joined)[0]


def represent(torch: Any, network: Any, batch: Batch) -> Any:
    """One row a sequence, shape (rows, WIDTH)."""
    found, length = states(torch, network, batch), batch["length"]
    inside = (torch.arange(found.shape[1], device=found.device)[None, :] < length[:, None]).unsqueeze(2)
    mean = (found * inside).sum(dim=1) / length[:, None]
    last = found[torch.arange(len(length), device=found.device), length - 1]
    return torch.cat([last, mean], dim=1)


def batch_of(torch: Any, device: Any, sequences: Sequences, rows: Codes, kinds: int) -> Batch:
    """Some of the sequences as one batch, each with its NOW token."""
    first, events = sequences.starts[rows], np.diff(sequences.starts)[rows]
    steps = np.arange(int(events.max()) + 1)[None, :]
    inside = steps < events[:, None]
    where = np.where(inside, first[:, None] + steps, 0)
    codes = {"kind": sequences.kind, "amount": sequences.amount, "gap": sequences.gap}
    padded = {name: np.where(inside, values[where], 0) for name, values in codes.items()}
    ends = (np.arange(len(rows)), events)
    padded["kind"][ends] = kinds + 1
    padded["gap"][ends] = gap_bins(sequences.left[rows])
    found = {name: torch.from_numpy(values).to(device) for name, values in padded.items()}
    return {**found, "length": torch.from_numpy(events + 1).to(device)}

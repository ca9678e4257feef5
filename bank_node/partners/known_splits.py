"""Splits that a partner has revealed for a layout: asked once, free from then on."""

from pathlib import Path

import msgspec
import numpy as np

from bank_node.partners.arrays import save_arrays
from bank_node.partners.partner_view import KnownSplits
from protocol.algorithms.boosting import Split
from protocol.files import opened_arrays


def load_known(path: Path, rows: int) -> KnownSplits:
    """The splits that a partner has revealed for a layout; none if there is no file."""
    known = KnownSplits(rows)
    if path.exists():
        with opened_arrays(path) as kept:
            splits = msgspec.json.decode(kept["splits"].tobytes(), type=list[Split])
            known.sides = dict(zip(splits, kept["sides"], strict=True))
            known.spent = bool(kept["spent"])
            known.information_share = float(kept["information_share"])
    return known


def save_known(path: Path, known: KnownSplits) -> None:
    """Keep what a partner has revealed."""
    splits = np.frombuffer(msgspec.json.encode(list(known.sides)), dtype=np.uint8)
    sides = np.stack(list(known.sides.values())) if known.sides else np.zeros((0, known.rows), dtype=np.int8)
    save_arrays(
        path,
        splits=splits,
        sides=sides,
        spent=np.array(known.spent),
        information_share=np.array(known.information_share),
    )

"""What a refit takes of a trained model: a part of `refit.json` (bank_node/training/refit_record.py)."""

import msgspec

from protocol.algorithms.boosting import Kept, Split


class KnownModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model that can be fitted again. splits: of its pool at each partner, in the pool's order; kept: as it was."""

    model: str
    rung: str
    splits: dict[str, tuple[Split, ...]]
    kept: dict[str, Kept]
    information: dict[str, float]

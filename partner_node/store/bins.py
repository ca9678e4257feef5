"""Bins from the cache: a node that is made anew for a message does not cut its columns again."""

from collections.abc import Callable

import msgspec
import numpy as np

from partner_node.algorithms.binning import BinnedTable
from partner_node.store.cache import Cache
from protocol.algorithms.binning import CategoryRule, NumberRule


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `BinnedTable` as bytes, without what the job and settings say of its columns; bins row by row."""

    names: tuple[str, ...]
    rules: tuple[NumberRule | CategoryRule, ...]
    numbers: tuple[int, ...]
    bins: bytes
    dropped: tuple[int, ...]
    monotone: frozenset[int]


def kept_bins(cache: Cache, key: str, make: Callable[[], BinnedTable]) -> BinnedTable:
    """The bins kept under a key, or made and kept. key: names the table and how it is cut.

    Raises: DataError: as `make` does. IntegrityError: the cache has lost them.
    """
    name = cache.noted(key)
    if name is not None:
        return _loaded(cache.find(name))
    table = make()
    cache.note(key, cache.keep(_saved(table)))
    return table


def _saved(table: BinnedTable) -> bytes:
    bins = np.ascontiguousarray(table.bins).tobytes()
    kept = _Kept(table.names, table.rules, table.numbers, bins, table.dropped, table.monotone)
    return msgspec.msgpack.encode(kept)


def _loaded(content: bytes) -> BinnedTable:
    kept = msgspec.msgpack.decode(content, type=_Kept)
    bins = np.frombuffer(kept.bins, dtype=np.uint8).reshape(-1, len(kept.names))
    return BinnedTable(kept.names, kept.rules, kept.numbers, bins, kept.dropped, kept.monotone)

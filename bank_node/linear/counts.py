"""Goods and bads in the bins of every party's columns: asked once, for bin tables and for weights of evidence."""

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from bank_node.family.training import Training
from bank_node.linear.woe import count_partners
from protocol.algorithms.binning import Cutting
from protocol.messages import I64
from protocol.role import Script


def counts_of(training: Training, cutting: Cutting) -> Script[Mapping[str, I64]]:
    """Rows and bads a bin of every partner's columns, asked once a way of binning."""
    if cutting not in training.counts:
        label, runs = training.table.label, training.runs
        views = [replace(training.views[p, cutting], run=runs[p]) for p in training.alignments]
        place = msgspec.structs.replace(training.label("counts"), tree=len(training.counts))
        assert label is not None
        train = training.parts == "train"
        tested = training.parts == "test" if training.job.selection else None
        training.counts[cutting] = yield from count_partners(place, views, train, label > 0, tested)
    return training.counts[cutting]

"""Goods and bads in the bins of every party's columns: asked once, for bin tables and for weights of evidence."""

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from bank_node.linear.woe import count_partners, evidence_of_bank, evidence_of_partner, tell_values
from bank_node.record.facts import BinTable
from bank_node.training.columns import own_columns
from bank_node.training.model import open_model
from bank_node.training.outcome.bin_tables import ivs_of, tables_of_bank, tables_of_partner
from bank_node.training.training import Training
from protocol.algorithms.binning import Cutting
from protocol.messages import I64
from protocol.role import Script


def bin_tables(training: Training) -> Script[dict[str, list[BinTable]]]:
    """Goods and bads in the bins of every party's columns."""
    label, train = training.table.label, training.parts == "train"
    assert label is not None
    cutting, binning = training.job.cutting, training.job.binning
    bank, columns = training.table.party, own_columns(training, cutting)
    views = [training.views[p, cutting] for p in training.alignments]
    yield from open_model(training, len(training.job.models))
    counts = yield from counts_of(training, cutting)
    names, evidence = training.job.parties[bank].names, evidence_of_bank(columns, train, label > 0)
    own = {bank: tables_of_bank(columns, evidence, binning, names)}
    found = {v.name: evidence_of_partner(v, counts[v.name], train, label > 0) for v in views}
    theirs = {v.name: tables_of_partner(v, found[v.name], binning) for v in views}
    values = {v.name: ivs_of(v, found[v.name], binning) for v in views}
    yield from tell_values(views, values, {v.name: training.sessions.contracts[v.name].max_iv_decimals for v in views})
    return own | theirs


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

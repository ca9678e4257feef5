"""The bin tables of the report: goods and bads in the bins of every party's columns."""

from bank_node.family.columns import own_columns
from bank_node.family.training import Training
from bank_node.linear.woe import counts_of, evidence_of_bank, evidence_of_partner, tell_values
from bank_node.record.facts import BinTable
from bank_node.training.model import open_model
from bank_node.training.outcome.bin_tables import ivs_of, tables_of_bank, tables_of_partner
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

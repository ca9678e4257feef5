"""The bank's own table, as its settings and the job have it."""

from bank_node.families.catalogue import family_of
from bank_node.settings.config import BankConfig
from bank_node.training.outcome.watched_rows import require_windows
from protocol.errors import UsageError
from protocol.job import Job
from protocol.table import Table, read_table


def read_own_table(config: BankConfig, job: Job) -> Table:
    """The bank's table. Raises: UsageError, DataError."""
    data = config.data
    if job.split.kind == "column" and data.part != job.split.column:
        data = data.model_copy(update={"part": job.split.column})
    if job.early_warning:
        data = data.model_copy(update={"dates": job.early_warning.columns})
    if job.offsets:
        features = None if data.columns is None else tuple(c for c in data.columns if c not in job.offsets)
        data = data.model_copy(update={"further_numbers": job.offsets, "columns": features})
    if not data.label:
        raise UsageError(config.party, "its node.toml names no label column", "set [data] label")
    if bool(data.as_of) != bool(job.data.as_of):
        raise UsageError(config.party, "its node.toml and the job differ about as_of", "set it in both, or in neither")
    if config.grid and job.data.grid and config.grid != job.data.grid:
        raise UsageError(config.party, "its node.toml and the job differ about period, first or last", "set them alike")
    spec = data.model_copy(update={"task": job.task})
    table = read_table(data.source, spec, config.party, segments=job.report.segments)
    for model in job.models:
        family_of(model.kind).validate(model, table)
    require_windows(job, table)
    return table

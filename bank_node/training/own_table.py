"""The bank's own table, as its settings and the job have it."""

from bank_node.family.objective import require_labels
from bank_node.models.offset import Offset, require_offset
from bank_node.settings.config import BankConfig
from bank_node.training.outcome.watched_rows import require_windows
from protocol.algorithms.glm_parameters import GlmParams
from protocol.errors import UsageError
from protocol.job import GlmModel, Job
from protocol.messages import F64
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
    assert table.label is not None
    for model in job.models:
        require_labels(model.params, table.label, config.party)
    _require_offsets(job, table)
    require_windows(job, table)
    return table


def offset_of(params: GlmParams, table: Table) -> tuple[Offset, F64] | None:
    """What a linear model takes without a coefficient, with its numbers, shape (n,)."""
    if not params.offset_column:
        return None
    return Offset(params.offset_column, bool(params.exposure)), table.numbers[params.offset_column]


def _require_offsets(job: Job, table: Table) -> None:
    """Raises: DataError: a row has no value that can be added."""
    for model in job.models:
        found = offset_of(model.params, table) if isinstance(model, GlmModel) else None
        if found:
            require_offset(*found, table.party)

"""The job: a scenario file, as `fedwarn run` and `bank-node train` read it. docs/scenario-file.md explains each key.

The job's digest names it in query labels. It leaves out engine, transport and paths, so that one job is the same
job on every engine and transport.
"""

from pathlib import Path
from typing import Any, Final

from pydantic import model_validator

from protocol.job import columns, sections
from protocol.job.fields import JobFields
from protocol.settings import check_settings, parse_toml, toml_of
from protocol.table import Source

CHECKS: Final = (
    sections.require_parties,
    sections.require_encoded,
    columns.require_columns,
    sections.require_dates,
    columns.require_grades,
    columns.require_directions,
    columns.require_names,
    sections.require_models,
    columns.require_stakes,
    columns.require_preparation,
    sections.require_objectives,
    sections.require_binning,
    sections.require_bands,
    sections.require_watched,
    sections.require_split,
    sections.require_reportable,
    sections.require_sources,
)


class Job(JobFields):
    """A whole scenario file, whose sections fit each other."""

    @model_validator(mode="after")
    def _consistent(self) -> "Job":
        """What no single key can tell: the first thing wrong is told."""
        for require in CHECKS:
            require(self)
        return self


def load_job(path: Path) -> Job:
    """Read a scenario file; its paths are taken relative to it. Raises: UsageError."""
    return _resolved(check_settings(Job, parse_toml(path), path.name), path)


def read_job(text: str, name: str) -> Job:
    """Read a scenario file's text, whose paths stay as they are written. Raises: UsageError."""
    return check_settings(Job, toml_of(text, name), name)


def _resolved(job: Job, path: Path) -> Job:
    def moved(source: Source | None) -> Source | None:
        return source and source.beside(path, Path())

    parties = {n: p.model_copy(update={"source": moved(p.source)}) for n, p in job.parties.items()}
    data = job.data.model_copy(update={"source": moved(job.data.source)})
    return job.model_copy(update={"data": data, "parties": parties})


def names_budgets(path: Path) -> bool:
    """Whether a scenario's [contract] names the equation budget, so that it is enforced on a dealt-out table."""
    contract: dict[str, Any] = parse_toml(path).get("contract", {})
    return "max_equations_share" in contract

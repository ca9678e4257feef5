"""The job, as both sides read it: its sections, its ladder, and what it asks of each partner."""

from protocol.job.data import JobData, JobParty, Split, Title
from protocol.job.family import JobModel
from protocol.job.fields import Run
from protocol.job.job import Job, load_job, names_budgets, read_job
from protocol.job.models import Binning, Selection
from protocol.job.report import Bands, EarlyWarning, ReportSettings

__all__ = [
    "Bands",
    "Binning",
    "EarlyWarning",
    "Job",
    "JobData",
    "JobModel",
    "JobParty",
    "ReportSettings",
    "Run",
    "Selection",
    "Split",
    "Title",
    "load_job",
    "names_budgets",
    "read_job",
]

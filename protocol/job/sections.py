"""Sections that must fit each other: what no single key of a job can tell."""

import unicodedata
from typing import Final

from protocol.algorithms.binning import MAX_BIN
from protocol.errors import nearest
from protocol.job.families import FAMILIES
from protocol.job.fields import JobFields

MOST_PARTNERS: Final = 40


def require_parties(job: JobFields) -> None:
    """Each has a name, one of them has the labels, and the partners are few enough."""
    if job.bank not in job.parties:
        raise ValueError(f"label_party {job.bank!r} is no party{nearest(job.bank, list(job.parties))}")
    for name in job.parties:
        if not name.strip() or any(unicodedata.category(letter) == "Cc" for letter in name):
            raise ValueError(f"the party {name!r} has a name that cannot be written on a page")
    if not 1 <= len(job.partners) <= MOST_PARTNERS:
        raise ValueError(f"there are {len(job.partners)} partners, and 1 to {MOST_PARTNERS} are supported")
    if job.run.split_rows == "node" and job.run.alignment != "shared":
        raise ValueError('run.split_rows "node" names rows to the partner, and needs run.alignment "shared"')


def require_dates(job: JobFields) -> None:
    """The grid of points in time is the job's, where partners are sent no dates."""
    data = job.data
    if data.wrong_grid():
        raise ValueError(f"data.{data.wrong_grid()}")
    if not data.as_of and (data.period or data.first or any(p.as_of for p in job.parties.values())):
        raise ValueError("dates of records, period, first and last belong to a job with data.as_of")
    if data.as_of and data.source is None and job.run.alignment == "one-sided" and data.grid is None:
        raise ValueError("a job with data.as_of and tables of the parties' own needs data.first and data.last")


def require_models(job: JobFields) -> None:
    """Each model's parameters fit the rest of the job, as its family says."""
    for model in job.models:
        model.require(job)


def require_encoded(job: JobFields) -> None:
    """A job that nodes train has columns: who deals a table out has made them of events before."""
    for name, party in job.parties.items():
        if party.encode:
            raise ValueError(
                f"parties.{name} has encode, which `fedwarn run` carries out; between companies the party runs "
                "`partner-node encode` and lists the columns of its file"
            )


def require_objectives(job: JobFields) -> None:
    """All models are judged by the same figures."""
    for key, told in (("task", "kind of label"), ("num_class", "num_class")):
        if len({getattr(model, key) for model in job.models}) > 1:
            raise ValueError(f"the models have not one {told}; give each its own scenario")


def require_binning(job: JobFields) -> None:
    """Bins have numbers that fit a byte, and a value is special or missing."""
    if not job.cutting.possible:
        raise ValueError(f"binning.max_bin is 2 or more, and {MAX_BIN} at most together with binning.special")
    for value in job.binning.special:
        if value in job.data.missing:
            raise ValueError(f"{value:g} is both in binning.special and in data.missing; leave it in one of them")


def require_bands(job: JobFields) -> None:
    """Bands need rows to find cut-offs on, and money where they go by it."""
    bands = job.bands
    if bands is None:
        return
    if job.task != "binary":
        raise ValueError("bands are of a label of 0 and 1")
    if job.split.kind != "column" and not job.split.validation:
        raise ValueError("bands need a validation part, on which cut-offs are found: set split.validation")
    if bands.rule == "expected-loss" and not job.data.amount:
        raise ValueError('bands.rule "expected-loss" needs data.amount')
    if bands.rule == "precision" and bands.amber >= bands.red:
        raise ValueError("bands.amber is a smaller share of bads than bands.red")
    if bands.rule != "precision" and bands.red + bands.amber > 1:
        raise ValueError("bands.red and bands.amber are shares, and leave nothing for green")


def require_watched(job: JobFields) -> None:
    """What is watched month by month is bads, and needs months."""
    if job.early_warning and job.task != "binary":
        raise ValueError("[early_warning] watches for bads, and needs an objective with a label of 0 and 1")
    if job.early_warning and not (job.data.time or job.data.as_of):
        raise ValueError("[early_warning] goes month by month, and needs data.as_of, or data.time")


def require_split(job: JobFields) -> None:
    """The parts can be told apart, and leave rows to train on."""
    split, dated = job.split, bool(job.data.time or job.data.as_of)
    if split.kind == "column" and not split.column:
        raise ValueError('split.kind "column" needs split.column')
    if split.folds == 1:
        raise ValueError("split.folds is 0, or 2 and more")
    if split.repeats > 1 and not split.folds:
        raise ValueError("split.repeats is how often the training rows are cut into split.folds: set both")
    if split.folds and not any(model.FOLDS for model in job.models):
        able = " or ".join(f'"{kind}"' for kind, family in FAMILIES.items() if family.FOLDS)
        raise ValueError(f"split.folds are of models of kind {able}, and there is none")
    if split.kind == "time" and not dated:
        raise ValueError('split.kind "time" needs data.time, or data.as_of')
    if split.kind != "time" and split.embargo:
        raise ValueError('split.embargo belongs to split.kind "time"')
    if split.kind != "column" and split.test + split.validation >= 1:
        raise ValueError("split.test and split.validation leave no rows to train on")


def require_reportable(job: JobFields) -> None:
    """The report has goods and bads to count, and rates that are shares."""
    if job.report.bin_tables and job.task != "binary":
        raise ValueError("report.bin_tables count goods and bads, and need an objective with a label of 0 and 1")
    if not all(0 < rate < 1 for rate in job.report.alert_rates):
        raise ValueError("report.alert_rates lie between 0 and 1")


def require_sources(job: JobFields) -> None:
    """Every party has a table: its own, or its share of the one that is dealt out."""
    for party in job.parties.values():
        if party.source is None and job.data.source is None:
            raise ValueError("there is neither data.source nor a source under every party")

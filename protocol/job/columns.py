"""Whose columns are whose: what a job says of columns, held against what the parties have."""

from protocol.algorithms.binning import wrong_names
from protocol.errors import nearest
from protocol.job.data import ALL_COLUMNS
from protocol.job.family import require_own
from protocol.job.fields import JobFields
from protocol.settings.preparation import MOST_FREQUENT, REST, Preparation


def require_columns(job: JobFields) -> None:
    """A column is one party's feature, once; and what splits figures up is not a partner's."""
    _require_label_alone(job)
    owner: dict[str, str] = {}
    for name, party in job.parties.items():
        if not party.columns and name != job.bank:
            raise ValueError(f"{name} has no columns, and a partner needs one; only {job.bank} may hold labels alone")
        for column in party.columns:
            dealt = party.source is None
            if column in (job.special if dealt or name == job.bank else _naming(job, name)):
                thing = "id, label, time, as_of, weight, amount, split, event, vintage or offset"
                raise ValueError(f"column {column!r} of {name} is {thing}, no feature")
            if column == ALL_COLUMNS:  # of every party's own table, which are different columns
                continue
            if dealt and owner.setdefault(column, name) != name:
                raise ValueError(f"column {column!r} is given to two parties, {owner[column]} and {name}")
            if party.columns.count(column) > 1:
                raise ValueError(f"column {column!r} is given to {name} twice")
    for column in job.report.segments:
        if column in job.special or owner.get(column, job.bank) != job.bank:
            raise ValueError(f"report.segments has {column!r}, which is a partner's, or the id, label or the like")
        if job.report.segments.count(column) > 1:
            raise ValueError(f"report.segments has {column!r} twice")


def _naming(job: JobFields, name: str) -> tuple[str, ...]:
    """The columns by which a party's own table names its rows; all other names are free there, also the label's."""
    party = job.parties[name]
    return (*(party.id or job.data.id), *([party.as_of or job.data.as_of] if job.data.as_of else []))


def _require_label_alone(job: JobFields) -> None:
    """What is predicted is nothing else besides."""
    data, label = job.data, job.data.label
    others = {"weight": data.weight, "amount": data.amount, "time": data.time, "as_of": data.as_of}
    others |= {"split.column": job.split.column, **{f"id {column!r}": column for column in data.id}}
    for key, column in others.items():
        if column == label:
            raise ValueError(f"column {label!r} is the label, and {key} too; name another")


def require_grades(job: JobFields) -> None:
    """A column of grades is a column of some party."""
    given = [column for party in job.parties.values() for column in party.columns]
    for column in job.data.ordered:
        if column not in given and ALL_COLUMNS not in given:
            raise ValueError(f"data.ordered names {column!r}, which is no party's column{nearest(column, given)}")


def require_directions(job: JobFields) -> None:
    """Each party declares the directions of its own columns, and of no other's."""
    for name, party in job.parties.items():
        for column in party.monotone:
            if name == job.bank:
                raise ValueError("the bank's directions stand in monotone_constraints, under a model's params")
            require_own(job, name, column, "monotone")


def require_names(job: JobFields) -> None:
    """Each party names its own columns, each by another name."""
    for name, party in job.parties.items():
        for column in party.names:
            require_own(job, name, column, "names")
        if wrong_names(party.names):
            raise ValueError(f"names of {name} {wrong_names(party.names)}")
        if party.tell_bins and name == job.bank:
            raise ValueError("tell_bins is for partners: the bank's own bins are shown")
        for column in party.tell_bins:
            if column not in party.names:
                raise ValueError(f"tell_bins of {name} has {column!r}, which its names give no name")


def require_preparation(job: JobFields) -> None:
    """What is declared is of columns there are, and of a model that takes columns as numbers."""
    prepares = [name for name, party in job.parties.items() if party.prepare]
    said = job.preparation != Preparation()
    numeric = any(model.takes_numbers for model in job.models)
    if (prepares or said) and not numeric:
        where = "[preparation]" if said else f"prepare of {prepares[0]}"
        raise ValueError(f'{where} is of models of kind "glm" with encoding "numeric", and there is none')
    if job.preparation.reference not in (None, MOST_FREQUENT, REST):
        raise ValueError(f'preparation.reference is "{MOST_FREQUENT}" or "{REST}"; a category is of one column')
    for name in prepares:
        for column in job.parties[name].prepare:
            require_own(job, name, column, "prepare")


def require_stakes(job: JobFields) -> None:
    """Prices and families are of partners, and families of their columns, each in one at most."""
    for name in (*job.value.prices, *job.value.families):
        if name not in job.partners:
            raise ValueError(f"value names {name!r}, which is no partner{nearest(name, list(job.partners))}")
    for party, families in job.value.families.items():
        columns = [column for family in families.values() for column in family]
        for column in columns:
            require_own(job, party, column, "value.families")
        if len(set(columns)) < len(columns):
            raise ValueError(f"value.families of {party} name a column twice")

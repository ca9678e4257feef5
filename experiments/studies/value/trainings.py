"""The trainings behind a value: one job over the ladder of all coalitions, and one a family of columns left out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bank_node.metrics.score_files import read_scores
from bank_node.metrics.scores import Key, Scored
from bank_node.record.facts import RunFacts, read_facts
from experiments.run.launch import Progress
from experiments.run.rerun import Finished, train_again
from experiments.studies.value.shapley import Coalition
from protocol.files import folder_name
from protocol.job import Job
from protocol.messages import F64

Families = dict[str, dict[str, tuple[str, ...]]]
"""By partner: groups of its columns, by name."""
FamilyJobs = dict[tuple[str, str], Job]
"""A training a family, of all parties without it, by partner and family."""
_MOST_FAMILIES = 12


def coalition_job(job: Job, wanted: Sequence[Coalition]) -> Job:
    """The job's first model on every coalition, without placebo, folds and bin tables."""
    ladder = tuple((job.bank, *(p for p in job.partners if p in coalition)) for coalition in wanted)
    return job.model_copy(
        update={
            "models": job.models[:1],
            "run": job.run.model_copy(update={"ladder": ladder}),
            "report": job.report.model_copy(update={"placebo": False, "bin_tables": False}),
            "split": job.split.model_copy(update={"folds": 0, "repeats": 1}),
        }
    )


def train_coalitions(
    run: Finished, wanted: Sequence[Coalition], out: Path, progress: Progress
) -> tuple[Path, dict[Coalition, Key]]:
    """The folder with every coalition's scores, and their keys; the run's own, where its ladder has them all."""
    known = _keys(read_facts(run.folder), run.job)
    if set(wanted) <= set(known):
        return run.folder, {coalition: known[coalition] for coalition in wanted}
    keys = _keys(train_again(run, coalition_job(run.job, wanted), out, progress), run.job)
    return out, {coalition: keys[coalition] for coalition in wanted}


def families_of(job: Job) -> Families:
    """As the scenario declares them, or by the letters that a partner's columns begin with, where these part them."""
    found: Families = {}
    for partner in job.partners:
        columns = job.parties[partner].columns
        declared = job.value.families.get(partner)
        groups = dict(declared) if declared else _by_letters(columns)
        rest = tuple(c for c in columns if not any(c in own for own in groups.values()))
        if declared and rest:
            groups["others"] = rest
        if 1 < len(groups) <= _MOST_FAMILIES:
            found[partner] = groups
    return found


def family_jobs(job: Job, families: Families) -> FamilyJobs:
    """The job without each of these."""
    return {
        (partner, name): _without(job, partner, left_out)
        for partner, groups in families.items()
        for name, left_out in groups.items()
    }


def train_without(run: Finished, jobs: FamilyJobs, out: Path, progress: Progress) -> dict[tuple[str, str], F64]:
    """Scores of the test rows by all parties without one family, in tie order, by partner and family."""
    found = {}
    for (partner, name), job in jobs.items():
        folder = out / f"{folder_name(partner)}-{folder_name(name)}"
        facts = train_again(run, job, folder, progress)
        key = _keys(facts, job)[frozenset(job.partners)]
        found[partner, name] = read_scores(folder, [key]).scores[key]
    return found


def with_more(scored: Scored, scores: Mapping[Key, F64]) -> Scored:
    """The same rows under further scores."""
    more = {**scored.scores, **scores}
    return replace(scored, scores=more, absent={}, in_time=None, folds={}, validation=None)


def _without(job: Job, partner: str, left_out: Sequence[str]) -> Job:
    party = job.parties[partner]
    kept = tuple(c for c in party.columns if c not in left_out)
    monotone = {c: way for c, way in party.monotone.items() if c in kept}
    prepare = {c: own for c, own in party.prepare.items() if c in kept}
    update: dict[str, Any] = {"columns": kept, "monotone": monotone, "prepare": prepare}
    changed = job.model_copy(update={"parties": {**job.parties, partner: party.model_copy(update=update)}})
    return coalition_job(changed, [frozenset(job.partners)])


def _keys(facts: RunFacts, job: Job) -> dict[Coalition, Key]:
    """The keys of the first model's rungs, by coalition."""
    model = facts.rungs[0].model
    own = [rung for rung in facts.rungs if rung.model == model and not rung.placebo]
    return {frozenset(rung.parties) - {job.bank}: (rung.name, rung.model) for rung in own}


def _by_letters(columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, list[str]] = {}
    for column in columns:
        found = re.match(r"[^\W\d_]+", column)
        groups.setdefault(found[0] if found else column, []).append(column)
    return {name: tuple(own) for name, own in groups.items()}

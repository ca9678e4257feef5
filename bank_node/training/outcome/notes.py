"""Warnings and notes of a run: what a reader of its report must know first."""

from collections.abc import Sequence
from typing import Final

from bank_node.families.catalogue import family_in, family_of
from bank_node.family.fitted import Fitted
from bank_node.family.training import TrainedRung, Training
from bank_node.record.facts import ReadingFacts, Text
from bank_node.record.messages import say
from protocol.contract import Contract
from protocol.table.notes import Note

SMALL_SAMPLE: Final = 10_000
"""Rows below which the default noise costs accuracy: 0.008 of AUC at 3,000 rows, 0.046 at 1,000."""


def warnings(training: Training) -> list[Text]:
    """What opens the page."""
    noise = max((c.histogram_noise for c in training.sessions.contracts.values()), default=0.0)
    noise = noise if any(model.NOISY for model in training.job.models) else 0.0
    rows = int((training.parts == "train").sum())
    small = [say("run_small_sample", rows=f"{rows:,}", noise=f"{noise:g}")] if noise and rows < SMALL_SAMPLE else []
    table = training.table
    unique = [say("run_mostly_unique", party=table.party, column=repr(c)) for c in table.mostly_unique]
    return [*_kept_out(training), *_of_families(training), *unique, *small, *_half_spents(training)]


def _kept_out(training: Training) -> list[Text]:
    """One warning a partner, model and clause, for all rungs."""
    found: dict[tuple[str, str, str], None] = {}
    for trained in (t for t in training.rungs if not t.rung.placebo):
        kept_out = family_in(training, trained.model).kept_out(training, trained)
        found |= {(p, trained.model, clause): None for p, clause in kept_out.items()}
    contracts = training.sessions.contracts
    return [
        say(f"run_kept_out_by_{clause}", party=party, model=model, value=f"{contracts[party].clauses[clause]:g}")
        for party, model, clause in found
    ]


def reading_facts(reading: Sequence[Note]) -> list[ReadingFacts]:
    """Notes on a table, in both languages of the report."""
    return [
        ReadingFacts(column=n.column, rule=n.rule, rows=n.rows, text=say(f"reading_{n.rule}", **n.values))
        for n in reading
    ]


def _of_families(training: Training) -> list[Text]:
    """What each family says of its rungs."""
    real = [trained for trained in training.rungs if not trained.rung.placebo]
    found = []
    for kind in dict.fromkeys(model.kind for model in training.job.models):
        rungs = [trained for trained in real if training.job.model(trained.model).kind == kind]
        found += family_of(kind).warnings(training, rungs)
    return found


def _half_spents(training: Training) -> list[Text]:
    return [_half_spent(training, p) for p in training.alignments if _is_half_spent(training, p)]


def notes(training: Training) -> list[Text]:
    """What stands under the headline."""
    out = [say("run_refit")] if training.refitted else []
    for partner, welcome in training.sessions.welcomes.items():
        if welcome.noise_key.startswith("derived"):
            out.append(say("run_derived_noise", party=partner))
        if welcome.equation_budget == "counted" and not training.refitted:
            out.append(_would_refuse(training, partner))
    return out


def _rungs_of(training: Training, partner: str) -> list[TrainedRung[Fitted]]:
    return [trained for trained in training.rungs if partner in trained.rung.partners]


def _is_half_spent(training: Training, partner: str) -> bool:
    rungs = _rungs_of(training, partner)
    if not rungs:  # a refit leaves out a partner whose contract is over
        return False
    last = rungs[-1].spent[partner]
    enforced = training.sessions.welcomes[partner].equation_budget == "enforced"
    return enforced and last.equations > last.equations_limit / 2


def _half_spent(training: Training, partner: str) -> Text:
    last = _rungs_of(training, partner)[-1].spent[partner]
    return say("run_half_spent", party=partner, spent=f"{last.equations:,}", limit=f"{last.equations_limit:,}")


def _would_refuse(training: Training, partner: str) -> Text:
    """After how many trees a real partner, at the default contract, would have refused."""
    fitted, rungs = training.fitted_rows(partner), _rungs_of(training, partner)
    share = Contract().max_equations_share
    grown = [family_in(training, trained.model).trees(trained.fitted) for trained in rungs]
    if None in grown:
        spent, limit = rungs[-1].spent[partner].equations, int(share * fitted)
        key = "run_would_answer_all" if spent <= limit else "run_would_refuse_all"
        return say(key, party=partner, share=f"{share:g}", spent=f"{spent:,}", limit=f"{limit:,}")
    trees = sum(one.encrypted for one in grown if one)
    equations_a_tree = rungs[-1].spent[partner].equations / max(1, trees)
    fit = int(share * fitted / equations_a_tree) if equations_a_tree else trees
    if fit >= trees:
        return say("run_would_answer", party=partner, share=f"{share:g}", trees=trees)
    return say("run_would_refuse", party=partner, share=f"{share:g}", fit=fit, trees=trees)

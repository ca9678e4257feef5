"""Warnings and notes of a run: what a reader of its report must know first."""

from collections.abc import Sequence
from typing import Final

from bank_node.linear.inference import reasons_of
from bank_node.record.facts import ReadingFacts, Text
from bank_node.record.messages import say
from bank_node.training.training import TrainedRung, Training
from bank_node.trees.target_leakage import together
from bank_node.trees.task import Boosted
from protocol.contract import Contract
from protocol.job import linear_params
from protocol.table.notes import Note

SMALL_SAMPLE: Final = 10_000
"""Rows below which the default noise costs accuracy: 0.008 of AUC at 3,000 rows, 0.046 at 1,000."""


def warnings(training: Training) -> list[Text]:
    """What opens the page."""
    noise = max((c.histogram_noise for c in training.sessions.contracts.values()), default=0.0)
    noise = noise if training.job.boosting_models else 0.0  # no other sums carry any
    rows = int((training.parts == "train").sum())
    small = [say("run_small_sample", rows=f"{rows:,}", noise=f"{noise:g}")] if noise and rows < SMALL_SAMPLE else []
    table = training.table
    unique = [say("run_mostly_unique", party=table.party, column=repr(c)) for c in table.mostly_unique]
    return [*_kept_out(training), *_disguised(training), *unique, *small, *_half_spents(training)]


def kept_out(training: Training, trained: TrainedRung) -> dict[str, str]:
    """The partners of whom a model has nothing because a clause admitted nothing, and the clause."""
    if isinstance(trained.fitted, Boosted):
        return dict.fromkeys(trained.fitted.kept_out, "max_information_share")
    params = linear_params(training.job.model(trained.model))
    assert params is not None
    owners = ["", *(training.table.party for _ in trained.fitted.model.own)]
    owners += [party for party in trained.fitted.model.parties[1:] for _ in trained.fitted.model.of(party)]
    few = [p for p, why in zip(owners, reasons_of(trained.fitted, params), strict=True) if why == "few"]
    return dict.fromkeys(few, "min_glm_columns")


def _kept_out(training: Training) -> list[Text]:
    """One warning a partner, model and clause, for all rungs."""
    found: dict[tuple[str, str, str], None] = {}
    for trained in (t for t in training.rungs if not t.rung.placebo):
        found |= {(p, trained.model, clause): None for p, clause in kept_out(training, trained).items()}
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


def _disguised(training: Training) -> list[Text]:
    """Columns that may be the label; a partner's by its number, since the bank does not know its name."""
    trees = [t.fitted for t in training.rungs if isinstance(t.fitted, Boosted) and not t.rung.placebo]
    bank, found = training.table.party, together([fitted.leaking_columns for fitted in trees])
    names = [c.name for c in training.table.columns if c.name not in training.dropped.get(bank, ())]
    out = []
    for s in found:
        column = repr(names[s.number]) if s.party == bank else f"column {s.number + 1}"
        out.append(say("run_disguised_label", party=s.party, column=column, auc=f"{s.auc:.3f}"))
    return out


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


def _rungs_of(training: Training, partner: str) -> list[TrainedRung]:
    return [trained for trained in training.rungs if partner in trained.rung.partners]


def _is_half_spent(training: Training, partner: str) -> bool:
    last = _rungs_of(training, partner)[-1].spent[partner]
    enforced = training.sessions.welcomes[partner].equation_budget == "enforced"
    return enforced and last.equations > last.equations_limit / 2


def _half_spent(training: Training, partner: str) -> Text:
    last = _rungs_of(training, partner)[-1].spent[partner]
    return say("run_half_spent", party=partner, spent=f"{last.equations:,}", limit=f"{last.equations_limit:,}")


def _would_refuse(training: Training, partner: str) -> Text:
    """After how many trees a real partner, at the default contract, would have refused."""
    fitted, rungs = training.fitted_rows(partner), _rungs_of(training, partner)
    share = Contract().max_equations_share
    if not all(isinstance(trained.fitted, Boosted) for trained in rungs):
        spent, limit = rungs[-1].spent[partner].equations, int(share * fitted)
        key = "run_would_answer_all" if spent <= limit else "run_would_refuse_all"
        return say(key, party=partner, share=f"{share:g}", spent=f"{spent:,}", limit=f"{limit:,}")
    trees = sum(trained.fitted.encrypted_trees for trained in rungs if isinstance(trained.fitted, Boosted))
    equations_a_tree = rungs[-1].spent[partner].equations / max(1, trees)
    fit = int(share * fitted / equations_a_tree) if equations_a_tree else trees
    if fit >= trees:
        return say("run_would_answer", party=partner, share=f"{share:g}", trees=trees)
    return say("run_would_refuse", party=partner, share=f"{share:g}", fit=fit, trees=trees)

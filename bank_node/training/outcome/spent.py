"""What partners gave away in a run, and what is spent of their budgets."""

from bank_node.families.catalogue import family_in
from bank_node.family.fitted import Fitted
from bank_node.family.training import TrainedRung, Training
from bank_node.record.facts import Budget, Leakage
from protocol.he.noise import zcdp


def leakage(training: Training, trained: TrainedRung[Fitted], partner: str) -> Leakage:
    """What a partner's answers gave away in a rung."""
    noise = training.sessions.contracts[partner].histogram_noise
    view = next(v for (p, _), v in training.views.items() if p == partner)
    noisy = noise and training.job.model(trained.model).NOISY
    found = Leakage(
        queries=trained.fitted.queries,
        equations_share=trained.spent[partner].equations / max(1, training.fitted_rows(partner)),
        information_share=trained.information[partner],
        readable_share=trained.spent[partner].readable_share,
        zcdp=zcdp(trained.fitted.queries, len(view.columns), noise) if noisy else None,
    )
    return family_in(training, trained.model).disclosed(training, trained, partner, found)


def budgets(training: Training, partner: str) -> dict[str, Budget]:
    """What is spent of a partner's budgets at the end of a training, by clause."""
    contract = training.sessions.contracts[partner]
    last = [t for t in training.rungs if partner in t.rung.partners][-1]
    enforced = training.sessions.welcomes[partner].equation_budget == "enforced"
    return {
        "max_equations_share": Budget(
            limit=contract.max_equations_share,
            spent=last.spent[partner].equations / max(1, training.fitted_rows(partner)),
            enforced=enforced,
        ),
        "max_information_share": Budget(limit=contract.max_information_share, spent=last.information[partner]),
    }

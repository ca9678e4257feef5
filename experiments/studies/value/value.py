"""`fedwarn value`: from a finished run to what each of its partners is worth."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bank_node.metrics.intervals import Estimates, Uplift
from bank_node.metrics.money import money_of
from bank_node.metrics.score_files import read_scores
from bank_node.metrics.scores import Key, Scored
from bank_node.record.facts import RunFacts, Text, read_facts
from experiments.pages.render import card_page, value_page
from experiments.results.spending import announce
from experiments.run.launch import Progress
from experiments.run.rerun import Finished, finished
from experiments.studies.value.card import cards, write_card
from experiments.studies.value.document import METRICS, VALUE_FILE, CoalitionWorth, PartnerValue, Price, Value
from experiments.studies.value.shapley import (
    MOST_EXACT,
    Coalition,
    Weights,
    error_of_sampling,
    exact,
    orders,
    sampled,
)
from experiments.studies.value.trainings import (
    FamilyJobs,
    coalition_job,
    families_of,
    family_jobs,
    train_coalitions,
    train_without,
    with_more,
)
from protocol.errors import UsageError
from protocol.files import write_whole
from protocol.job import Job
from protocol.job.stakes import Stakes

PAGE_FILE = "value.html"
NOBODY: Coalition = frozenset()


@dataclass(frozen=True)
class Game:
    """What is played: the weights of every partner's value, and the orders sampled, none where it is exact."""

    weights: dict[str, Weights]
    orders: list[tuple[str, ...]]

    @property
    def wanted(self) -> list[Coalition]:
        """Coalitions to train, the smallest first."""
        needed = {coalition for weights in self.weights.values() for coalition in weights}
        return sorted(needed, key=lambda c: (len(c), sorted(c)))


def value(folder: Path, prices: Mapping[str, float], sample: int, families: bool, progress: Progress) -> Value:
    """Value the partners of a finished run: value.json and value.html in its folder value/, a card in each partner's.

    prices: beside the scenario's. sample: orders that are sampled, 0 for all coalitions up to six partners.
    families: whether groups of columns are valued, too: a training each.
    Raises: UsageError: no run of a 0/1 label with its nodes. RefusedError: it does not fit into a partner's budget.
    """
    run, facts = finished(folder), read_facts(folder)
    if facts.task != "binary":
        raise UsageError("value", f"the label of {folder.name} is not 0 or 1", "value a run with goods and bads")
    stakes = _stakes(run.job, prices)
    game = _game(run, sample)
    left_out = family_jobs(run.job, families_of(run.job)) if families else {}
    _budget(run, facts, game.wanted, left_out)
    place, keys = train_coalitions(run, game.wanted, folder / "value" / "coalitions", progress)
    without = train_without(run, left_out, folder / "value" / "families", progress)
    scored = read_scores(place, list(keys.values()), dated=facts.dated)
    more = {(f"without {p}: {name}", ""): score for (p, name), score in without.items()}
    estimates = _estimates(with_more(scored, more), facts, stakes)
    found = _value(run, facts, game, keys, estimates, stakes, len(scored.label), list(without))
    (folder / "value").mkdir(exist_ok=True)
    write_whole(folder / "value" / VALUE_FILE, found.to_json().encode(), 0o644)
    write_whole(folder / "value" / PAGE_FILE, value_page(found).encode(), 0o644)
    for partner, card in cards(run).items():
        write_card(card, run.parties[partner].folder, card_page(card, found.title, found.synthetic))
    return found


def _stakes(job: Job, prices: Mapping[str, float]) -> Stakes:
    for partner in prices:
        if partner not in job.partners:
            raise UsageError("value", f"{partner!r} has a price, and is no partner", f"name {', '.join(job.partners)}")
    return job.value.model_copy(update={"prices": {**job.value.prices, **prices}})


def _game(run: Finished, sample: int) -> Game:
    partners = run.job.partners
    if not sample and len(partners) <= MOST_EXACT:
        return Game(exact(partners), [])
    chosen = orders(partners, sample or 2 * len(partners), run.job.run.seed)
    return Game(sampled(chosen), chosen)


def _budget(run: Finished, facts: RunFacts, wanted: list[Coalition], left_out: FamilyJobs) -> None:
    """Say what all trainings would spend; partners that enforce their budget are not asked for more."""
    more = f" and without {len(left_out)} groups of columns" if left_out else ""
    jobs, rows = [coalition_job(run.job, wanted), *left_out.values()], facts.data.parties[run.job.bank].held
    announce(jobs, rows, f"training {len(wanted)} coalitions{more}", run.enforced)


def _estimates(scored: Scored, facts: RunFacts, stakes: Stakes) -> Estimates:
    """Points and draws of AUC, KS and money."""
    found = Estimates.of(scored, [stakes.alert_rate], facts.bootstrap, facts.seed)
    for key, (point, draws) in money_of(scored, stakes, facts.bootstrap, facts.seed).items():
        found.points[key]["money"], found.draws[key]["money"] = point, draws
    return found


def _value(
    run: Finished, facts: RunFacts, game: Game, keys: Mapping[Coalition, Key], estimates: Estimates, stakes: Stakes,
    test: int, without: list[tuple[str, str]],
) -> Value:  # fmt: skip
    everyone = frozenset(run.job.partners)
    partners = {}
    for partner in run.job.partners:
        shapley = _contrasts(estimates, {keys[c]: w for c, w in game.weights[partner].items()})
        alone, last = frozenset({partner}), everyone - {partner}
        worth = {m: {c: estimates.points[k][m] for c, k in keys.items()} for m in METRICS}
        partners[partner] = PartnerValue(
            shapley=shapley,
            alone=_difference(estimates, keys, alone, NOBODY),
            last=_difference(estimates, keys, everyone, last),
            sampling_error={
                m: error_of_sampling(game.orders, worth[m], partner) if game.orders else 0 for m in METRICS
            },
            families={
                name: _contrasts(estimates, {keys[everyone]: 1.0, (f"without {p}: {name}", ""): -1.0})
                for p, name in without
                if p == partner
            },
            price=_price(stakes.prices[partner], shapley["money"]) if partner in stakes.prices else None,
        )
    return Value(
        schema=1,
        name=facts.name,
        title=Text(en=facts.title.en, zh=facts.title.zh),
        synthetic=facts.synthetic,
        engine=facts.engine,
        bank=run.job.bank,
        model=facts.rungs[0].model,
        method="sampled" if game.orders else "exact",
        trained=len(keys),
        test=test,
        stakes=stakes,
        total=_contrasts(estimates, {keys[everyone]: 1.0, keys[NOBODY]: -1.0}),
        partners=partners,
        coalitions=[
            CoalitionWorth(
                partners=[p for p in run.job.partners if p in coalition],
                worth={m: estimates.points[key][m] for m in METRICS},
            )
            for coalition, key in keys.items()
        ],
        job_sha256=facts.job_sha256,
    )


def _contrasts(estimates: Estimates, weights: Mapping[Key, float]) -> dict[str, Uplift]:
    return {metric: estimates.contrast(weights, metric) for metric in METRICS}


def _difference(
    estimates: Estimates, keys: Mapping[Coalition, Key], one: Coalition, other: Coalition
) -> dict[str, Uplift]:
    """Empty where sampling has not met one of them."""
    return _contrasts(estimates, {keys[one]: 1.0, keys[other]: -1.0}) if one in keys and other in keys else {}


def _price(price: float, brings: Uplift) -> Price:
    low, high = brings.low - price, brings.high - price
    verdict = "worth_price" if low > 0 else "not_worth_price" if high < 0 else "not_shown"
    return Price(price=price, net=brings.value - price, low=low, high=high, verdict=verdict)

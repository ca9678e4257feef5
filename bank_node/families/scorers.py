"""Scoring by a model of any family."""

from bank_node.families.catalogue import FAMILIES
from bank_node.family.scorer import AllAnswers, Part, Scorer, told_at
from bank_node.models.canonical import Model

__all__ = ["AllAnswers", "Part", "Scorer", "scorer_of", "told_at"]


def scorer_of(model: Model) -> Scorer:
    """How a model is scored: as the families score whose models are stored in its form."""
    return next(family.scorer(model) for family in FAMILIES.values() if isinstance(model, family.stored))

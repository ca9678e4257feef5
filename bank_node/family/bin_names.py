"""What bins are called in reports, of the bank's columns and of partners', and what a partner's column is called."""

from collections.abc import Sequence

import numpy as np

from protocol.algorithms.binning import ColumnShape, NumberRule, Rule
from protocol.messages import I64

MISSING, NOT_HELD = "missing", "not held"


def name_of(shape: ColumnShape) -> str:
    """What a partner's column is called: by the name that it tells, or by number."""
    return shape.name or f"column {shape.number + 1}"


def names_of_rule(rule: Rule, groups: I64) -> list[str]:
    """What is in each joined bin of the bank's own: an interval, categories, a special value, missing, not held.

    groups: joined bin of each fine one, shape (k,).
    """
    if isinstance(rule, NumberRule):
        special = [f"= {value:g}" for value in rule.special]
        cuts = [f"{cut:g}" for cut in rule.cuts]
        runs = [(at[0], at[-1] + 1) for at in _members(groups, rule.ordered)]
        runs = [(rule.ordered - b, rule.ordered - a) for a, b in runs] if rule.descending else runs
        named = [_interval(["", *cuts, ""], a, b) for a, b in runs]
        return _with_others(named, special, rule.missing, groups)
    named = [", ".join(c for b in at for c in rule.groups[b]) for at in _members(groups, rule.ordinary)]
    return _with_others(named, [], rule.missing, groups)


def names_of_shape(shape: ColumnShape, groups: I64) -> list[str]:
    """What is in each joined bin of a partner's column: as it tells, or numbers of fine bins."""
    if shape.rule is not None:
        return names_of_rule(shape.rule, groups)
    special = [f"special value {k + 1}" for k in range(shape.special)]
    named = [_numbers(at) for at in _members(groups, shape.ordinary - shape.special)]
    return _with_others(named, special, shape.missing, groups)


def _interval(ends: Sequence[str], a: int, b: int) -> str:
    """From one end to another, of which the outer ones are no numbers."""
    if not ends[a] and not ends[b]:
        return "any number"
    if not ends[a]:
        return f"x < {ends[b]}"
    return f"{ends[a]} ≤ x < {ends[b]}" if ends[b] else f"x ≥ {ends[a]}"


def _members(groups: I64, ordered: int) -> list[list[int]]:
    """The fine bins in each joined bin of the ordered ones."""
    return [np.flatnonzero(groups[:ordered] == g).tolist() for g in range(int(groups[:ordered].max()) + 1)]


def _with_others(named: list[str], special: list[str], missing: bool, groups: I64) -> list[str]:
    names = [*named, *special, *([MISSING] if missing else [])]
    return [*names, *[NOT_HELD] * (int(groups.max()) + 1 - len(names))]


def _numbers(bins: list[int]) -> str:
    """bin 3; bins 3 to 5; bins 1, 4."""
    names = [str(b + 1) for b in bins]
    if len(names) == 1:
        return f"bin {names[0]}"
    run = bins[-1] - bins[0] == len(bins) - 1
    return f"bins {names[0]} to {names[-1]}" if run else f"bins {', '.join(names)}"

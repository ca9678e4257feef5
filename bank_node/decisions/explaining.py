"""Which columns make a row's margin what it is: shares that add up to it with the base, of a model of any kind.

| model | a share is |
|---|---|
| trees | the column's Shapley value (models/shap.py) |
| linear | the term less its mean over the rows trained on, which is its Shapley value if columns are independent |

A linear model's partners answer with the sum of their terms, so that each has one share.
"""

from collections.abc import Mapping

import numpy as np

from bank_node.families.scorers import Part
from bank_node.models.folder import ModelFolder
from bank_node.models.linear import LinearModel
from bank_node.trees.scorer import Told, sides_of
from bank_node.trees.shap import Contributions, contributions
from protocol.algorithms.glm import UNIT, VALUE
from protocol.messages import F64
from protocol.table import Column

ToldOf = Mapping[str, Told | Part]
"""What each partner has told of some rows."""


def explain(folder: ModelFolder, columns: Mapping[str, Column], told: ToldOf, rows: int) -> Contributions:
    """Of a model with one margin, trained with [bands]. columns, told: as in scoring, over the rows."""
    about, model = folder.about, folder.model
    assert isinstance(about.columns, dict)
    assert isinstance(about.baseline, dict)
    if isinstance(model, LinearModel):
        return _linear(model, about.columns, about.baseline, columns, told)
    bits = {party: part for party, part in told.items() if isinstance(part, Told)}
    return contributions(model, about.columns, sides_of(model, about.bank, columns, bits), rows)


def _linear(
    model: LinearModel, names: Mapping[str, tuple[str, ...]], baseline: Mapping[str, tuple[float, ...]],
    columns: Mapping[str, Column], told: ToldOf,
) -> Contributions:  # fmt: skip
    bank = model.parties[0]
    features = [(bank, name) for name in names[bank]]
    scores: list[F64] = [t.encode(columns[t.column]).astype(np.float64) * t.coefficient for t in model.own]
    means = list(baseline[bank])
    for party, part in told.items():
        assert isinstance(part, Part)
        features.append((party, ""))
        scores.append(part.score.astype(np.float64))
        means += baseline[party]
    unit = model.scale / UNIT
    shares = np.stack([(each - mean) * unit for each, mean in zip(scores, means, strict=True)], axis=1)
    return Contributions(tuple(features), shares, (model.intercept * VALUE + sum(means)) * unit)

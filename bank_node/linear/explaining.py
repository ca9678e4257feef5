"""What each term adds to a row's margin: less its mean, which is its Shapley value if columns are independent.

Partners answer with the sum of their terms, so that each has one share.
"""

from collections.abc import Mapping

import numpy as np

from bank_node.family.contributions import Contributions
from bank_node.family.scorer import Part, ToldOf
from bank_node.linear.scorer import linear_of
from bank_node.models.folder import ModelFolder
from protocol.algorithms.glm import UNIT, VALUE
from protocol.messages import F64
from protocol.table import Column


def explain_terms(folder: ModelFolder, columns: Mapping[str, Column], told: ToldOf) -> Contributions:
    """Of a model trained with [bands], whose folder names the bank's terms and has the mean of each party's."""
    model, names, baseline = linear_of(folder), folder.about.columns, folder.about.baseline
    assert isinstance(names, dict)
    assert isinstance(baseline, dict)
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

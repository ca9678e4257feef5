"""What a rung's scores would be without one of its partners: nothing is asked, the bank has all that it takes."""

import numpy as np
import numpy.typing as npt

from bank_node.family.objective import RESPONSES
from bank_node.linear.task import FittedGlm
from protocol.messages import F64


def absence_scores(fitted: FittedGlm, test: npt.NDArray[np.bool_]) -> dict[str, F64]:
    """Scores of the test rows of a linear model by the partner that is absent: as if it held no row.

    None where masks hide what each partner adds: rows are then scored with all of them, or by another rung's model.
    """
    if fitted.summed:
        return {}
    model, whole = fitted.model, fitted.parts[:, test].sum(axis=0)
    return {
        partner: RESPONSES[model.objective](model.margin(whole - fitted.parts[k, test] + model.not_held(partner)))
        for k, partner in enumerate(model.parties)
        if k
    }

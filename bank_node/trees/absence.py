"""What a rung's scores would be without one of its partners: nothing is asked, the bank has all that it takes.

The other partners' split bits are those that the training was told. With split_rows = "node" the bank was told the bits
of a node's rows alone; where a row comes to a split without its bit, it takes the default direction there too.
"""

from collections.abc import Mapping

import numpy as np

from bank_node.data.parts import Parts
from bank_node.family.scorer import Told
from bank_node.partners.partner_view import SPECIAL, UNTOLD, PartnerView
from bank_node.trees.scorer import absent, margins
from bank_node.trees.task import Boosted, Task
from protocol.algorithms.boosting import Split
from protocol.messages import F64, I64
from protocol.table import Table


def absence_scores(task: Task, boosted: Boosted, table: Table, parts: Parts) -> dict[str, F64]:
    """Scores of the test rows, shape (test rows,) or (test rows, classes), by the partner that is absent.

    Its splits take the default directions that they learnt.
    """
    test = parts == "test"
    rows = np.flatnonzero(test)
    columns = {column.name: column.rows(test) for column in table.columns}
    told = {view.name: told_of(view, boosted.handles[view.name], rows) for view in task.partners}
    return {
        partner: task.objective.predict(
            margins(boosted.model, task.bank, columns, _without(told, boosted, partner, len(rows)), len(rows))
        )
        for partner in told
    }


def _without(told: Mapping[str, Told], boosted: Boosted, partner: str, rows: int) -> dict[str, Told]:
    return {**told, partner: absent(boosted.model, partner, rows)}


def told_of(view: PartnerView, handles: tuple[Split, ...], rows: I64) -> Told:
    """Where some rows of the bank go at a model's handles of one partner, as far as the training was told."""
    sides = np.array([view.sides(split, rows) for split in handles], dtype=np.int8).reshape(len(handles), len(rows))
    sides[sides == UNTOLD] = SPECIAL
    return Told(sides)

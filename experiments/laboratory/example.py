"""Tables to begin with: made up, drawn by a seed, and small enough for a notebook."""

from typing import Any

import numpy as np

from protocol.draws import draw

Columns = dict[str, Any]


def example_loans(rows: int = 6000, seed: int = 7) -> dict[str, Columns]:
    """Loans that never were: columns by name, by party.

    The bank has the label `bad`; a telecom operator and a data bureau know nine tenths of its customers and as many
    strangers again as the last tenth. What they hold explains more of the label than what the bank holds. About one
    loan in five is bad; some values are missing.
    """
    random = draw(seed, "example")
    people = rows + rows // 10
    names = [f"C{k:06}" for k in random.permutation(people)]
    income, debt, calls, towers, loans, asked = random.standard_normal((6, people))
    handset = random.integers(0, 5, people)
    margin = 0.5 * debt - 0.5 * income + 0.7 * calls + 0.8 * loans + 0.5 * asked * (loans > 0) + 0.6 * (handset == 3)
    bad = (random.random(people) < 1 / (1 + np.exp(2.0 - margin))).astype(np.int64)
    towers[random.random(people) < 0.15] = np.nan
    brands = np.array([f"brand {k}" for k in handset], dtype=object)
    everything = {
        "bank": {"income": income, "debt_ratio": debt, "bad": bad},
        "telecom": {"night_calls": calls, "towers": towers, "handset": brands},
        "bureau": {"open_loans": np.round(2 * loans), "inquiries": np.round(2 * asked)},
    }
    ids = np.array(names, dtype=object)
    held = {"bank": np.arange(rows)}
    for partner in ("telecom", "bureau"):
        held[partner] = np.sort(random.permutation(people)[: rows - rows // 100 * 2])
    return {
        party: {"id": ids[held[party]], **{name: np.round(v, 3)[held[party]] if v.dtype.kind == "f" else v[held[party]]
                                           for name, v in columns.items()}}
        for party, columns in everything.items()
    }  # fmt: skip

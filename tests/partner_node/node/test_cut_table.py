"""The approved columns in bins: no bin is smaller than a side of a split may be, and the others stay out."""

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from partner_node.config import PartnerConfig
from partner_node.node.bins import cut_table
from protocol.algorithms.binning import Cutting
from protocol.contract import Contract
from protocol.errors import DataError
from protocol.settings import check_settings
from protocol.table import read_table
from protocol.table.table import Table


def made(folder: Path, rows: int, missing: float, skew: float) -> tuple[PartnerConfig, Table]:
    """A table of a skewed number with gaps, categories, a constant and one more number."""
    rng = np.random.default_rng(rows)
    lines = ["id,calls,brand,same,towers"]
    for k in range(rows):
        calls = "" if rng.random() < missing else f"{int(rng.exponential(skew) * 3)}"
        lines.append(f"C{k:05},{calls},b{min(rng.geometric(0.4), 9)},1,{rng.integers(0, 40)}")
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    source = {"kind": "csv", "path": path}
    values = {"party": "telecom", "bank": "bank", "state": folder / "state", "data": {"source": source, "id": ["id"]}}
    config = check_settings(PartnerConfig, {**values, "data": {**values["data"], "monotone": {"towers": -1}}}, "test")
    return config, read_table(config.data.source, config.data, "telecom")


@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(200, 900),
    missing=st.sampled_from([0.0, 0.004, 0.02, 0.4]),
    skew=st.floats(0.05, 30),
    side=st.sampled_from([0.0, 0.005, 0.05, 0.3]),
    special=st.sampled_from([(), (0.0, 3.0)]),
)
def test_every_bin_has_the_rows_of_a_side_of_a_split(tmp_path_factory, rows, missing, skew, side, special):
    config, table = made(tmp_path_factory.mktemp("cut"), rows, missing, skew)
    contract = Contract(min_rows_per_bin=7, min_split_side=side)
    try:
        binned = cut_table(config, table, Cutting(16, special=special), contract, None)
    except DataError:  # no column has two bins of so many rows
        assert side == 0.3
        return
    least = max(7, int(np.ceil(side * rows)))
    for j, shape in enumerate(binned.shapes):
        counts = np.bincount(binned.bins[:, j], minlength=shape.size)
        assert counts.min() >= least, (binned.names[j], counts)
        assert counts.sum() == rows


def test_columns_outside_the_approval_keep_their_numbers(tmp_path):
    config, table = made(tmp_path, 300, 0.1, 5.0)
    whole = cut_table(config, table, Cutting(8), Contract(), None)
    assert [c.name for c in table.columns] == ["calls", "brand", "same", "towers"]
    assert (whole.names, whole.numbers, whole.dropped) == (("calls", "brand", "towers"), (0, 1, 3), (2,))
    some = cut_table(config, table, Cutting(8), Contract(), ("towers", "same"))
    assert (some.names, some.numbers, some.dropped) == (("towers",), (3,), (2,))
    assert some.monotone == {0}
    np.testing.assert_array_equal(some.bins[:, 0], whole.bins[:, 2])
    none = cut_table(config, table, Cutting(8), Contract(), ("calls", "brand"))
    assert (none.numbers, none.dropped, none.monotone) == ((0, 1), (), frozenset())

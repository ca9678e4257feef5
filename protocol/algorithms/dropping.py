"""Why a column that is left with one bin is dropped, in words: for the party whose column it is, and for no other."""

import numpy as np

from protocol.table import Column


def why_dropped(column: Column, min_rows: int) -> str:
    """The rule that left a column with one bin, with its numbers of rows.

    column: over the rows that its bins were fitted on. min_rows: what a bin must have.
    """
    present = column.codes[column.codes >= 0] if column.kind == "category" else column.numbers
    present = present[~np.isnan(present)] if column.kind == "number" else present
    rows = len(column.codes) if column.kind == "category" else len(column.numbers)
    values, counts = np.unique(present, return_counts=True)
    least, missing = max(min_rows, 1), rows - present.size
    if not present.size:
        return f"empty: all {rows:,} rows are missing"
    if present.size < least:
        return f"too few rows: {present.size:,} of {rows:,} rows have a value, and a bin needs {least:,}"
    if len(values) == 1:
        gaps = f"; the {missing:,} missing rows are fewer than the {least:,} that a bin needs" if missing else ""
        return f"constant: one value in {present.size:,} of {rows:,} rows{gaps}"
    others = present.size - int(counts.max())
    return (
        f"one bin after joining: {others:,} of {rows:,} rows differ from the most frequent value, and no second bin "
        f"has the {least:,} rows that a bin needs"
    )

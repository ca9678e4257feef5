"""The size of a message's encoding, counted without encoding its arrays."""

import numpy as np
import pytest

from protocol.algorithms.agreement import Hello, terms
from protocol.algorithms.binning import Hint
from protocol.contract import Contract
from protocol.messages import Message, encode, encoded_size


@pytest.mark.parametrize("rows", [0, 1, 31, 32, 8191, 8192, 70_000])
def test_an_array_s_size_is_counted_on_both_sides_of_every_length_prefix(rows: int) -> None:
    """8 bytes a row: 248 and 256, 65,528 and 65,536."""
    message = Hint(hint=np.zeros((rows, 1), dtype=np.uint64))
    assert encoded_size(message) == len(encode(message)) > 8 * rows


def test_a_message_without_arrays_is_counted_as_it_is() -> None:
    message: Message = Hello(terms=terms("bank", "blind", "one-sided", "all", Contract()), job="0" * 64)
    assert encoded_size(message) == len(encode(message))

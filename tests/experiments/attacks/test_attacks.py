"""What a bank can take from opened sums, with and without the partner's noise. Run with -s to see the scores."""

from pathlib import Path

import pytest

from experiments.attacks import Score
from experiments.attacks.chosen_query import READ, chosen_query
from experiments.attacks.chosen_values import DECLARED_BITS, READ_VALUES, chosen_values
from experiments.attacks.reconstruction import reconstruction


def _shown(score: Score) -> Score:
    print(score)
    return score


def test_a_chosen_query_reads_a_row_a_bit_of_those_that_it_declares(tmp_path: Path) -> None:
    """A thousand rows of 1 at most need eleven bits, their sign among them; all higher ones are random."""
    assert _shown(chosen_query(0.0, 0, tmp_path / "honest")).advantage == pytest.approx(10 / READ)
    assert _shown(chosen_query(0.0, 0, tmp_path / "lie", tight=False)).found == 1.0


def test_a_chosen_vector_reads_the_digits_below_the_bits_of_a_regressions_declaration(tmp_path: Path) -> None:
    assert READ_VALUES == 20
    honest = _shown(chosen_values(tmp_path / "honest", rows=2000, columns=60))
    assert honest.advantage == pytest.approx(DECLARED_BITS / (3 * READ_VALUES), abs=0.05)
    assert _shown(chosen_values(tmp_path / "lie", tight=False)).found == 1.0


def test_noise_covers_what_the_bank_declares_and_a_lie_gets_round_it_where_bits_are_free(tmp_path: Path) -> None:
    honest = _shown(chosen_query(4.0, READ - 1, tmp_path / "honest"))
    lie = _shown(chosen_query(4.0, 0, tmp_path / "lie", tight=False))
    tight = _shown(chosen_query(4.0, 0, tmp_path / "tight"))
    assert honest.advantage == 0.0
    assert lie.found > (READ - 6) / READ
    assert tight.found < 10 / READ


def test_enough_exact_sums_are_every_row_of_a_bin(tmp_path: Path) -> None:
    assert _shown(reconstruction(0.3, 0.0, tmp_path, rows=600)).found == 1.0


def test_few_sums_are_not(tmp_path: Path) -> None:
    assert _shown(reconstruction(0.02, 0.0, tmp_path, rows=600)).found < 0.5


def test_noise_on_sums_takes_most_of_it_away(tmp_path: Path) -> None:
    assert _shown(reconstruction(0.3, 4.0, tmp_path, rows=600)).found < 0.4


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path) -> None:
    for name in ("honest", "lie", "tight"):
        (tmp_path / name).mkdir()

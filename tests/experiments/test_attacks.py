"""What a bank can take from opened sums, and a partner from the rows of nodes. Run with -s to see the scores."""

from pathlib import Path

import numpy as np
import pytest

from experiments.attacks import Score
from experiments.attacks.chosen_query import READ, chosen_query
from experiments.attacks.chosen_values import READ_VALUES, chosen_values
from experiments.attacks.known_labels import Overheard, known_labels
from experiments.attacks.reconstruction import reconstruction
from protocol.algorithms.parameters import BoostingParams
from protocol.draws import draw
from protocol.table import Column


def _shown(score: Score) -> Score:
    print(score)
    return score


def test_a_chosen_query_reads_a_row_a_bit_and_nothing_in_the_product_prevents_it(tmp_path: Path) -> None:
    assert _shown(chosen_query(0.0, 0, tmp_path)).found == 1.0


def test_a_chosen_vector_reads_twenty_rows_of_a_regressions_columns(tmp_path: Path) -> None:
    assert READ_VALUES == 20
    assert _shown(chosen_values(tmp_path)).found == 1.0


def test_noise_covers_what_the_bank_declares_and_a_lie_gets_round_it(tmp_path: Path) -> None:
    honest = _shown(chosen_query(4.0, READ - 1, tmp_path / "honest"))
    lie = _shown(chosen_query(4.0, 0, tmp_path / "lie"))
    assert honest.advantage == 0.0
    assert lie.found > (READ - 6) / READ


def test_enough_exact_sums_are_every_row_of_a_bin(tmp_path: Path) -> None:
    assert _shown(reconstruction(0.3, 0.0, tmp_path, rows=600)).found == 1.0


def test_few_sums_are_not(tmp_path: Path) -> None:
    assert _shown(reconstruction(0.02, 0.0, tmp_path, rows=600)).found < 0.5


def test_noise_on_sums_takes_most_of_it_away(tmp_path: Path) -> None:
    assert _shown(reconstruction(0.3, 4.0, tmp_path, rows=600)).found < 0.4


@pytest.mark.parametrize("split_rows", ["node", "all"])
def test_groups_of_rows_tell_a_partner_labels_that_its_own_columns_do_not(tmp_path: Path, split_rows: str) -> None:
    """The label follows a column of the bank's alone. A partner that is told no rows has no groups to learn from."""
    rows, generator = 2000, draw(3, "known labels")
    fact, noise = generator.normal(size=(2, rows))
    label = (generator.random(rows) < 1 / (1 + np.exp(-2 * fact))).astype(np.float64)
    bank, partner = [Column("b", "number", numbers=fact)], [Column("p", "number", numbers=noise)]
    lab = Overheard(label, bank, {"p": partner}, {"p": np.arange(rows)}, tmp_path, split_rows=split_rows)
    lab.train(BoostingParams(n_estimators=20))
    if split_rows == "all":
        assert not lab.groups
        return
    ranked = known_labels(lab, "p", known=300)
    print(ranked)
    assert ranked.own == pytest.approx(0.5, abs=0.05)
    assert ranked.told > 0.75


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path) -> None:
    for name in ("honest", "lie"):
        (tmp_path / name).mkdir()

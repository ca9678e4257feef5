"""`scores.csv`: what is read, in which order, and what is refused."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bank_node.metrics.score_files import read_scores
from protocol.errors import DataError, UsageError

KEYS = [("bank", "m"), ("all", "m")]
HEADER = "id,rung,model,part,label,score"


def _write(folder: Path, lines: Sequence[str], header: str = HEADER) -> None:
    (folder / "scores.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")


def _rows(score: str = "0.5", label: str = "1", ids: str = "abcd") -> list[str]:
    labels = {"a": label, "b": "0", "c": "1", "d": "0"}
    return [f"{i},{rung},m,test,{labels.get(i, '0')},{score}" for rung, _ in KEYS for i in ids]


def test_ties_stand_in_the_order_of_the_digest_of_the_id(tmp_path: Path) -> None:
    ids = [f"C{i:03d}" for i in range(50)]
    _write(tmp_path, [f"{i},bank,m,test,{int(i[-1]) % 2},0.{int(i[1:]):03d}" for i in ids])
    scored = read_scores(tmp_path, KEYS[:1])
    expected = sorted(ids, key=lambda i: hashlib.sha256(i.encode()).hexdigest())
    assert scored.scores[KEYS[0]].tolist() == [float(f"0.{int(i[1:]):03d}") for i in expected]
    assert expected != ids


def test_parts_are_counted_and_only_test_is_read(tmp_path: Path) -> None:
    _write(
        tmp_path,
        [
            *_rows(),
            "e,bank,m,train,1,0.1",
            "f,bank,m,validation,0,0.1",
            "f,all,m,validation,0,0.3",
            '"g,""x""",bank,m,train,0,0.1',
        ],
    )
    scored = read_scores(tmp_path, KEYS)
    assert len(scored.label) == 4
    assert scored.counts == {"rows": 7, "bads": 3, "train": 2, "validation": 1, "test": 4, "in_time": 0, "embargo": 0}
    assert scored.weight is None
    assert scored.validation
    assert scored.validation.scores[KEYS[1]].tolist() == [0.3]
    assert scored.calibrations == {}


def test_weights_follow_their_rows(tmp_path: Path) -> None:
    _write(tmp_path, [f"{i},bank,m,test,{i % 2},0.{i},{i + 0.5}" for i in range(1, 9)], HEADER + ",weight")
    scored = read_scores(tmp_path, KEYS[:1])
    assert scored.weight is not None
    assert np.array_equal(scored.weight, np.round(scored.scores[KEYS[0]] * 10) + 0.5)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (_rows(ids="bd"), "all of one class"),
        (_rows(score="1.5"), "no probabilities"),
        (_rows(score="nan"), "no probabilities"),
        (_rows(label="2"), "labels other than 0 and 1"),
        (_rows()[:-1], "rung 'all' of model 'm' was scored on other rows"),
        ([line.replace("test", "train") for line in _rows()], "no test rows of rung 'bank'"),
    ],
)
def test_scores_that_admit_no_figures(tmp_path: Path, lines: list[str], message: str) -> None:
    _write(tmp_path, lines)
    with pytest.raises(DataError, match=message):
        read_scores(tmp_path, KEYS)


def test_a_missing_file_or_column(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"scores\.csv is missing"):
        read_scores(tmp_path, KEYS)
    _write(tmp_path, ["a,bank,m,test,1"], "id,rung,model,part,label")
    with pytest.raises(UsageError, match="lacks the column 'score'"):
        read_scores(tmp_path, KEYS)


def test_folds_that_do_not_say_of_which_repeat_they_are(tmp_path: Path) -> None:
    _write(tmp_path, _rows())
    (tmp_path / "folds.csv").write_text("id,rung,model,fold,label,score\na,bank,m,1,1,0.5\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"folds\.csv lacks the column 'repeat'"):
        read_scores(tmp_path, KEYS)

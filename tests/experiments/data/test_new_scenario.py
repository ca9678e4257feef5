"""A scenario guessed from a table: what it finds, and that it runs as it is."""

import re
import tomllib
from pathlib import Path

import duckdb
import numpy as np
import pytest

from experiments.data.guess import guess
from experiments.data.new_scenario import new_scenario
from experiments.run.run import run
from protocol.errors import DataError, UsageError
from protocol.job import load_job
from tests.e2e.commands import call


def write(path: Path, rows: int = 500) -> Path:
    """Columns of three sources, codes, gaps, dates, a constant, a name and an amount, after a label and an id."""
    rng = np.random.default_rng(5)
    score = rng.standard_normal(rows)
    columns = {
        "客户 id": np.array([f"{k:06}" for k in rng.permutation(rows)], dtype=object),
        "AP age": rng.integers(20, 70, rows),
        "AP opened": (np.datetime64("2020-01-01") + rng.integers(0, 400, rows)).astype("datetime64[us]"),
        "AP amount": rng.integers(1000, 9000, rows),
        "AP name": np.array([f"person {k}" for k in range(rows)], dtype=object),
        "TD001": np.where(rng.random(rows) < 0.1, -98, np.round(np.abs(score) * 10)).astype(int),
        "TD002": np.where(rng.random(rows) < 0.2, 9999, rng.integers(0, 60, rows)),
        "TD003": np.round(score, 1),
        "CD_calls": np.array([str(v) if v % 7 else "NA" for v in rng.integers(1, 90, rows)], dtype=object),
        "CD_brand": np.array([f"brand {k}" for k in rng.integers(0, 5, rows)], dtype=object),
        "CD_same": np.ones(rows, dtype=int),
        "is default": (rng.random(rows) < 1 / (1 + np.exp(1.5 - score))).astype(int),
        "is new": rng.integers(0, 2, rows),
    }
    with duckdb.connect() as base:
        base.register("made", columns)
        base.execute(
            f"COPY (SELECT * FROM made) TO '{path}' ({'HEADER' if path.suffix == '.csv' else 'FORMAT parquet'})"
        )
    return path


def test_the_guess_is_written_with_its_reasons_and_runs_as_it_is(tmp_path):
    table = write(tmp_path / "some loans.csv")
    ended = call(
        "experiments", "new", "scenario", "--from", table, "--out", tmp_path / "mine" / ".." / "s.toml", cwd=tmp_path
    )
    assert ended.code == 2  # the folder "mine" is not there
    ended = call("experiments", "new", "scenario", "--from", table, "--out", tmp_path / "s.toml")
    assert (ended.code, ended.json["label"], ended.json["id"]) == (0, "is default", ["客户 id"])
    job, text = load_job(tmp_path / "s.toml"), (tmp_path / "s.toml").read_text()
    assert set(job.data.missing) == {"", "NA", -98, 9999}
    assert job.parties["td"].columns == ("TD001", "TD002", "TD003")
    assert job.parties["cd"].columns == ("CD_calls", "CD_brand")
    assert {"AP age", "AP opened", "AP amount"} <= set(job.parties["bank"].columns)
    assert '"AP name", since nearly every row' in text
    assert '"CD_same", since it has one value' in text
    assert '# time = "AP opened"' in text
    assert '# amount = "AP amount"' in text
    assert not re.search(r"person \d|brand \d", text), "values stand in the file"
    quiet = {"transport": "in-process", "engine": "plaintext"}
    report = run(tmp_path / "s.toml", tmp_path / "out", fresh=False, progress=lambda *_: None, overrides=quiet)
    assert [rung.name for rung in report.rungs][:3] == ["bank", "bank+td", "bank+cd"]
    assert report.rungs[1].metrics["auc"].value > report.rungs[0].metrics["auc"].value


def test_every_commented_key_is_one_when_it_is_taken_in(tmp_path):
    new_scenario(write(tmp_path / "t.parquet"), tmp_path / "s.toml")
    text = re.sub(r"^# (time|amount|max_equations_share) =", r"\1 =", (tmp_path / "s.toml").read_text(), flags=re.M)
    values = tomllib.loads(text)
    assert (values["data"]["time"], values["data"]["amount"]) == ("AP opened", "AP amount")
    assert values["contract"]["max_equations_share"] == 0.1


def test_an_id_may_be_of_two_columns_and_a_code_may_be_a_value(tmp_path):
    rows = "".join(
        f"{k % 50},2024-0{1 + k // 50}-01,{-1 if k % 4 == 0 else k},{k % 9 - 4},{k % 5},{int(k % 3 == 0)}\n"
        for k in range(200)
    )
    (tmp_path / "panel.csv").write_text("customer_id,month,days,change,grade,bad\n" + rows)
    found = new_scenario(tmp_path / "panel.csv", tmp_path / "s.toml")
    assert found.id == ("customer_id", "month")
    assert found.doubtful == (-1,)
    assert -1 not in load_job(tmp_path / "s.toml").data.missing
    assert found.parties == {"bank": ("days",), "partner": ("change", "grade")}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b,bad\n1,2,0\n1,2,1\n1,2,1\n", "names every row"),
        ("id,a,b,bad\n1,2,3,5\n2,3,4,7\n", "no column of 0 and 1"),
        ("id,bad\n1,0\n2,1\n", "fewer than two columns"),
    ],
)
def test_what_cannot_be_guessed_is_said(tmp_path, content, said):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(DataError, match=said):
        new_scenario(tmp_path / "t.csv", tmp_path / "s.toml")
    assert not (tmp_path / "s.toml").exists()


def test_nothing_is_overwritten(tmp_path):
    table = write(tmp_path / "t.csv")
    (tmp_path / "s.toml").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        new_scenario(table, tmp_path / "s.toml")
    assert (tmp_path / "s.toml").read_text() == "mine"
    with pytest.raises(UsageError, match=r"none\.csv"):
        new_scenario(tmp_path / "none.csv", tmp_path / "other.toml")


def test_a_lone_quote_swallows_no_rows(tmp_path):
    names = {0: "'Brien", 3: "Smith'"}
    rows = [f"{k:04},{names.get(k % 7, 'Lee')},{'NA' if k in (8, 9) else k},{k % 2}" for k in range(60)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["id,name,calls,default", *rows]) + "\n", encoding="utf-8")
    assert guess(path).missing == ("", "NA")


def test_text_that_stands_for_numbers_and_a_label_in_words(tmp_path):
    rows = ["编号,是否违约,余额,额度,等级"]
    rows += [f'{k:05},{"是" if k % 3 == 0 else "否"},"{k * 7919 % 30011:,}",¥{k},{"abc"[k % 3]}' for k in range(300)]
    (tmp_path / "t.csv").write_bytes("\n".join(rows).encode("gb18030"))
    found = new_scenario(tmp_path / "t.csv", tmp_path / "t.toml")
    assert (found.label, found.label_bad, found.label_good) == ("是否违约", "是", "否")
    assert {name: found.seen[name].kind for name in ("余额", "额度", "等级")} == {
        "余额": "number", "额度": "number", "等级": "category",
    }  # fmt: skip
    assert "#     余额: read as a number" in (tmp_path / "t.toml").read_text(encoding="utf-8")
    assert load_job(tmp_path / "t.toml").data.label_bad == ("是",)

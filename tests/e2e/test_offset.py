"""A run whose counts have an exposure: it is in every score, in training and in scoring, and must be there."""

from pathlib import Path

import duckdb
import pytest

from bank_node.families.catalogue import load_model
from bank_node.families.export import exported
from bank_node.scoring.scoring import read_rows
from bank_node.settings.config import load_config as load_bank
from experiments.run.run import run as run_here
from experiments.verify.check import check_glm
from protocol.errors import DataError
from tests.e2e.commands import edit
from tests.e2e.scored import scored, trained_scores
from tests.e2e.tables import scenario

MODELS = [{"kind": "glm", "params": {"family": "poisson", "exposure": "months"}}]
FULL = "bank+telecom"
PARTIES = {"bank": {"columns": ["own a"]}, "telecom": {"columns": ["calls", "inquiries"], "coverage": 0.9}}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("offset")
    contract = {"min_rows_per_bin": 5, "min_glm_columns": 2, "score_releases": 200}
    report = {"bootstrap": 20, "placebo": False}
    job = scenario(folder, rows=400, models=MODELS, contract=contract, report=report)
    edit(job, lambda values: values.update(parties=PARTIES))
    table = folder / "table.csv"
    with duckdb.connect() as base:
        base.execute(f"CREATE TABLE t AS SELECT *, 1 + hash(id) % 12 AS months FROM '{table}'")
        base.execute(f"COPY t TO '{table}' (HEADER)")
    settings = {"engine": "plaintext", "transport": "in-process"}
    run_here(job, folder / "out", fresh=False, progress=lambda *_: None, overrides=settings)
    return folder / "out"


def _rows(out: Path, columns: str, data: Path) -> Path:
    duckdb.sql(f"COPY (SELECT {columns} FROM '{out}/nodes/bank/data.parquet') TO '{data}'")
    return data


def test_the_fit_is_that_of_statsmodels(out):
    assert check_glm(out, lambda *_: None)["max_abs_coef"] < 1e-4


def test_rows_get_their_scores_again_and_twice_the_exposure_twice_the_score(out, tmp_path):
    trained = trained_scores(out, "bank+telecom")
    assert scored(out, FULL, _rows(out, "* EXCLUDE (bad)", tmp_path / "rows.parquet")) == trained
    twice = scored(out, FULL, _rows(out, "* EXCLUDE (bad) REPLACE (2 * months AS months)", tmp_path / "twice.parquet"))
    assert twice == pytest.approx({name: 2 * score for name, score in trained.items()}, rel=1e-8)


@pytest.mark.parametrize("instead", ["NULL", "0"])
def test_a_row_without_exposure_is_refused(out, tmp_path, instead):
    given = f"* EXCLUDE (bad) REPLACE (CASE WHEN months = 3 THEN {instead} ELSE months END AS months)"
    with pytest.raises(DataError, match="column 'months', an offset, is missing or not above 0 in"):
        scored(out, FULL, _rows(out, given, tmp_path / "rows.parquet"))


def test_the_column_is_read_and_exported_and_no_feature(out):
    folder, config = load_model(out / "models/bank/glm"), load_bank(out / "nodes/bank/node.toml")
    table = read_rows(config, folder, out / "nodes/bank/data.parquet")
    assert [column.name for column in table.columns] == ["own a", "months"]
    document = exported(folder)
    assert document["offset"] == {"column": "months", "log": True}
    assert [term["column"] for term in document["own_terms"]] == ["own a"]

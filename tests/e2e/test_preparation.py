"""A run whose columns are prepared as declared: fitted as on the joined table, scored by the same numbers."""

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from bank_node.families.catalogue import load_model
from bank_node.families.export import exported
from experiments.run.run import run as run_here
from experiments.verify.check import check_glm
from partner_node.config import load_config as load_partner
from partner_node.preview.preview import preview
from protocol.job import load_job
from protocol.ledger import read_ledger
from tests.e2e.commands import edit
from tests.e2e.scored import scored, trained_scores
from tests.e2e.tables import scenario

PREPARATION = {"impute": "median", "indicator": True, "clip": "quantiles", "limits": [0.02, 0.98], "scale": "robust"}
PARTIES = {
    "bank": {
        "columns": ["own a", "own b", "towers", "brand"],
        "prepare": {
            "own b": {"transform": "signed-log", "scale": "min-max", "clip": "none"},
            "brand": {"levels": 3, "reference": "brand 3"},
        },
    },
    "telecom": {
        "columns": ["calls", "inquiries"],
        "coverage": 0.9,
        "strangers": 0.1,
        "prepare": {"inquiries": {"clip": "bounds", "limits": [-1.25, 1.5], "scale": "none"}},
    },
}
FULL = "bank+telecom"
MODELS = [{"kind": "glm", "params": {"encoding": "numeric", "min_iv": 0.0}}]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    contract = {"min_rows_per_bin": 5, "min_rows_per_node": 20, "min_glm_columns": 2, "score_releases": 200}
    job = scenario(folder, preparation=PREPARATION, models=MODELS, contract=contract, report={"bootstrap": 20})
    edit(job, lambda values: values.update(parties=PARTIES))
    settings = {"engine": "plaintext", "transport": "in-process"}
    run_here(job, folder / "out", fresh=False, progress=lambda *_: None, overrides=settings)
    return folder / "out"


def _report(out: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    return report


def _sql(query: str) -> Any:
    with duckdb.connect() as base:
        return base.sql(query).fetchall() if query.startswith("SELECT") else base.execute(query)


def test_the_fit_is_that_of_statsmodels_on_the_joined_table(out):
    found = check_glm(out, lambda *_: None)
    assert found["max_abs_coef"] < 1e-4
    assert found["max_abs_p"] < 5e-4


def test_the_report_tells_the_banks_figures_and_of_a_partner_kinds_alone(out):
    rung = next(r for r in _report(out)["rungs"] if r["name"] == FULL)
    rows = {(c["party"], c["column"]): c for c in rung["linear"]["prepared"]}
    values = _sql(f"SELECT towers FROM '{out}/nodes/bank/data.parquet' d JOIN '{out}/scores.csv' s ON d.id = s.id "
                  "WHERE s.rung = 'bank' AND s.part = 'train'")  # fmt: skip
    towers = np.array([np.nan if v is None else v for (v,) in values])
    own = rows["bank", "towers"]
    clipped = np.clip(towers, *np.nanpercentile(towers, [2, 98]))
    assert [own["low"], own["high"]] == pytest.approx(np.nanpercentile(towers, [2, 98]), abs=1e-12)
    assert [own["filler"], own["missing"]] == pytest.approx([np.nanmedian(clipped), np.isnan(towers).mean()], abs=1e-12)
    assert rows["bank", "brand"]["levels"] == 4
    assert "brand 3" in rows["bank", "brand"]["reference"]
    theirs = rows["telecom", "column 2"]
    assert [theirs[key] for key in ("impute", "clip", "scale", "indicator")] == ["median", "bounds", "none", False]
    told = {name for name, value in theirs.items() if value is not None}
    assert told.isdisjoint({"limits", "low", "high", "filler", "centre", "spread", "missing", "cut", "reference"})
    assert "1.25" not in json.dumps(_report(out)["rungs"])
    terms = {term["column"] for term in rung["linear"]["terms"]}
    assert {"towers", "towers: missing", "not held"} <= terms
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "How columns were prepared" in page
    assert "列的预处理" in page


def test_the_partner_sees_beforehand_what_it_will_tell_of_its_columns(out):
    config = load_partner(out / "nodes/telecom/node.toml")
    found = preview(config, load_job(out / "job.toml"), None)
    told = {column.name: column.told for column in found.columns}
    assert told["calls"] == "median imputed, missing indicated, clipped by quantiles 0.02 to 0.98, scale robust"
    assert told["inquiries"] == "median imputed, missing indicated, clipped by bounds, scale none"
    rows = read_ledger(out / "nodes/telecom/state/ledger.sqlite").summary()
    (sent,) = [row["bytes"] for row in rows if row["kind"] == "binning.layout"]
    (bound,) = [message.bytes for message in found.leaving if message.kind == "binning.layout"]
    assert sent <= bound <= sent + 200


def _by_hand(term: dict[str, Any], raw: Any) -> float:
    """One term of the exported file for one value, as docs/model-folder.md has it."""
    if term["values"]:
        rule = term["rule"]
        missing = len(term["values"]) - 1 if rule["missing"] else rule["missing_as"]
        if rule["type"] == "category":
            place = next((b for b, group in enumerate(rule["groups"]) if raw in group), missing)
        else:
            place = missing if raw is None else sum(cut <= raw for cut in rule["cuts"])
        return 0.0 if place is None else float(term["values"][place])
    how = term["prepared"]
    if raw is None:
        value = how["filler"]
    else:
        value = max(raw, how["low"]) if how["low"] is not None else raw
        value = min(value, how["high"]) if how["high"] is not None else value
        logarithms = {"none": lambda x: x, "log1p": np.log1p, "signed-log": lambda x: np.sign(x) * np.log1p(abs(x))}
        value = logarithms[how["transform"]](value)
    return float(np.clip(np.rint((value - how["centre"]) / how["spread"] * 1000), -4095, 4095)) / 1000


def test_the_exported_file_scores_by_a_second_implementation(out):
    document = json.loads(json.dumps(exported(load_model(out / "models/bank/glm"))))
    columns = [term["column"] for term in document["own_terms"]]
    assert sum("prepared" in term for term in document["own_terms"]) == 3
    names = ", ".join(f'"{name}"' for name in dict.fromkeys(columns))
    trained = trained_scores(out, "bank")
    for name, *values in _sql(f"SELECT id, {names} FROM '{out}/nodes/bank/data.parquet'"):
        raw = dict(zip(dict.fromkeys(columns), values, strict=True))
        terms = [t["coefficient"] * _by_hand(t, raw[t["column"]]) for t in document["own_terms"]]
        margin = document["intercept"] + sum(terms)
        assert 1 / (1 + np.exp(-margin)) == pytest.approx(trained[name], abs=1e-12)


def test_scoring_repeats_it_whatever_else_has_changed_in_the_partners_table(out, tmp_path):
    """All rows but a few have other values, further ones come, and fewer are held: the few get their scores again."""
    trained, table = trained_scores(out, FULL), out / "nodes/telecom/data.parquet"
    held = {name for (name,) in _sql(f"SELECT id FROM '{table}'")}
    few = sorted(held & trained.keys())[:40] + sorted(trained.keys() - held)[:5]
    listed = ", ".join(f"'{name}'" for name in few)
    data = tmp_path / "rows.parquet"
    _sql(f"COPY (SELECT * EXCLUDE (bad) FROM '{out}/nodes/bank/data.parquet' WHERE id IN ({listed})) TO '{data}'")
    assert scored(out, FULL, data) == {name: trained[name] for name in few}
    changed = tmp_path / "changed.parquet"
    moved = f"SELECT * REPLACE (calls * 9 + 70 AS calls, NULL AS inquiries) FROM '{table}' WHERE id NOT IN ({listed})"
    more = f"SELECT * REPLACE ('new ' || id AS id, -1e6 AS calls) FROM '{table}'"
    _sql(f"COPY (SELECT * FROM '{table}' WHERE id IN ({listed}) UNION ALL BY NAME {moved} UNION ALL BY NAME {more}) "
         f"TO '{changed}'")  # fmt: skip
    node = out / "nodes/telecom/node.toml"
    edit(node, lambda values: values["data"].update(source={"kind": "parquet", "path": str(changed)}))
    assert scored(out, FULL, data) == {name: trained[name] for name in few}


def test_gaps_and_new_categories_at_scoring_have_a_place(out, tmp_path):
    data = tmp_path / "odd.csv"
    data.write_text("id,own a,own b,towers,brand\nN1,,,,\nN2,9e300,-9e300,1e9,unheard of\nN3,1,1,1,brand 0\n")
    found = scored(out, FULL, data)
    assert found.keys() == {"N1", "N2", "N3"}
    assert all(0 < score < 1 for score in found.values())

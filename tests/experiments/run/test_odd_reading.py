"""Whole runs over text that stands for numbers, ids in two cases, and banks without columns; and scoring after them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from bank_node.data.rows import open_rows
from bank_node.families.catalogue import load_model
from bank_node.node.node import BankNode
from bank_node.settings.config import load_config as load_bank
from experiments.run.run import run
from partner_node.config import load_config as load_partner
from partner_node.node.service import PartnerService
from partner_node.preview.preview import preview
from protocol.errors import DataError, PeerError, UsageError
from protocol.job import load_job
from protocol.transport.in_process import InProcess
from tests.experiments.run.test_any_table import TREES, report_of

ROWS = 600
CONTRACT = {"min_rows_per_bin": 5, "min_rows_per_node": 10, "max_information_share": 1.0}
PLAINTEXT = {"engine": "plaintext", "ladder": [["bank"], ["bank", "p"]]}


def quiet(phase, done, total):
    """No progress."""


def write(path: Path, columns: dict[str, list[object]]) -> dict[str, str]:
    """A CSV; its source."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))
    return {"kind": "csv", "path": path.name}


def drawn(seed: int = 1) -> dict[str, list[object]]:
    """Ids, a label that follows an amount and a group, and both in several ways of writing."""
    rng = np.random.default_rng(seed)
    amount = np.round(rng.exponential(5_000, ROWS), 2)
    group = rng.integers(0, 3, ROWS)
    bad = rng.random(ROWS) < 1 / (1 + np.exp(3 - amount / 3_000 - group))
    return {
        "id": [f"{k:05}{'X' if k % 10 == 0 else 0}" for k in range(ROWS)],
        "y": [int(b) for b in bad],
        "plain": [float(a) for a in amount],
        "dash": ["-" if k % 7 == 0 else f"¥{a:,}" for k, a in enumerate(amount)],
        "gone": ["" if k % 7 == 0 else float(a) for k, a in enumerate(amount)],
        "group": ["abc"[g] for g in group],
        "day": [str(np.datetime64("2024-06-30") - int(a) % 700) for a in amount],
        "word": ["逾期" if b else "正常" for b in bad],
    }


def job_of(data: dict[str, object], parties: dict[str, dict[str, object]]) -> dict[str, object]:
    """What `report_of` takes."""
    return {"data": {"id": ["id"], "label": "y", **data}, "parties": parties, "contract": CONTRACT, "run": PLAINTEXT}


def test_text_that_stands_for_numbers_trains_the_model_of_those_numbers(tmp_path):
    hashes, reading = [], []
    for name in ("dash", "gone"):
        folder = tmp_path / name
        folder.mkdir()
        columns = drawn()
        columns["x"], columns["own"] = columns[name], columns[name]
        source = write(folder / "t.csv", {key: columns[key] for key in ("id", "y", "own", "x", "day")})
        parties = {"bank": {"columns": ["own", "day"]}, "p": {"columns": ["x"]}}
        report = report_of(folder, **job_of({"source": source}, parties))
        hashes.append([rung["model_sha256"] for rung in report["rungs"]])
        reading.append({p: party["reading"] for p, party in report["data"]["parties"].items()})
    assert hashes[0] == hashes[1]
    said = {party: [note["text"]["en"] for note in notes] for party, notes in reading[0].items()}
    assert said["p"] == ["x: read as a number; 86 values '-' taken as missing"]
    assert said["bank"][0] == "own: read as a number; 86 values '-' taken as missing"
    assert said["bank"][1].startswith("day: read as days before 2024-06-")
    assert [note["rule"] for note in reading[1]["bank"]] == ["days"]
    assert reading[1]["p"] == []


def test_a_label_in_words_in_gb18030_trains_the_model_of_its_numbers(tmp_path):
    hashes = []
    for name, encoding in (("y", "utf-8"), ("word", "gb18030")):
        folder = tmp_path / name
        folder.mkdir()
        columns = drawn()
        columns["target"] = columns[name]
        source = write(folder / "t.csv", {key: columns[key] for key in ("id", "target", "plain", "group")})
        text = (folder / "t.csv").read_text(encoding="utf-8")
        (folder / "t.csv").write_bytes(text.encode(encoding))
        words = {"label_bad": ["逾期"], "label_good": ["正常"]} if name == "word" else {}
        parties = {"bank": {"columns": ["group"]}, "p": {"columns": ["plain"]}}
        report = report_of(folder, **job_of({"source": source, "label": "target", **words}, parties))
        hashes.append((report["rungs"][0]["model_sha256"], report["data"]["bads"]))  # noise goes by the job's digest
    assert hashes[0] == hashes[1]


def own_tables(folder: Path, columns: dict[str, list[object]], ids: list[str], **data: object) -> dict[str, object]:
    """A job whose parties bring their own tables; the partner's ids are written as given, its columns named as the
    bank's label and id are."""
    bank = write(folder / "bank.csv", {key: columns[key] for key in ("id", "y", "group")})
    partner = write(folder / "p.csv", {"who": ids, "y": columns["plain"], "id": columns["dash"]})
    parties = {
        "bank": {"columns": ["group"], "source": bank},
        "p": {"columns": ["y", "id"], "source": partner, "id": ["who"]},
    }
    return job_of(data, parties)


def test_ids_in_the_other_case_and_padded_match_and_names_are_per_party(tmp_path):
    columns = drawn()
    lower = [str(i).lower() for i in columns["id"]]
    report = report_of(tmp_path, **own_tables(tmp_path, columns, lower))
    assert report["data"]["parties"]["p"]["matched"] == ROWS
    with (tmp_path / "out" / "scores.csv").open(encoding="utf-8") as file:
        assert {row["id"] for row in csv.DictReader(file)} <= set(columns["id"]), "ids are written as the bank has them"
    kept = tmp_path / "kept"
    kept.mkdir()
    report = report_of(kept, **own_tables(kept, columns, lower, id_case="keep"))
    assert report["data"]["parties"]["p"]["matched"] == ROWS * 9 // 10
    padded = tmp_path / "padded"
    padded.mkdir()
    columns["id"] = [f"{k:06}" for k in range(ROWS)]
    report = report_of(padded, **own_tables(padded, columns, [str(k) for k in range(ROWS)], id_pad=6))
    assert report["data"]["parties"]["p"]["matched"] == ROWS


def test_nodes_that_make_ids_alike_in_different_ways_do_not_begin(tmp_path):
    columns = drawn()
    report_of(tmp_path, **own_tables(tmp_path, columns, list(map(str, columns["id"]))))
    nodes = tmp_path / "out" / "nodes"
    config = load_bank(nodes / "bank" / "node.toml")
    ours = config.model_copy(update={"data": config.data.model_copy(update={"id_case": "keep"})})
    with (
        PartnerService(load_partner(nodes / "p" / "node.toml")) as service,
        BankNode(ours, InProcess("bank", {"p": service.serve}), quiet) as node,
        pytest.raises(
            PeerError, match=r"alignment is one-sided, id_case keep there and one-sided at p; set .* id_case and id_pad"
        ),
    ):
        node.align(load_job(tmp_path / "out" / "job.toml"), anew=True)


def test_a_bank_of_ids_and_labels_alone_scores_the_base_rate(tmp_path):
    columns = drawn()
    source = write(tmp_path / "t.csv", {key: columns[key] for key in ("id", "y", "plain")})
    models = [TREES, {"kind": "glm", "params": {"encoding": "numeric"}}, {"kind": "scorecard"}]
    job = job_of({"source": source}, {"bank": {"columns": []}, "p": {"columns": ["plain"]}})
    job["contract"] = {**CONTRACT, "min_glm_columns": 1}
    report = report_of(tmp_path, **job, models=models)
    alone = [rung for rung in report["rungs"] if rung["name"] == "bank"]
    assert len(alone) == 3
    assert all(rung["metrics"]["auc"]["value"] == 0.5 for rung in alone)
    with (tmp_path / "out" / "scores.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["rung"] == "bank"]
    for model in {row["model"] for row in rows}:
        assert len({row["score"] for row in rows if row["model"] == model}) == 1
    together = [rung for rung in report["rungs"] if rung["name"] == "bank+p"]
    assert all(rung["metrics"]["auc"]["value"] > 0.6 for rung in together)


@pytest.mark.parametrize(
    ("columns", "said"), [([], "p has no columns, and a partner needs one"), (["y"], "is id, label")]
)
def test_a_partner_needs_columns_and_not_the_label_of_a_table_that_is_dealt_out(tmp_path, columns, said):
    write(tmp_path / "t.csv", drawn())
    job = job_of(
        {"source": {"kind": "csv", "path": "t.csv"}}, {"bank": {"columns": ["group"]}, "p": {"columns": columns}}
    )
    (tmp_path / "job.toml").write_text(tomli_w.dumps({"schema": 1, "name": "n", **job}), encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        load_job(tmp_path / "job.toml")


@pytest.mark.parametrize(
    ("coverage", "least", "said"),
    [
        (0.05, 5, "p: 30 of 600 rows are held; at least 40 are needed"),
        (0.05, 20, "p: 30 of 600 rows are held; at least 40 are needed"),
    ],
)
def test_an_overlap_too_small_to_use_is_named(tmp_path, coverage, least, said):
    source = write(tmp_path / "t.csv", {key: drawn()[key] for key in ("id", "y", "group", "plain")})
    parties = {"bank": {"columns": ["group"]}, "p": {"columns": ["plain"], "coverage": coverage}}
    job = {**job_of({"source": source}, parties), "contract": {"min_rows_per_bin": least, "min_rows_per_node": 20}}
    with pytest.raises(DataError, match=said):
        report_of(tmp_path, **job)


def test_a_table_too_small_for_a_bin_is_named_in_preview(tmp_path):
    source = write(tmp_path / "t.csv", {key: drawn()[key] for key in ("id", "y", "group", "dash")})
    parties = {"bank": {"columns": ["group"]}, "p": {"columns": ["dash"]}}
    report_of(tmp_path, **job_of({"source": source}, parties))
    config = load_partner(tmp_path / "out" / "nodes" / "p" / "node.toml")
    job = load_job(tmp_path / "out" / "job.toml")
    assert preview(config, job, None).reading == ["dash: read as a number; 86 values '-' taken as missing"]
    strict = config.model_copy(update={"contract": config.contract.model_copy(update={"min_rows_per_bin": 400})})
    with pytest.raises(DataError, match="p: its table has 600 rows; a bin needs 400, and a column two bins"):
        preview(strict, job, None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a bank with a group, an amount with dashes and a day, and a partner."""
    folder = tmp_path_factory.mktemp("trained")
    source = write(folder / "t.csv", {key: drawn()[key] for key in ("id", "y", "group", "dash", "day", "plain")})
    params = {"n_estimators": 8, "max_depth": 3, "max_bin": 8}
    job = job_of({"source": source}, {"bank": {"columns": ["group", "dash", "day"]}, "p": {"columns": ["plain"]}})
    job["models"] = [{"kind": "boosting", "params": params}]
    report_of(folder, **job)
    return folder / "out"


def scored(out: Path, rung: str, data: Path, into: Path, strict: float | None = None):
    """What a scoring met, and its scores by id."""
    config, model = load_bank(out / "nodes/bank/node.toml"), load_model(out / "models" / rung / "boosting")
    with (
        PartnerService(load_partner(out / "nodes/p/node.toml")) as service,
        BankNode(config, InProcess("bank", {"p": service.serve}), quiet) as node,
        open_rows(config, model, data, into.parent) as rows,
    ):
        met = node.score_file(model, rows, into, set(), strict=strict)
    with into.open(encoding="utf-8") as file:
        return met, {row["id"]: float(row["score"]) for row in csv.DictReader(file)}


@pytest.mark.parametrize("rung", ["bank", "bank+p"])
def test_the_rows_of_training_get_their_scores_in_any_way_of_writing(trained, tmp_path, rung):
    columns = drawn()
    with (trained / "scores.csv").open(encoding="utf-8") as file:
        wanted = {r["id"]: float(r["score"]) for r in csv.DictReader(file) if r["rung"] == rung}
    for days in (columns["day"], [str(day).replace("-", "/") for day in columns["day"]]):
        for dash in (columns["dash"], ["" if d == "-" else str(d).lstrip("¥") for d in columns["dash"]]):
            write(tmp_path / "new.csv", {**{k: columns[k] for k in ("id", "group")}, "dash": dash, "day": days})
            met, found = scored(trained, rung, tmp_path / "new.csv", tmp_path / "scores.csv")
            assert {i: found[i] for i in wanted} == wanted
            assert [f.text for f in met.findings() if f.subject != "p"] == []


def test_a_few_rows_are_scored_as_they_are_among_many(trained, tmp_path):
    columns = drawn()
    names = ("id", "group", "dash", "day")
    write(tmp_path / "all.csv", {name: columns[name] for name in names})
    _, every = scored(trained, "bank", tmp_path / "all.csv", tmp_path / "scores.csv")
    for first in (0, 7, 35):
        write(tmp_path / "few.csv", {name: columns[name][first : first + 2] for name in names})
        _, few = scored(trained, "bank", tmp_path / "few.csv", tmp_path / "few-scores.csv")
        assert few == {i: every[i] for i in few}


def test_scoring_says_what_it_met_and_is_strict_where_asked(trained, tmp_path):
    columns = {name: drawn()[name] for name in ("id", "group", "dash", "day")}
    used = load_model(trained / "models/bank+p/boosting").about.seen
    assert {"group", "dash"} <= set(used)
    assert used["group"].categories == ("a", "b", "c")
    new = {**columns, "id": [f"n{i}" for i in columns["id"]], "group": ["d"] * ROWS, "dash": ["-"] * ROWS}
    write(tmp_path / "new.csv", new)
    out = tmp_path / "scores.csv"
    met, _ = scored(trained, "bank+p", tmp_path / "new.csv", out)
    said = [finding.text for finding in met.findings()]
    assert "group: 600 of 600 rows have a value not seen in training" in said
    assert f"dash: empty in 600 of 600 rows ({used['dash'].missing:.0%} in training)" in said
    assert "p holds 0 of 600 rows (100% in training)" in said
    out.unlink()
    with pytest.raises(DataError, match=r"600 of 600 rows.*more than --strict 0.1 admits; no scores were written"):
        scored(trained, "bank+p", tmp_path / "new.csv", out, strict=0.1)
    assert not out.exists()
    write(tmp_path / "new.csv", columns)
    met, _ = scored(trained, "bank+p", tmp_path / "new.csv", out, strict=0.0)
    assert [finding.text for finding in met.findings()] == ["p holds 600 of 600 rows (100% in training)"]


def test_a_number_of_training_that_is_words_now_is_refused(trained, tmp_path):
    columns = {name: drawn()[name] for name in ("id", "group", "dash", "day")}
    write(tmp_path / "new.csv", {**columns, "dash": ["soon", *columns["dash"][1:]]})
    scored(trained, "bank", tmp_path / "new.csv", tmp_path / "scores.csv")
    write(tmp_path / "new.csv", {**columns, "dash": ["soon"] * 20 + columns["dash"][20:]})
    with pytest.raises(DataError, match=r"column 'dash' of new\.csv is no number, and was one in training"):
        scored(trained, "bank", tmp_path / "new.csv", tmp_path / "scores.csv")


def test_the_console_lists_before_training_what_was_read(tmp_path, capsys):
    source = write(tmp_path / "t.csv", {key: drawn()[key] for key in ("id", "y", "group", "dash", "plain")})
    job = job_of({"source": source}, {"bank": {"columns": ["dash"]}, "p": {"columns": ["group", "plain"]}})
    job = {"schema": 1, "name": "n", "models": [TREES], "report": {"bootstrap": 20}, **job}
    job["run"] = {**PLAINTEXT, "transport": "in-process"}
    (tmp_path / "job.toml").write_text(tomli_w.dumps(job), encoding="utf-8")
    phases: list[str] = []
    run(tmp_path / "job.toml", tmp_path / "out", fresh=False, progress=lambda p, d, t: phases.append(p), overrides={})
    assert "bank: dash: read as a number; 86 values '-' taken as missing" in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "report.json").read_text())["data"]["parties"]["bank"]["reading"]

"""Bin tables of a whole run: asked for in the job, or found by `fedwarn check woe` afterwards."""

import json

import pytest

from protocol.ledger import read_ledger
from tests.e2e.commands import edit
from tests.e2e.tables import scenario
from tests.e2e.test_runs import fedwarn, run

OWN_BINS = {"kind": "equal-width", "max_bin": 10, "special": [0.25]}
JOINED = {"max_bin": 12, "merge": "monotone", "max_bins": 4}
BY_CHI = {"merge": "chi-merge", "min_share": 0.1, "level": 0.9}
ONE_RUNG = {"ladder": [["bank", "telecom", "bureau"]], "engine": "plaintext"}


@pytest.mark.parametrize(("asked", "binning"), [(True, {}), (True, OWN_BINS), (True, JOINED), (False, BY_CHI)])
def test_bin_tables_equal_the_plain_computation(tmp_path, asked, binning):
    rungs = {**ONE_RUNG, "engine": "blind" if binning else "plaintext"}
    report = {"bootstrap": 50, "bin_tables": asked, "placebo": False}
    job = scenario(tmp_path, report=report, binning=binning, run=rungs)
    report = run(job, tmp_path / "out", "--transport", "in-process")
    assert bool(report["bin_tables"]) == asked
    done = fedwarn("check", "woe", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"max_abs_iv": 0.0, "columns": 5}
    if asked:
        page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
        assert "information value" in page
        assert "信息值" in page
        assert "brand 3" not in page  # a partner's values stay with it
        for tables in report["bin_tables"].values():
            assert [t["iv"] for t in tables] == sorted((t["iv"] for t in tables), reverse=True)
            assert all(sum(b["rows"] for b in t["bins"]) == report["data"]["train"] for t in tables)


def test_a_partner_tells_the_names_and_bins_that_it_allows_and_no_others(tmp_path):
    report = {"bootstrap": 50, "bin_tables": True, "placebo": False}
    job = edit(scenario(tmp_path, report=report, run=ONE_RUNG), _name)
    report = run(job, tmp_path / "out", "--transport", "in-process")
    telecom = {t["column"]: [b["name"] for b in t["bins"]] for t in report["bin_tables"]["telecom"]}
    assert telecom.keys() == {"Calls a day", "Make of handset", "column 2"}
    assert telecom["Calls a day"][0].startswith("x ≥ ")  # numbered along its direction
    assert {*telecom["Make of handset"]} == {*(f"brand {k}" for k in range(6)), "not held"}
    assert {b for b in telecom["column 2"] if not b.startswith("bin ")} == {"missing", "not held"}
    assert {"Income", "own b"} == {t["column"] for t in report["bin_tables"]["bank"]}
    done = fedwarn("check", "woe", tmp_path / "out", "--json")
    assert json.loads(done.stdout.splitlines()[-1])["max_abs_iv"] == 0.0


def _name(values):
    values["parties"]["bank"]["names"] = {"own a": "Income"}
    told = {"calls": "Calls a day", "brand": "Make of handset"}
    values["parties"]["telecom"].update(names=told, tell_bins=["calls", "brand"], monotone={"calls": -1})


@pytest.mark.parametrize("decimals", [0, 2])
def test_a_partner_is_told_information_values_only_where_both_contracts_say_so(tmp_path, decimals):
    contract = {"min_rows_per_bin": 5, "max_iv_decimals": decimals}
    job = scenario(
        tmp_path, report={"bootstrap": 50, "bin_tables": True, "placebo": False}, contract=contract, run=ONE_RUNG
    )
    report = run(job, tmp_path / "out", "--transport", "in-process")
    state = tmp_path / "out/nodes/telecom/state"
    kept = list((state / "information_values").glob("*.json")) if decimals else []
    assert (state / "information_values").exists() == bool(decimals)
    kinds = {row["kind"] for row in read_ledger(state / "ledger.sqlite").summary()}
    assert ({"woe.values", "woe.noted"} & kinds == {"woe.values", "woe.noted"}) == bool(decimals)
    for path in kept:
        told = json.loads(path.read_text())["columns"]
        found = {t["column"]: round(t["iv"], decimals) for t in report["bin_tables"]["telecom"]}
        assert told == {name: found[f"column {k}"] for k, name in enumerate(("calls", "towers", "brand"), 1)}


def test_there_is_nothing_to_check_without_the_nodes(tmp_path):
    done = fedwarn("check", "woe", tmp_path)
    assert done.returncode == 2
    assert "facts.json is missing" in done.stderr

"""What can be wrong outside of the program: each has one sentence, one exit code, and leaves nothing behind."""

import csv
import json
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

import bank_node.cli
import experiments.cli
import partner_node.cli
from protocol.files import own_folder
from protocol.identity import create_demo_identities
from protocol.identity.authority import sign
from protocol.node import command
from tests.e2e.commands import ByHand, Ended, call, edit, end, half_written, refused, start, wait_for
from tests.e2e.tables import scenario

ROWS = 500
TREES = 24
Row = dict[str, str]
Change = Callable[[dict[str, Any]], object]


def small(folder: Path, *changes: Change, trees: int = 2) -> Path:
    """A scenario of a bank and a telecom operator, with changes made to it."""
    params = {"n_estimators": trees, "max_depth": 3, "max_bin": 8}
    job = scenario(
        folder,
        ROWS,
        models=[{"kind": "boosting", "params": params}],
        report={"bootstrap": 20, "placebo": False},
    )
    edit(job, lambda values: values["parties"].pop("bureau"))
    for change in changes:
        edit(job, change)
    return job


def rewrite(folder: Path, change: Callable[[list[Row]], list[Row] | None], name: str = "table.csv") -> None:
    """Change the rows of the scenario's table."""
    with (folder / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = list(rows[0])
    changed = change(rows)
    with (folder / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows if changed is None else changed)


def fedwarn_run(folder: Path, *options: str) -> Ended:
    """Run the scenario in a folder; nothing of a report may be left if it fails."""
    ended = call("experiments", "run", folder / "scenario.toml", "--out", folder / "out", *options)
    if ended.code:
        assert half_written(folder / "out") == []
    return ended


# -- the scenario file ---------------------------------------------------------------------------------------------

SETTINGS: list[tuple[str, Change, list[str]]] = [
    ("unknown key", lambda v: v.update(run={"enginee": "blind"}), ["'run.enginee'", "'engine'"]),
    ("unknown section", lambda v: v.update(contrakt={}), ["'contrakt'", "'contract'"]),
    ("unknown parameter", lambda v: v["models"][0]["params"].update(max_dept=3), ["max_dept'", "'max_depth'"]),
    ("wrong type", lambda v: v["report"].update(bootstrap="many"), ["'report.bootstrap'", "str", "integer"]),
    ("missing key", lambda v: v["data"].pop("label"), ["'data.label'", "add it"]),
    ("missing file", lambda v: v["data"]["source"].update(path="tabel.csv"), ["tabel.csv", "path"]),
    ("two owners", lambda v: v["parties"]["bank"]["columns"].append("calls"), ["'calls'", "telecom", "bank"]),
    (
        "early stopping on nothing",
        lambda v: v["models"][0]["params"].update(early_stopping_rounds=5),
        ["early_stopping_rounds", "validation rows", "split.validation"],
    ),
    ("label as feature", lambda v: v["parties"]["bank"]["columns"].append("bad"), ["'bad'", "bank"]),
]


@pytest.mark.parametrize(("change", "words"), [case[1:] for case in SETTINGS], ids=[case[0] for case in SETTINGS])
def test_settings(tmp_path, change, words):
    small(tmp_path, change)
    refused(fedwarn_run(tmp_path), 2, *words)
    assert not (tmp_path / "out").exists()


def test_missing_scenario_and_config(tmp_path):
    refused(call("experiments", "run", tmp_path / "none.toml", "--out", tmp_path / "out"), 2, "none.toml")
    refused(call("partner_node", "serve", "--config", tmp_path / "none.toml"), 2, "none.toml")
    refused(call("bank_node", "doctor", "--config", tmp_path / "none.toml"), 2, "none.toml")


def test_a_run_is_not_overwritten(tmp_path):
    small(tmp_path)
    (tmp_path / "out" / "nodes").mkdir(parents=True)
    refused(fedwarn_run(tmp_path), 2, "out holds a run", "--fresh")


# -- tables --------------------------------------------------------------------------------------------------------


def put(column: str, value: str, *rows: int) -> Callable[[list[Row]], None]:
    """Put a value into some rows, counted from 1, or into all."""

    def change(table: list[Row]) -> None:
        for row in rows or range(1, len(table) + 1):
            table[row - 1][column] = value

    return change


def double_ids(table: list[Row]) -> None:
    table[9]["id"] = table[19]["id"] = table[0]["id"]


TABLES: list[tuple[str, Callable[[list[Row]], list[Row] | None], list[str]]] = [
    ("label neither 0 nor 1", put("bad", "2", 7), ["bank: ", "'bad'", "other than 0 and 1"]),
    ("one class", put("bad", "0"), ["bank: ", "'bad'", "is 0 in every row", "both classes"]),
    ("label infinite", put("bad", "inf", 3, 4), ["bank: ", "'bad'", "2 rows"]),
    ("label missing", put("bad", "", 3, 4, 5), ["bank: ", "'bad'", "3 rows"]),
    ("label is text", put("bad", "yes", 3), ["bank: ", "'bad'"]),
    ("double ids", double_ids, ["2 duplicate ids", "table.csv", "rows 10, 20", "keep one row"]),
    ("null ids", put("id", "", 3, 5, 8), ["3 null ids", "table.csv", "rows 3, 5, 8", "drop the rows"]),
    ("no rows", lambda _: [], ["table.csv has no rows", "give a table with rows"]),
]


@pytest.mark.parametrize(("change", "words"), [case[1:] for case in TABLES], ids=[case[0] for case in TABLES])
def test_tables(tmp_path, change, words):
    small(tmp_path)
    rewrite(tmp_path, change)
    sentence = refused(fedwarn_run(tmp_path, "--transport", "in-process"), 3, *words)
    assert "C0" not in sentence, "an id stands in the sentence"


def test_a_label_of_one_class_between_processes(tmp_path):
    small(tmp_path)
    rewrite(tmp_path, put("bad", "1"))
    refused(fedwarn_run(tmp_path), 3, "bank: ", "'bad'", "is 1 in every row", "both classes")


def test_missing_column(tmp_path):
    small(tmp_path, lambda v: v["parties"]["telecom"].update(columns=["callz", "towers"]))
    refused(fedwarn_run(tmp_path), 3, "telecom: ", "'callz'", "table.csv", "'calls'")


@pytest.mark.parametrize(("party", "columns"), [("telecom", ["calls", "towers"]), ("bank", ["own a", "own b"])])
def test_no_usable_column(tmp_path, party, columns):
    small(tmp_path, lambda v: v["parties"][party].update(columns=columns))
    for column in columns:
        rewrite(tmp_path, put(column, "1.5"))
    refused(fedwarn_run(tmp_path), 3, f"{party}: ", "no usable column", "varies")


def test_empty_intersection(tmp_path):
    own = {"source": {"kind": "csv", "path": "own.csv"}}
    small(tmp_path, lambda v: v["parties"]["telecom"].update(own))

    def strangers(table: list[Row]) -> None:
        for row in table:
            row["id"] = f"other {row['id']}"

    rewrite(tmp_path, strangers, "own.csv")
    refused(fedwarn_run(tmp_path), 3, "telecom: holds none of the bank's rows", "id columns")


def test_a_partner_finds_its_own_double_ids(tmp_path):
    own = {"source": {"kind": "csv", "path": "own.csv"}}
    small(tmp_path, lambda v: v["parties"]["telecom"].update(own))
    rewrite(tmp_path, double_ids, "own.csv")
    refused(fedwarn_run(tmp_path), 3, "telecom: ", "2 duplicate ids", "own.csv", "rows 10, 20")


def test_a_broken_line(tmp_path):
    small(tmp_path)
    lines = (tmp_path / "table.csv").read_text().splitlines()
    lines[250] += ",SECRET"
    (tmp_path / "table.csv").write_text("\n".join(lines))
    sentence = refused(fedwarn_run(tmp_path), 3, "table.csv cannot be read", "line 251 has", "correct or drop")
    assert "SECRET" not in sentence
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("header", "words"),
    [("calls", ["2 columns named 'calls'"]), ("CALLS", ["columns 'CALLS' and 'calls'", "differ in case only"])],
)
def test_two_columns_of_one_name(tmp_path, header, words):
    small(tmp_path)
    names, *lines = (tmp_path / "table.csv").read_text().splitlines()
    (tmp_path / "table.csv").write_text("\n".join([f"{names},{header}", *(f"{line},0" for line in lines)]))
    refused(fedwarn_run(tmp_path, "--transport", "in-process"), 3, "table.csv has ", *words, "a name of its own")


def test_two_columns_of_one_name_that_nobody_uses_do_no_harm(tmp_path):
    small(tmp_path)
    names, *lines = (tmp_path / "table.csv").read_text().splitlines()
    (tmp_path / "table.csv").write_text("\n".join([f"{names},spare,spare", *(f"{line},0,1" for line in lines)]))
    assert fedwarn_run(tmp_path, "--transport", "in-process").code == 0


def test_a_folder_is_no_table(tmp_path):
    small(tmp_path, lambda v: v["data"].update(source={"kind": "csv", "path": "parts"}))
    (tmp_path / "parts").mkdir()
    refused(fedwarn_run(tmp_path), 2, "parts is a folder", "one file")


def test_a_folder_without_parquet_files_is_no_table(tmp_path):
    small(tmp_path, lambda v: v["data"].update(source={"kind": "parquet", "path": "parts"}))
    (tmp_path / "parts").mkdir()
    refused(fedwarn_run(tmp_path), 2, "parts names no Parquet file", "named .parquet")


def test_what_is_no_table(tmp_path):
    small(tmp_path, lambda v: v["data"].update(source={"kind": "parquet", "path": "table.csv"}))
    refused(fedwarn_run(tmp_path), 3, "table.csv cannot be read", "valid table")
    assert not (tmp_path / "out").exists()


# -- by hand -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def dealt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The node folders of a bank and a telecom operator."""
    folder = tmp_path_factory.mktemp("dealt")
    made = call("experiments", "new", "nodes", small(folder, trees=TREES), "--out", folder / "run")
    assert made.code == 0, made
    assert set(made.json["nodes"]) == {"bank", "telecom"}
    return folder / "run"


@pytest.fixture(scope="session")
def uninterrupted(dealt: Path, tmp_path_factory: pytest.TempPathFactory) -> ByHand:
    """A whole run by hand: serve, doctor, align, train, report."""
    hand = ByHand(dealt, tmp_path_factory.mktemp("whole") / "run")
    with hand.serving():
        doctor = hand.bank("doctor")
        assert (doctor.code, doctor.left) == (0, []), doctor
        assert {finding["code"] for finding in doctor.json["findings"]} == {0}
        aligned = hand.bank("align", hand.job)
        assert aligned.code == 0, aligned
        assert aligned.json["telecom"]["matches"] == round(0.9 * ROWS)
        trained = hand.bank("train", hand.job, "--out", hand.out, "--no-report")
        assert (trained.code, trained.stderr) == (0, ""), trained
    reported = call("bank_node", "report", hand.out)
    assert reported.code == 0, reported
    assert Path(reported.json["report"]).is_file()
    return hand


@pytest.fixture
def hand(dealt: Path, tmp_path: Path) -> ByHand:
    """Node folders to spoil."""
    return ByHand(dealt, tmp_path / "run")


def not_trained(hand: ByHand, code: int, *words: str, **options: Any) -> str:
    """The sentence of a training that is refused and leaves nothing."""
    sentence = refused(hand.train(**options), code, *words)
    assert half_written(hand.folder) == []
    return sentence


def test_by_hand(uninterrupted):
    assert set(uninterrupted.models()) == {"bank", "bank+telecom"}
    assert uninterrupted.partner("doctor").code == 0


def test_a_run_by_hand_is_verified_with_the_receipts_that_are_there(uninterrupted, tmp_path):
    out = shutil.copytree(uninterrupted.out, tmp_path / "out")
    alone = call("experiments", "verify", out)
    assert (alone.code, alone.json["receipts"]) == (0, {"agree": [], "lacking": ["telecom"]}), alone
    receipt = ("ledger", "receipt", out / "receipts" / "telecom.jsonl")
    handed = call("partner_node", *receipt, "--config", uninterrupted.node("telecom") / "node.toml")
    assert handed.code == 0, handed
    both = call("experiments", "verify", out)
    assert (both.code, both.json["receipts"]) == (0, {"agree": [["bank", "telecom"]], "lacking": []}), both


def test_unknown_keys_of_nodes(hand):
    hand.change("telecom", data={"colums": ["calls"]})
    refused(hand.partner("serve"), 2, "'data.colums'", "columns")
    hand.change("bank", patience="long")
    refused(hand.bank("doctor"), 2, "'patience'", "'patience_s'")


def test_certificate_of_another_authority(hand, tmp_path):
    folder = hand.node("telecom") / "identity"
    for file in folder.iterdir():
        file.unlink()
    create_demo_identities(own_folder(tmp_path / "ca"), {"telecom": folder})
    with hand.serving():
        not_trained(hand, 4, "telecom: ", "certificate is signed by another authority", "one authority")
        assert hand.bank("doctor").code == 4


def test_certificate_of_another_party(hand):
    hand.change("telecom", party="bureau")
    ca, folder = hand.folder / "ca", hand.node("telecom") / "identity"
    for file in folder.iterdir():
        file.unlink()
    create = f"import protocol.identity as i, pathlib; i.create_key_and_csr(pathlib.Path({str(folder)!r}), 'bureau')"
    subprocess.run([sys.executable, "-c", create], check=True)
    (folder / "cert.pem").write_bytes(sign(ca, (folder / "request.csr").read_bytes(), "bureau"))
    (folder / "ca.pem").write_bytes((ca / "ca.pem").read_bytes())
    with hand.serving():
        not_trained(hand, 4, "telecom: ", "names another party, 'bureau'")


@pytest.mark.parametrize("party", ["telecom", "bank"])
def test_expired_certificate(hand, party):
    folder, before = hand.node(party) / "identity", datetime.now(UTC) - timedelta(days=2)
    request = (folder / "request.csr").read_bytes()
    (folder / "cert.pem").write_bytes(sign(hand.folder / "ca", request, party, clock=lambda: before))
    words = f"{party}: ", "its certificate expired on", "issue a new one"
    if party == "bank":
        not_trained(hand, 4, *words)
    else:
        refused(hand.partner("serve"), 4, *words)


def test_demonstration_certificates_are_for_demonstrations(hand):
    hand.change("bank", demo=False)
    not_trained(hand, 4, "bank: ", "certificate made for demonstrations")


def test_versions_differ(hand):
    with hand.serving(prelude="import protocol; protocol.PROTOCOL_VERSION = 99"):
        not_trained(hand, 4, "telecom", "99", "same version on both sides")
    assert "WARNING telecom refuses agreement.hello of bank (rule terms): " in hand.log


@pytest.mark.parametrize(("bank", "telecom"), [("plaintext", "blind"), ("blind", "plaintext")])
def test_engines_differ(hand, bank, telecom):
    hand.change("bank", engine=bank)
    hand.change("telecom", engine=telecom)
    with hand.serving():
        not_trained(hand, 4, "engine", "plaintext", "blind", "consent of both", "in both nodes' configs")


def test_split_rows_differ(hand):
    hand.change("bank", split_rows="node", alignment="shared")
    hand.change("telecom", alignment="shared")
    with hand.serving():
        not_trained(hand, 4, "split_rows", "all", "node", "in both nodes' configs")


def test_a_bank_that_is_not_the_one_answered(hand):
    hand.change("telecom", bank="another bank")
    with hand.serving():
        not_trained(hand, 4, "telecom: ", "bank")


def test_partner_down(hand):
    not_trained(hand, 6, "telecom: did not answer at", "partner-node serve")


def test_partner_dies_and_the_run_goes_on_where_it_stopped(hand, uninterrupted):
    partner = hand.start_partner()
    bank = hand.start_training()
    try:
        wait_for(lambda: hand.journal_bytes() > uninterrupted.journal_bytes() // 3)
    finally:
        partner.kill()
        end(partner)
    refused(end(bank), 6, "telecom: ", "did not answer at")
    assert half_written(hand.folder) == []
    assert uninterrupted.journal_bytes() // 3 < hand.journal_bytes() < uninterrupted.journal_bytes()

    with hand.serving():
        again = hand.train()
    assert again.code == 0, again
    assert hand.models() == uninterrupted.models()
    assert (hand.out / "scores.csv").read_bytes() == (uninterrupted.out / "scores.csv").read_bytes()
    asked, once = sums_queries(hand), sums_queries(uninterrupted)
    assert once <= asked <= once + 1, "the second training asked for what the journal holds"


def sums_queries(hand: ByHand) -> int:
    """How many the partner has received in its life."""
    base = sqlite3.connect(hand.node("telecom") / "state" / "ledger.sqlite")
    where = "direction = 'received' AND kind = 'boosting.sums_query'"
    (count,) = base.execute(f"SELECT COUNT(*) FROM entries WHERE {where}").fetchone()
    base.close()
    return int(count)


def test_a_partner_that_comes_back_in_time_is_waited_for(hand, uninterrupted):
    hand.change("bank", patience_s=30.0)
    partner = hand.start_partner()
    bank = hand.start_training()
    try:
        wait_for(lambda: hand.journal_bytes() > uninterrupted.journal_bytes() // 3)
    finally:
        partner.kill()
        end(partner)
    with hand.serving():
        ended = end(bank)
    assert ended.code == 0, ended
    assert hand.models() == uninterrupted.models()


@pytest.mark.parametrize("key", ["listen", "health"])
def test_port_in_use(hand, key):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        hand.change("telecom", **{key: f"127.0.0.1:{port}"})
        ended = hand.partner("serve")
    refused(ended, 2, "telecom: ", f"port {port}", "in use", "choose another")


def test_the_noise_does_not_fit_the_plaintext(hand):
    """No table of this size fills 42 bits: the plaintext is made smaller."""
    hand.change("telecom", contract={"histogram_noise": 1024.0})
    with hand.serving():
        few_bits = "import protocol.he.plan as plan; plan.WHOLE_BITS = plan.PACKED_BITS = 12"
        not_trained(hand, 5, "bank: ", "histogram_noise 1024", "12 plaintext bits", "lower", prelude=few_bits)


def test_a_bug_is_not_told_to_the_peer(hand):
    """It goes to the log, there as JSON, and its text to nobody else."""
    bug = "import partner_node.node.node as n; n.PartnerNode.handle = lambda *_: {}['a secret']"
    partner = hand.start_partner(prelude=f"import sys; sys.argv += ['--log-format', 'json']; {bug}")
    sentence = not_trained(hand, 4, "telecom: ", "an error of its own", "log")
    partner.terminate()
    log = end(partner).stderr
    assert "a secret" not in sentence
    lines = [json.loads(line) for line in log.splitlines()]  # all that it says is JSON
    assert lines[0]["message"].startswith("telecom answers bank on ")
    (bug,) = [line for line in lines if "traceback" in line]
    assert "KeyError: 'a secret'" in bug["traceback"]
    assert lines[-1]["message"].startswith("telecom refuses agreement.hello of bank (rule bug): ")
    assert not any("a secret" in line["message"] for line in lines)


# -- budgets, disk, signals ----------------------------------------------------------------------------------------


def test_equation_budget(tmp_path):
    """The refusal names the clause and a number of trees, and that many are then trained."""
    small(tmp_path, lambda v: v["contract"].update(max_equations_share=0.1), trees=100)
    sentence = refused(fedwarn_run(tmp_path), 5, "telecom: ", "max_equations_share", "trees")
    fits = int(re.findall(r"(\d+) trees", sentence)[0])
    assert 0 < fits < 100
    edit(tmp_path / "scenario.toml", lambda v: v["models"][0]["params"].update(n_estimators=fits))
    trained = fedwarn_run(tmp_path, "--transport", "in-process", "--fresh")
    assert (trained.code, trained.stderr) == (0, ""), trained
    assert len(trained.stdout.splitlines()) == 1
    assert set(trained.json) == {"report", "headline"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts a small disk of some KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mounted(size_kib: int) -> Path:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", folder], capture_output=True)
        if done.returncode:
            pytest.skip("a small disk can be mounted by root only")
        return folder

    yield mounted
    subprocess.run(["umount", "-l", folder], capture_output=True)


@pytest.mark.parametrize("size_kib", [40, 150, 600])
def test_disk_full(tmp_path, disk, size_kib):
    """At whatever point of the run it is full: dealing, a partner's ledger, a hint, the bank's ledger."""
    small(tmp_path)
    out = disk(size_kib) / "out"
    ended = call("experiments", "run", tmp_path / "scenario.toml", "--out", out)
    refused(ended, 2, "full", "free some space")
    assert half_written(out) == []


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["dealing", "training"])
def test_interrupted(tmp_path, sent, moment):
    job, out = small(tmp_path, trees=400), tmp_path / "out"
    process = start("experiments", "run", job, "--out", out, "--quiet", "--json")
    sign_of = {"dealing": "nodes/telecom/state/ledger.sqlite", "training": "nodes/bank/state/journals/*/replies"}
    wait_for(lambda: any(path.stat().st_size for path in out.glob(sign_of[moment])) or process.poll() is not None)
    process.send_signal(sent)
    refused(end(process), 130, "interrupted")
    assert half_written(out) == []


# -- what holds everywhere -----------------------------------------------------------------------------------------

COMMANDS = {"bank-node": bank_node.cli.verbs, "partner-node": partner_node.cli.verbs, "fedwarn": experiments.cli.verbs}
MODULES = {"bank-node": "bank_node", "partner-node": "partner_node", "fedwarn": "experiments"}


def paths_of(verbs: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every verb of a command, with the groups it stands in."""
    yield before
    for name, verb in getattr(verbs, "commands", {}).items():
        yield from paths_of(verb, (*before, name))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_verb(name, capsys):
    paths = list(paths_of(typer.main.get_command(COMMANDS[name])))
    assert len(paths) > 4
    for path in paths:
        assert command.run(COMMANDS[name], name, [*path, "--help"]) == 0
        assert " ".join(("Usage:", name, *path)) in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_version_help_and_a_wrong_verb(name, capsys):
    module, verbs = MODULES[name], COMMANDS[name]
    version = end(start(module, "--version"))
    assert (version.code, version.stderr) == (0, "")
    assert re.fullmatch(r"fedwarn \d+\.\d+\.\d+, protocol \d+\n", version.stdout)
    shown = end(start(module, "--help"))
    assert (shown.code, shown.stderr) == (0, "")
    assert "--json" in shown.stdout
    refused(call(module, "trian"), 2, name, "trian", "--help")
    assert command.run(verbs, name, ["--version", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"version", "protocol"}
    assert command.run(verbs, name, ["--log-format", "xml"]) == 2
    assert "--log-format: 'xml' is no format; give text or json." in capsys.readouterr().err


def test_talk(tmp_path):
    job = small(tmp_path)
    loud = end(start("experiments", "run", job, "--out", tmp_path / "loud", "--transport", "in-process"))
    assert loud.code == 0, loud
    assert "rung bank+telecom" in loud.stderr
    assert str(tmp_path / "loud" / "report.html") in loud.stdout

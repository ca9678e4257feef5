"""Partners that run from the bundle: an environment without the bank's code, a user that reaches nothing of others."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.run.partner_environment import DEFAULT, PartnerEnvironment, partner_environment
from tests.e2e.commands import call, refused
from tests.e2e.tables import scenario

ROOT = Path(__file__).parents[2]
PARTNERS = ("telecom", "bureau")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a node a user of its own")


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """A folder that other users can pass through; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory(prefix="fedwarn-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture(scope="module")
def environment(open_folder: Path) -> PartnerEnvironment:
    """The partners' environment that `make env` has made, or one made for this test if that is of other code."""
    found = partner_environment("auto")
    if found is None:
        folder = open_folder / DEFAULT
        for script in (["make_wheel.py"], ["make_environment.py", str(folder)]):
            command = [sys.executable, str(ROOT / "bundle" / script[0]), *script[1:]]
            subprocess.run(command, check=True, capture_output=True)
        found = partner_environment(str(folder))
    assert found
    return found


def run(job: Path, out: Path, *options: str) -> dict[str, Any]:
    """A finished run's report."""
    ended = call("experiments", "run", job, "--out", out, *options)
    assert (ended.code, ended.left) == (0, []), ended
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    return report


@pytest.fixture(scope="module")
def apart(environment: PartnerEnvironment, open_folder: Path) -> Path:
    """A run whose partners run from the bundle."""
    out = open_folder / "run"
    run(scenario(open_folder), out, "--partner-env", str(environment.folder))
    return out


def report_of(out: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    return report


def inside(environment: PartnerEnvironment, code: str) -> Any:
    """What a line of Python prints there, started from this checkout."""
    command = [environment.python, "-I", "-c", f"import json, importlib.util as u, sys; print(json.dumps({code}))"]
    return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def test_nothing_of_the_bank_can_be_imported(environment):
    names = ["bank_node", "experiments", "tests", "matplotlib", "jinja2", "pip", "protocol", "partner_node", "numpy"]
    found = inside(environment, f"{{n: u.find_spec(n) is not None for n in {names}}}")
    assert [name for name, there in found.items() if there] == ["protocol", "partner_node", "numpy"]
    settings = (environment.folder / "pyvenv.cfg").read_text()
    assert "include-system-site-packages = false" in settings
    outside = [path for path in inside(environment, "sys.path") if str(ROOT) in path]
    assert all(Path(path).is_relative_to(environment.folder) for path in outside)


def test_the_report_says_where_each_node_ran(apart, environment):
    own_user = os.geteuid() == 0
    place = {"bundle_sha256": environment.wheel_sha256, "own_user": own_user}
    assert report_of(apart)["measured"]["nodes"] == {"telecom": place, "bureau": place}
    assert environment.wheel_sha256 in (apart / "report.html").read_text()


def test_it_is_the_same_training_without_the_bundle(apart, tmp_path):
    together = run(apart.parent / "scenario.toml", tmp_path / "out", "--partner-env", "none")
    place = {"bundle_sha256": "", "own_user": False}
    assert [together["measured"]["nodes"][partner] for partner in PARTNERS] == [place, place]
    before = report_of(apart)
    for report in (together, before):
        del report["measured"]
    assert together == before
    assert (tmp_path / "out" / "scores.csv").read_bytes() == (apart / "scores.csv").read_bytes()


def test_folders_are_for_their_owners_only(apart):
    for party in ("bank", *PARTNERS):
        assert (apart / "nodes" / party).stat().st_mode & 0o777 == 0o700
    for part in ("ca", "logs", "models", "receipts"):
        assert (apart / part).stat().st_mode & 0o777 == 0o700
    for name in ("scores.csv", "absences.csv", "facts.json", "job.toml"):
        assert (apart / name).stat().st_mode & 0o777 == 0o600


@as_root
def test_each_partner_is_a_user_that_reads_its_own_folder_alone(apart):
    users = {party: (apart / "nodes" / party).stat().st_uid for party in ("bank", *PARTNERS)}
    assert len(set(users.values())) == 3
    files = {
        "telecom": "nodes/telecom/state/ledger.sqlite",
        "bureau": "nodes/bureau/state/ledger.sqlite",
        "bank": "nodes/bank/state/bank.key",
        "table": "nodes/bank/data.parquet",
        "authority": "ca/ca.key",
        "scores": "scores.csv",
        "model": "models/all/boosting/trees.json",
    }
    assert all((apart / path).is_file() for path in files.values())
    for party in PARTNERS:
        read = {
            name
            for name, path in files.items()
            if subprocess.run(
                ["/bin/cat", str(apart / path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                user=users[party], group=users[party], extra_groups=[], check=False,
            ).returncode == 0
        }  # fmt: skip
        assert read == {party}


def test_no_kernel_is_compiled_in_a_run(apart, environment):
    def kernels(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.nb?")}

    assert len(kernels(environment.kernels)) > 5
    for party in PARTNERS:
        assert kernels(apart / "nodes" / party / "kernels") == kernels(environment.kernels)


def test_an_environment_that_is_none_or_of_other_code(environment, tmp_path):
    job, options = scenario(tmp_path), ("--out", tmp_path / "out", "--partner-env")
    ended = call("experiments", "run", job, *options, tmp_path / "nowhere")
    refused(ended, 2, "nowhere", "no partner bundle", "make env")
    (site,) = environment.folder.glob("lib/python*/site-packages")
    copy = tmp_path / "old" / site.relative_to(environment.folder)
    for part in ("protocol", "partner_node", *(path.name for path in site.glob("fedwarn_partner-*"))):
        shutil.copytree(site / part, copy / part)
    with (copy / "protocol" / "errors.py").open("a") as file:
        file.write("# older\n")
    refused(call("experiments", "run", job, *options, tmp_path / "old"), 2, "old", "other code", "make env")
    assert not (tmp_path / "out").exists()

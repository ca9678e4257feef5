"""One simulated run and its report, shared by the tests."""

from pathlib import Path

import pytest

from bank_node.report.document import Report
from bank_node.report.report import write_report
from tests.bank_node.report.simulated import simulate_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with its report."""
    folder = tmp_path_factory.mktemp("run")
    simulate_run(folder, rows=8000, validation=0.3)
    write_report(folder)
    return folder


@pytest.fixture(scope="session")
def report(run: Path) -> Report:
    """The report of that run."""
    return Report.model_validate_json((run / "report.json").read_text(encoding="utf-8"))

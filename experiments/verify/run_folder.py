"""A run's folder as all checks see it: every file is read once, when the first of them asks for it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bank_node.metrics.scores import Scored
from bank_node.record.facts import RunFacts, read_facts
from bank_node.report.document import Report
from bank_node.report.early_warning.watched import Watched
from bank_node.report.report import read_report, read_run
from experiments.verify.recompute import Row, read_rows


@dataclass(frozen=True)
class RunFolder:
    """The files of one run. path: of the folder."""

    path: Path

    @cached_property
    def facts(self) -> RunFacts:
        """Of facts.json."""
        return read_facts(self.path)

    @cached_property
    def report(self) -> Report:
        """Of report.json, as it stands."""
        return read_report(self.path)

    @cached_property
    def judged(self) -> tuple[Scored, Watched | None]:
        """Scores and dates, as the report's own code reads them."""
        return read_run(self.path, self.facts)

    @cached_property
    def rows(self) -> dict[tuple[str, str], list[Row]]:
        """The test rows of scores.csv, as the second opinion reads them."""
        return read_rows(self.path)

"""A federation in one process, for a first try: the real nodes of all parties, on tables that one hand holds.

Nothing is simulated but the network: every party has a state folder, keys, budgets and a ledger of its own, and all
that passes between them is bytes. What is tried here runs unchanged with `Federation("node.toml")`.
"""

import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bank_node.api.booster import FederatedBooster
from bank_node.api.federation import Federation, ledger_of
from bank_node.api.listing import Listing
from bank_node.api.rows import Rows, write_rows
from bank_node.node.node import BankNode
from bank_node.partners.sessions import Progress
from bank_node.settings.config import BankConfig
from partner_node.config import PartnerConfig
from partner_node.node.service import PartnerService
from partner_node.policy.approving import approve
from protocol.errors import UsageError
from protocol.files import folder_name, own_folder
from protocol.job import Job, load_job
from protocol.settings import check_settings
from protocol.table.one_file import kind_of
from protocol.transport.in_process import InProcess

_USES: Final = 1_000_000
_ALIKE: Final = ("missing", "as_of", "period", "first", "last")


class InProcessFederation(Federation):
    """A bank and partners of this process. They live until `close`, or until nothing refers to them any more."""

    def __init__(
        self, bank: BankConfig, partners: Mapping[str, PartnerConfig], life: ExitStack, progress: bool
    ) -> None:
        """life: what ends with the federation. Raises: DataError, UsageError: of a partner's table."""
        super().__init__(bank, self._in_process, progress)
        self._partners = dict(partners)
        self._states = {bank.party: bank.state, **{name: config.state for name, config in partners.items()}}
        services = {name: life.enter_context(PartnerService(config)) for name, config in partners.items()}
        self._serve = {name: service.serve for name, service in services.items()}
        self._end = weakref.finalize(self, life.close)

    def submit(self, job: Job) -> None:
        """Approve the job at its partners, since one hand holds them all, for as many runs as it likes."""
        for partner in job.partners:
            approve(self._partners[partner], job, uses=_USES)

    def overlap(self, rows: Rows | None = None, job: str | Path | None = None) -> Listing:
        """As any federation's; without a job file, the job of a fit with all defaults is approved for it."""
        if job is not None:
            return super().overlap(rows, job)
        with TemporaryDirectory(prefix="fedwarn-") as folder:
            usual = FederatedBooster().job_file(self, rows, Path(folder) / "job.toml")
            self.submit(load_job(usual))
            return super().overlap(rows, usual)

    def ledger(self, party: str) -> Listing:
        """What one party's own ledger says: with real nodes each party sees its own alone."""
        if party not in self._states:
            raise UsageError("ledger", f"{party!r} is no party", f"choose of {', '.join(self._states)}")
        return ledger_of(self._states[party])

    def close(self) -> None:
        """Stop the partners; folders that were made for them are gone."""
        self._end()

    def __enter__(self) -> "InProcessFederation":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def rows(self, rows: Rows | None) -> Iterator[BankConfig]:
        """As any federation's. Raises: UsageError: it is closed."""
        if not self._end.alive:
            raise UsageError("federation", "it is closed", "make a new one")
        with super().rows(rows) as config:
            yield config

    @contextmanager
    def _in_process(self, config: BankConfig, progress: Progress) -> Iterator[BankNode]:
        with BankNode(config, InProcess(config.party, self._serve), progress) as node:
            yield node


def federation_of(
    tables: Mapping[str, Rows],
    label: str,
    *,
    id: str | tuple[str, ...] = "id",
    engine: str = "blind",
    contract: Mapping[str, float] | None = None,
    enforce: bool = False,
    seed: int = 7,
    folder: str | Path | None = None,
    monotone: Mapping[str, Mapping[str, int]] | None = None,
    progress: bool = True,
    **data: Any,
) -> InProcessFederation:
    """A federation of tables at hand, the bank's first.

    Args:
        tables: by party; a path, a dictionary of columns, a structured array or a DataFrame. Every column of a
            partner but its ids is a feature; of the bank, but its ids and the label.
        label: the bank's column of 0 and 1, 1 = bad. id: one id column or several, called alike everywhere.
        engine: "blind", or "plaintext" for a try without encryption.
        contract: clauses other than the defaults. enforce: whether partners refuse past their equation budget,
            or only count it; between real nodes it is always enforced.
        seed: of the partners' noise, so that a try can be repeated; real partners draw theirs from the system.
        folder: where the parties' state is kept; if not given, in a folder that is gone with the federation.
        monotone: by partner, directions of its own columns: 1 where risk must not fall as the column grows, -1 not
            rise. The bank's stand in the estimator's `monotone_constraints`.
        data: other keys of [data] of the bank's node.toml, such as weight. Those on missing values and points in
            time (missing, as_of, period, first, last) are every party's.
    Raises: DataError, UsageError: what is wrong with a table or a key.
    """
    bank, *partners = tables
    if not partners:
        raise UsageError("federation_of", "there is one table only", "give the bank's, and one a partner")
    for name in monotone or {}:
        if name not in partners:
            raise UsageError("monotone", f"{name!r} is no partner", f"choose of {', '.join(partners)}")
    with ExitStack() as life:
        root = Path(folder) if folder else Path(life.enter_context(TemporaryDirectory(prefix="fedwarn-")))
        ids = (id,) if isinstance(id, str) else tuple(id)
        common = {"engine": engine, "contract": dict(contract or {})}
        places = {party: own_folder(root / folder_name(party)) for party in tables}
        mine = {**_node(bank, tables[bank], places[bank], ids, {"label": label, **data}), **common}
        mine["partners"] = {partner: {"address": "in-process"} for partner in partners}
        alike: dict[str, Any] = {key: data[key] for key in _ALIKE if key in data}
        theirs = {}
        for partner in partners:
            own = {**alike, "monotone": dict((monotone or {}).get(partner, {}))}
            values = {**_node(partner, tables[partner], places[partner], ids, own), **common, "bank": bank}
            values["policy"] = {"equation_budget": "enforced" if enforce else "counted", "noise_seed": f"{seed}"}
            theirs[partner] = check_settings(PartnerConfig, values, "federation_of")
        settings = check_settings(BankConfig, mine, "federation_of")
        return InProcessFederation(settings, theirs, life.pop_all(), progress)


def _node(party: str, rows: Rows, place: Path, ids: tuple[str, ...], data: Mapping[str, Any]) -> dict[str, Any]:
    """One node's settings, and its table beside them if it is no file yet."""
    if isinstance(rows, str | Path):
        path = Path(rows)
    else:
        path = place / "data.parquet"
        write_rows(rows, path, party)
    source = {"kind": kind_of(path), "path": path}
    folders = {"state": place / "state", "secrets": place / "secrets"}
    return {"party": party, **folders, "data": {"source": source, "id": ids, **data}}

"""Where liars act: a small federation of real nodes, whose run is met at a message.

The honest bank and the honest partners train and score in this process, every message becoming bytes and back. A liar
stands at one party's side of the wire: it sees a message at the moment at which it is sent, when all that must have
happened before has happened, and sends its own.
"""

import shutil
import tomllib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import duckdb
import tomli_w

from bank_node.config import BankConfig
from bank_node.config import load_config as load_bank
from bank_node.models.folder import load_model
from bank_node.node import BankNode
from bank_node.scoring.scoring import read_rows
from experiments.running.prepare import write_demo
from partner_node.config import PartnerConfig
from partner_node.config import load_config as load_partner
from partner_node.node.node import PartnerNode
from partner_node.node.service import PartnerService
from protocol.errors import DataError, FedwarnError, UsageError
from protocol.job import Job, load_job
from protocol.job.ladder import folder_of
from protocol.job.workload import Workload, workload
from protocol.messages import Malformed, Message, decode, encode
from protocol.node.files import folder_name
from protocol.transport.in_process import InProcess
from protocol.wire.envelope import Envelope

MOST_ROWS: Final = 1200
"""Of a run's bank, so that all attacks take minutes."""
MODELS: Final[list[dict[str, Any]]] = [
    {"kind": "boosting", "params": {"n_estimators": 2, "max_depth": 2, "max_bin": 8}},
    {"kind": "glm", "params": {"max_bin": 8}},
]
"""Between them, they need every kind of message that one partner answers."""


@dataclass(frozen=True)
class Meeting:
    """A message on its way, and what a liar can do there.

    sent: the honest request. node: of the partner, for what is true.
    """

    bank: str
    node: PartnerNode
    sent: Message

    def ask(self, message: Message) -> Message | None:
        """The partner's answer to a message of the liar's; None if it is refused."""
        try:
            return self.node.handle(self.bank, decode(message.KIND, encode(message)))
        except (FedwarnError, Malformed):
            return None

    def answers(self, *messages: Message) -> float:
        """How many of these are answered."""
        return float(sum(self.ask(message) is not None for message in messages))


@dataclass
class Ambush:
    """What a lying bank does at the first request of a kind. after: once it was answered."""

    kind: str
    act: Callable[[Meeting], float]
    after: bool = False
    gained: float = 0.0
    met: bool = False


@dataclass
class Scene:
    """Nodes as they are before any message, copied for every run."""

    folder: Path
    source: Path
    job: Job
    text: str
    partner: str
    runs: int = 0
    recorded: dict[str, bytes] = field(default_factory=dict)

    def meet(self, ambush: Ambush) -> None:
        """Let an ambush act, once. Raises: FedwarnError: the honest run ends before it comes to its request."""
        failed = self._run(ambush)
        if not ambush.met:
            raise failed or AssertionError(f"no run sends {ambush.kind}")

    def record(self) -> None:
        """Keep one body of every kind that an honest run sends. Raises: FedwarnError: the run fails."""
        if failed := self._run():
            raise failed

    def goes_on(self, kind: str, forged: Callable[[Message], Message]) -> bool:
        """Whether the bank asks anything more after the first reply of a kind was forged."""
        told = [0, 0]

        def forge(reply: Envelope) -> Envelope:
            told[1] += told[0]
            if told[1]:
                raise _Told
            if reply.kind != kind or told[0]:
                return reply
            told[0] = 1
            return replace(reply, body=encode(forged(decode(kind, reply.body))))

        self._run(forge=forge)
        if not told[0]:
            raise AssertionError(f"no run sends {kind}")
        return bool(told[1])

    @property
    def plan(self) -> Workload:
        """What the approved file of the job plans."""
        return workload(self.job, self.partner)

    def _run(
        self, ambush: Ambush | None = None, forge: Callable[[Envelope], Envelope] = lambda reply: reply
    ) -> FedwarnError | None:
        """An honest run but for the ambush or the forged replies; the error that it ended with."""
        self.runs += 1
        out = Path(shutil.copytree(self.source, self.folder / f"run{self.runs}"))
        failed: FedwarnError | None = None
        with ExitStack() as stack:
            service = stack.enter_context(
                PartnerService(load_partner(out / "nodes" / folder_name(self.partner) / "node.toml"))
            )
            serve = _Watched(self, service, ambush, forge).serve
            config = load_bank(out / "nodes" / folder_name(self.job.bank) / "node.toml")
            node = stack.enter_context(BankNode(config, InProcess(self.job.bank, {self.partner: serve}), _quiet))
            try:
                node.train(self.job, self.text, out)
                for name in ("boosting", "glm"):
                    model = load_model(out / "models" / folder_of(f"{self.job.bank}+{self.partner}") / name)
                    node.score(model, read_rows(config, model, config.data.source.path), set())
            except _Told:
                pass
            except FedwarnError as error:
                failed = error
        shutil.rmtree(out)
        return failed


class _Told(Exception):
    """The lie was told: the run need not go on."""


@dataclass
class _Watched:
    scene: Scene
    service: PartnerService
    ambush: Ambush | None
    forge: Callable[[Envelope], Envelope]

    def serve(self, peer: str, envelope: Envelope) -> Envelope:
        self._met_at(peer, envelope, after=False)
        answer = self.service.serve(peer, envelope)
        self._met_at(peer, envelope, after=True)
        for told in (envelope, answer):
            if told.kind not in self.scene.recorded:
                self.scene.recorded[told.kind] = bytes(told.body)
        if self.ambush and self.ambush.met:
            raise _Told
        return self.forge(answer)

    def _met_at(self, peer: str, envelope: Envelope, after: bool) -> None:
        """Let the ambush act if it waits for this request, before or after its answer."""
        one = self.ambush
        if one and not one.met and (one.kind, one.after) == (envelope.kind, after):
            one.met = True
            one.gained = one.act(Meeting(peer, self.service._node, decode(envelope.kind, envelope.body)))


def made_up(folder: Path, rows: int = 600) -> Scene:
    """A scene of a bank and one partner on a table of its own."""
    source = folder / "table.csv"
    x = ", ".join(f"round(hash(i * 31 + {k}) % 1000 / 500.0 - 1, 2) AS x{k}" for k in range(6))
    bad = "CAST(x0 + x2 - x3 + luck > 0.9 AS INTEGER) AS bad"
    with duckdb.connect() as base:
        base.execute(
            f"COPY (SELECT *, {bad} FROM (SELECT 'C' || i AS id, {x}, hash(i * 31 + 9) % 1000 / 500.0 - 1 AS luck, "
            f"'kind ' || hash(i) % 5 AS c FROM range({rows}) r(i))) TO '{source}' (HEADER)"
        )
    values = {
        "schema": 1,
        "name": "attacked",
        "synthetic": True,
        "data": {"source": {"kind": "csv", "path": source.name}, "id": ["id"], "label": "bad"},
        "parties": {
            "bank": {"columns": ["x0", "x1"]},
            "partner": {"columns": ["x2", "x3", "x4", "x5", "c"], "coverage": 0.8, "strangers": 0.3},
        },
        "contract": {"min_rows_per_bin": 10, "min_rows_per_node": 20},
    }
    return _scene(folder, values, "bank", "partner")


def of_run(folder: Path, run: Path, partner: str = "") -> Scene:
    """A scene of the tables and the contract of a run: up to 1,200 of the bank's rows, and one partner's of them.

    So few rows could not keep the clause on equations, which is a share of them: here it is 1.
    partner: which; the first if it is not named. Raises: UsageError: the folder holds no run.
    """
    if not (run / "job.toml").exists():
        raise UsageError("fedwarn", f"{run} holds no run", "name the folder of a finished `fedwarn run`, or none")
    job = load_job(run / "job.toml")
    bank, partner = job.bank, partner or job.partners[0]
    own, other = load_bank(_node_file(run, bank)), load_partner(_node_file(run, partner))
    if own.dating or job.data.as_of or job.data.time:
        raise UsageError("fedwarn", f"{run} has dated rows", "run `fedwarn attack` without a folder")
    with duckdb.connect() as base:
        _sample(base, own, f"SELECT * FROM {_table(own)} LIMIT {MOST_ROWS}", folder / "bank.parquet")
        theirs, mine = (", ".join(f't."{name}"' for name in one.data.id) for one in (other, own))
        known = f"SELECT {mine} FROM read_parquet('{folder / 'bank.parquet'}') t"
        rows = f"SELECT * FROM {_table(other)} t WHERE ({theirs}) IN ({known})"
        strangers = f"SELECT * FROM {_table(other)} t WHERE ({theirs}) NOT IN ({known}) LIMIT {MOST_ROWS // 4}"
        _sample(base, other, f"({rows}) UNION ALL ({strangers})", folder / "partner.parquet")
    text = tomllib.loads((run / "job.toml").read_text(encoding="utf-8"))
    data = {key: value for key, value in text["data"].items() if key not in {"source", "sample"}}
    parties = {
        name: {
            **{key: text["parties"][name][key] for key in ("columns", "categorical") if key in text["parties"][name]},
            "source": {"kind": "parquet", "path": f"{file}.parquet"},
        }
        for name, file in ((bank, "bank"), (partner, "partner"))
    }
    contract = text.get("contract", {}) | {"max_equations_share": 1.0}
    values = {"schema": 1, "name": "attacked", "data": data, "parties": parties, "contract": contract}
    return _scene(folder, values | ({"label_party": bank}), bank, partner)


def _scene(folder: Path, values: dict[str, Any], bank: str, partner: str) -> Scene:
    values |= {
        "models": MODELS,
        "run": {"ladder": [[bank], [bank, partner]], "transport": "in-process"},
        "report": {"bootstrap": 20, "placebo": False, "bin_tables": True},
    }
    path = folder / "scenario.toml"
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    job = load_job(path)
    out = folder / "nodes-before"
    write_demo(job, path, out)
    return Scene(folder, out, job, path.read_text(encoding="utf-8"), partner)


def _node_file(run: Path, party: str) -> Path:
    return run / "nodes" / folder_name(party) / "node.toml"


def _table(config: BankConfig | PartnerConfig) -> str:
    source = config.data.source
    return f"read_{'parquet' if source.kind == 'parquet' else 'csv'}('{source.path}')"


def _sample(base: duckdb.DuckDBPyConnection, config: BankConfig | PartnerConfig, rows: str, to: Path) -> None:
    try:
        base.execute(f"COPY ({rows}) TO '{to}' (FORMAT parquet)")
    except duckdb.Error as error:
        raise DataError(config.party, "has a table that cannot be sampled", "run without a folder") from error


def _quiet(phase: str, done: int, total: int) -> None:
    """No progress."""

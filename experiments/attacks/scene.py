"""Where liars act: a small federation of real nodes, whose run is met at a message.

The honest bank and the honest partner train and score over gRPC with mutual TLS on loopback, or by calls of functions,
every message becoming bytes and back. A liar stands at one party's side of the wire: it sees a message at the moment at
which it is sent, when all that must have happened before has happened, and sends its own. A bank that lies has the
bank's certificate and a connection of its own; what it sends passes the partner's port, sessions and ledger.
"""

import logging
import secrets
import shutil
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

import duckdb
import tomli_w

from bank_node.families.catalogue import load_model
from bank_node.node.node import BankNode
from bank_node.scoring.scoring import read_rows
from bank_node.settings.config import BankConfig
from bank_node.settings.config import load_config as load_bank
from experiments.run.prepare import write_demo
from partner_node.config import PartnerConfig
from partner_node.config import load_config as load_partner
from partner_node.node.node import PartnerNode
from partner_node.node.service import PartnerService
from protocol.errors import DataError, FedwarnError, UsageError
from protocol.files import folder_name
from protocol.identity import load_identity
from protocol.job import Job, load_job
from protocol.job.ladder import folder_of
from protocol.job.workload import Workload, workload
from protocol.messages import Message, Refusal, decode, encode
from protocol.transport.base import Transport
from protocol.transport.in_process import InProcess
from protocol.transport.over_grpc import GrpcTransport, serve_grpc
from protocol.wire.envelope import Envelope, Envelopes
from protocol.wire.session import BUG
from protocol.wire.session import LOG as SESSIONS

Carrier = Literal["grpc", "in-process"]
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

    sent: the honest request. node: of the partner, for what is true. send: to the partner, in the bank's name.
    """

    node: PartnerNode
    sent: Message
    send: Callable[[Envelope], Envelope]

    def ask(self, message: Message) -> Message | None:
        """The partner's answer to a message of the liar's, in a session of its own; None if it is refused."""
        answer = self.send(Envelope(secrets.token_hex(16), 0, message.KIND, encode(message)))
        reply = decode(answer.kind, answer.body)
        if not isinstance(reply, Refusal):
            return reply
        if reply.code == BUG:
            raise AssertionError(f"{message.KIND}: {reply.thing}")
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
    """Nodes as they are before any message, copied for every run. carrier: of their messages."""

    folder: Path
    source: Path
    job: Job
    text: str
    partner: str
    carrier: Carrier = "grpc"
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
        told, used = threading.Event(), threading.Event()

        def forge(reply: Envelope) -> Envelope:
            if reply.kind != kind or told.is_set():
                return reply
            told.set()
            return replace(reply, body=encode(forged(decode(kind, reply.body))))

        def look(request: Envelope) -> None:
            if told.is_set():
                used.set()
                raise _Told

        self._run(forge=forge, look=look)
        if not told.is_set():
            raise AssertionError(f"no run sends {kind}")
        return used.is_set()

    @property
    def plan(self) -> Workload:
        """What the approved file of the job plans."""
        return workload(self.job, self.partner)

    def _run(
        self,
        ambush: Ambush | None = None,
        forge: Callable[[Envelope], Envelope] = lambda reply: reply,
        look: Callable[[Envelope], None] = lambda request: None,
    ) -> FedwarnError | None:
        """An honest run but for the ambush or the forged replies; the error that it ended with.

        forge: what the partner sends of each reply. look: at each request before it is sent.
        """
        failed: FedwarnError | None = None
        with ExitStack() as stack:
            out, config, service, connect = stack.enter_context(self._nodes(forge))
            watched = stack.enter_context(closing(_Watched(self, service, connect(), connect(), ambush, look)))
            node = stack.enter_context(BankNode(config, watched, _quiet))
            try:
                node.train(self.job, self.text, out)
                rung = out / "models" / folder_of(f"{self.job.bank}+{self.partner}")
                models = [load_model(rung / name) for name in ("boosting", "glm")]
                rows = [read_rows(config, model, config.data.source.path) for model in models]
                for model, table in zip(models, rows, strict=True):
                    node.score(model, table, set())
                if config.alignment == "one-sided" and not config.dating:
                    node.refresh(models, rows[0].ids)
            except _Told:
                pass
            except FedwarnError as error:
                failed = error
        return failed

    @contextmanager
    def door(self) -> Iterator[Callable[[Envelope], Envelope]]:
        """What sends an envelope to a partner that nobody has greeted yet, in the bank's name."""
        with self._nodes(lambda reply: reply) as (_, _, _, connect), closing(connect()) as transport:
            yield lambda envelope: transport.exchange({self.partner: envelope})[self.partner]

    @contextmanager
    def _nodes(
        self, forge: Callable[[Envelope], Envelope]
    ) -> Iterator[tuple[Path, BankConfig, PartnerService, Callable[[], Transport]]]:
        """A copy of the nodes for one run: its folder, the bank's settings, the partner, what connects to it."""
        self.runs += 1
        out = Path(shutil.copytree(self.source, self.folder / f"run{self.runs}"))
        config = load_bank(out / "nodes" / folder_name(self.job.bank) / "node.toml")
        partner = load_partner(out / "nodes" / folder_name(self.partner) / "node.toml")
        level = SESSIONS.level
        SESSIONS.setLevel(logging.ERROR)  # what is refused here is counted, and not news
        try:
            with PartnerService(partner) as service:
                service._sessions._limits.sleep = lambda seconds: None  # a liar has time
                with _connecting(self, service, config, forge) as connect:
                    yield out, config, service, connect
        finally:
            SESSIONS.setLevel(level)
            shutil.rmtree(out)


class _Told(Exception):
    """The lie was told: the run need not go on."""


@contextmanager
def _connecting(
    scene: Scene, service: PartnerService, bank: BankConfig, forge: Callable[[Envelope], Envelope]
) -> Iterator[Callable[[], Transport]]:
    """What makes a connection to the partner in the bank's name."""

    def serve(peer: str, request: Envelope) -> Envelope:
        return forge(service.serve(peer, request))

    if scene.carrier == "in-process":
        yield lambda: InProcess(bank.party, {scene.partner: serve})
        return
    own = load_identity(bank.identity, bank.party, demo=True)
    theirs = load_identity(service._node.config.identity, scene.partner, demo=True)
    server = serve_grpc(
        "127.0.0.1:0", theirs, serve, peers=[bank.party], bound=service.most_bytes, unread=service.unread
    )
    try:
        yield lambda: GrpcTransport({scene.partner: str(server.address)}, own, patience_s=0.0)
    finally:
        server.stop(0.0)


@dataclass
class _Watched:
    """The honest bank's connection, which an ambush sees. lying: the liar's own. look: at each request."""

    scene: Scene
    service: PartnerService
    honest: Transport
    lying: Transport
    ambush: Ambush | None
    look: Callable[[Envelope], None]

    def exchange(self, requests: Envelopes) -> Envelopes:
        """As of any transport. Raises: _Told: once the lie was told."""
        ((partner, request),) = requests.items()
        self.look(request)
        self._met_at(request, after=False)
        answers = self.honest.exchange(requests)
        self._met_at(request, after=True)
        for told in (request, answers[partner]):
            if told.kind not in self.scene.recorded:
                self.scene.recorded[told.kind] = bytes(told.body)
        if self.ambush and self.ambush.met:
            raise _Told
        return answers

    def close(self) -> None:
        """Close both connections."""
        self.honest.close()
        self.lying.close()

    def _met_at(self, request: Envelope, after: bool) -> None:
        """Let the ambush act if it waits for this request, before or after its answer."""
        one = self.ambush
        if one and not one.met and (one.kind, one.after) == (request.kind, after):
            one.met = True
            one.gained = one.act(Meeting(self.service._node, decode(request.kind, request.body), self._send))

    def _send(self, envelope: Envelope) -> Envelope:
        return self.lying.exchange({self.scene.partner: envelope})[self.scene.partner]


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

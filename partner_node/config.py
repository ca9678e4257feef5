"""A partner node's settings: node.toml. Paths are relative to the file."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from protocol.contract import Contract
from protocol.settings import load_toml, resolve
from protocol.table import Source, TableSpec

_STRICT = ConfigDict(extra="forbid", frozen=True)


class Data(TableSpec):
    """The partner's table. source: the file; id: its id columns; columns: features, all the others if not given."""

    source: Source


class Policy(BaseModel):
    """What this partner enforces.

    equation_budget: "enforced", or only "counted" (for a table dealt out in one place).
    noise_seed: for experiments in one hand only; without it the noise key comes from the operating system.
    """

    model_config = _STRICT

    equation_budget: Literal["enforced", "counted"] = "enforced"
    noise_seed: str = ""


class PartnerConfig(BaseModel):
    """All settings of a partner node.

    party: its name. bank: the only party it answers. listen: host:port of the peer port; health: of the loopback
    port. identity: folder of ca.pem, cert.pem, key.pem. state: folder of budgets, ledger and alignments.
    engine, alignment, split_rows: as agreed; both nodes must name the same. demo: accept demo certificates.
    """

    model_config = _STRICT

    schema_: int = Field(1, alias="schema")
    party: str
    bank: str
    listen: str = "127.0.0.1:7700"
    health: str = ""
    identity: Path = Path("identity")
    state: Path = Path("state")
    engine: Literal["blind", "plaintext"] = "blind"
    alignment: Literal["one-sided", "shared"] = "one-sided"
    split_rows: Literal["all", "node"] = "all"
    demo: bool = False
    data: Data
    contract: Contract = Contract()
    policy: Policy = Policy()


def load_config(path: Path) -> PartnerConfig:
    """Read node.toml. Raises: UsageError."""
    config = load_toml(PartnerConfig, path)
    source = config.data.source.model_copy(update={"path": resolve(config.data.source.path, path)})
    return config.model_copy(
        update={
            "identity": resolve(config.identity, path),
            "state": resolve(config.state, path),
            "data": config.data.model_copy(update={"source": source}),
        }
    )

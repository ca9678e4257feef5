"""A bank node's settings: node.toml. Paths are relative to the file."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from protocol.contract import Contract
from protocol.settings import load_toml, resolve
from protocol.table import Source, TableSpec

_STRICT = ConfigDict(extra="forbid", frozen=True)


class Data(TableSpec):
    """The bank's table. source: the file; label: 0 or 1, 1 = bad; columns: features, all the others if not given."""

    source: Source


class PartnerAddress(BaseModel):
    """Where a partner's node listens. address: host:port."""

    model_config = _STRICT

    address: str


class BankConfig(BaseModel):
    """All settings of a bank node.

    party: its name. partners: by name; the name is pinned to their certificate. identity: folder of ca.pem,
    cert.pem, key.pem. state: folder of keys, hints, alignments, journals and the ledger. deadline_s: of one
    exchange. engine, alignment, split_rows: as agreed; both nodes must name the same. demo: accept demo
    certificates.
    """

    model_config = _STRICT

    schema_: int = Field(default=1, alias="schema")
    party: str
    partners: dict[str, PartnerAddress]
    identity: Path = Path("identity")
    state: Path = Path("state")
    engine: Literal["blind", "plaintext"] = "blind"
    alignment: Literal["one-sided", "shared"] = "one-sided"
    split_rows: Literal["all", "node"] = "all"
    deadline_s: float = Field(default=600.0, gt=0)
    patience_s: float = Field(default=20.0, ge=0)
    demo: bool = False
    data: Data
    contract: Contract = Contract()


def load_config(path: Path) -> BankConfig:
    """Read node.toml. Raises: UsageError."""
    config = load_toml(BankConfig, path)
    source = config.data.source.model_copy(update={"path": resolve(config.data.source.path, path)})
    return config.model_copy(
        update={
            "identity": resolve(config.identity, path),
            "state": resolve(config.state, path),
            "data": config.data.model_copy(update={"source": source}),
        }
    )

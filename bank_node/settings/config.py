"""A bank node's settings: node.toml. Paths are relative to the file."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from protocol.node.settings import NodeSettings, load_node_settings


class PartnerAddress(BaseModel):
    """Where a partner's node listens. address: host:port."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str


class BankConfig(NodeSettings):
    """All settings of a bank node, besides what every node has.

    partners: by name; the name is pinned to their certificate. deadline_s: of one exchange, work included.
    patience_s: how long to wait for a partner that was there to come back.
    """

    partners: dict[str, PartnerAddress]
    deadline_s: float = Field(default=600.0, gt=0)
    patience_s: float = Field(default=20.0, ge=0)


def load_config(path: Path) -> BankConfig:
    """Read node.toml. Raises: UsageError."""
    return load_node_settings(BankConfig, path)

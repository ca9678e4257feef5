"""A partner node's settings: node.toml. Paths are relative to the file."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from protocol.algorithms.binning import wrong_names
from protocol.node.settings import NodeSettings, load_node_settings


class Policy(BaseModel):
    """What this partner enforces.

    approve: "manual": a job waits until `partner-node approve` has been run with its file; or "auto", for simulations:
    trees and bin tables are answered without a file.
    account: the name under which all that is released is added up, whatever the file that holds the table. Another
    name begins new budgets, and is a decision: take one for a table that does not say what the last one said.
    equation_budget: "enforced", or only "counted" (for a table dealt out in one place).
    noise_seed: for experiments in one hand only; without it the noise key comes from the operating system.
    revoked_pools: names of pools that are no longer scored by; "all" revokes every pool. revoked_columns: columns whose
    thresholds and coefficients are no longer applied, in whatever pool they are.
    names: columns by the name under which the bank may show them; others go by number. tell_bins: of these, the ones
    of which the bank is told what lies in each bin (cuts, categories).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    approve: Literal["auto", "manual"] = "manual"
    account: str = Field(default="table", min_length=1)
    equation_budget: Literal["enforced", "counted"] = "enforced"
    noise_seed: str = ""
    revoked_pools: tuple[str, ...] = ()
    revoked_columns: tuple[str, ...] = ()
    names: dict[str, str] = {}
    tell_bins: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _bins_of_named_columns(self) -> "Policy":
        if wrong_names(self.names):
            raise ValueError(f"names {wrong_names(self.names)}")
        unnamed = [column for column in self.tell_bins if column not in self.names]
        if unnamed:
            raise ValueError(f"tell_bins has {unnamed[0]!r}, which names gives no name")
        return self


PUBLISHED: Final = "published.json"
"""In the state folder: the file that was published last."""


class Published(BaseModel):
    """What `publish` leaves for the nodes and commands that follow.

    configured: the path in node.toml at that time; where another one stands there later, that one holds. path, kind,
    sha256: of the file that was published.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    configured: Path
    path: Path
    kind: Literal["csv", "parquet", "xlsx"]
    sha256: str


class PartnerConfig(NodeSettings):
    """All settings of a partner node, besides what every node has.

    bank: the only party it answers. listen: host:port of the peer port. health: of the loopback port, "" for none.
    peers: partners in the sum of whose scores its own may be hidden, by the fingerprint of their key (`keys` tells it);
    of none named, any that the authority certifies.
    """

    bank: str
    listen: str = "127.0.0.1:7700"
    health: str = ""
    peers: dict[str, Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")]] = Field({})
    policy: Policy = Policy()
    _configured: Path = PrivateAttr(Path())

    @model_validator(mode="after")
    def _approves_by_file(self) -> "PartnerConfig":
        if self.policy.approve == "auto" and not self.demo:
            raise ValueError('policy.approve "auto" is for simulations, and needs demo = true; take "manual"')
        return self

    @property
    def configured(self) -> Path:
        """The path of the table in node.toml, whatever was published since."""
        return self._configured if self._configured.name else self.data.source.path

    @property
    def published(self) -> Published | None:
        """What was published last for the table of node.toml; None where nothing was."""
        file = self.state / PUBLISHED
        found = Published.model_validate_json(file.read_bytes()) if file.is_file() else None
        return found if found and found.configured == self.configured else None

    def with_published(self) -> "PartnerConfig":
        """The same, with the file that was published last as its table."""
        found = self.published
        if found is None:
            return self
        changes = {"path": found.path, "kind": found.kind, "sha256": found.sha256}
        source = self.data.source.model_copy(update=changes)
        made = self.model_copy(update={"data": self.data.model_copy(update={"source": source})})
        made._configured = found.configured
        return made


def load_config(path: Path) -> PartnerConfig:
    """Read node.toml, and take the table that was published last. Raises: UsageError."""
    return load_node_settings(PartnerConfig, path).with_published()

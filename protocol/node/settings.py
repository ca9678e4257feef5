"""What the settings of a bank's and a partner's node have in common: node.toml."""

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from protocol.contract import Contract
from protocol.errors import UsageError
from protocol.settings import load_toml, resolve
from protocol.table import Source, TableSpec
from protocol.table.dates import EXACT, Grid, Periods
from protocol.table.snapshots import SNAPSHOTS


class NodeData(TableSpec, Periods):
    """The node's table. source: the file; the rest says what its columns are, and the grid of points in time."""

    source: Source


class NodeSettings(BaseModel):
    """Settings of any node. Paths are relative to the file.

    party: its name. identity: folder of ca.pem, cert.pem, key.pem. state: folder of keys, ledger and all that must
    outlive a run. engine, alignment, split_rows: as agreed; both nodes must name the same. demo: accept
    demonstration certificates. secrets: folder of the wrapping key, outside of backups. anchor: file outside of state,
    best on another disk, that says how far the books are. audit_days: after which keys of runs are erased. contract:
    the clauses it stands by; between two nodes the stricter one holds. contract_keys: public keys, by party, of those
    who sign contracts. require_contract: whether it works under a signed contract alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: int = Field(default=1, alias="schema")
    party: str
    identity: Path = Path("identity")
    state: Path = Path("state")
    secrets: Path = Path("secrets")
    anchor: Path | None = None
    audit_days: int = Field(default=90, ge=1)
    engine: Literal["blind", "plaintext", "ckks", "paillier"] = "blind"
    alignment: Literal["one-sided", "shared"] = "one-sided"
    split_rows: Literal["all", "node"] = "all"
    demo: bool = False
    data: NodeData
    contract: Contract = Contract()
    contract_keys: dict[str, Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")]] = Field({})
    require_contract: bool = False

    @model_validator(mode="after")
    def _rows_may_be_named(self) -> "NodeSettings":
        if self.split_rows == "node" and self.alignment != "shared":
            raise ValueError('split_rows "node" names rows to the partner, and needs alignment "shared"')
        return self

    @model_validator(mode="after")
    def _dates_agree(self) -> "NodeSettings":
        data = self.data
        if data.wrong_grid():
            raise ValueError(f"data.{data.wrong_grid()}")
        if data.as_of and self.alignment == "one-sided" and data.grid is None:
            raise ValueError('data.as_of with alignment "one-sided" needs data.first and data.last, as in the job')
        return self

    @property
    def grid(self) -> Grid | None:
        """The points in time at which records are laid out; None without dates, or where exact dates are sent."""
        return self.data.grid if self.data.as_of and self.alignment == "one-sided" else None

    @property
    def alignment_terms(self) -> str:
        """What two nodes must have alike to align: the setting, and how ids are made alike where it is not as usual."""
        return ", ".join(filter(None, (self.alignment, self.data.id_rule.text)))

    @property
    def dating(self) -> str:
        """What two nodes must have alike: the grid, `EXACT`, or "" without dates."""
        if not self.data.as_of:
            return ""
        return self.grid.text if self.grid else EXACT


N = TypeVar("N", bound=NodeSettings)


def load_node_settings(model: type[N], path: Path) -> N:
    """Read node.toml. Raises: UsageError: it cannot be read, or a folder is in the wrong place."""
    settings = load_toml(model, path)
    source = settings.data.source.beside(path, resolve(settings.state, path) / SNAPSHOTS)
    found = settings.model_copy(
        update={
            "identity": resolve(settings.identity, path),
            "state": resolve(settings.state, path),
            "secrets": resolve(settings.secrets, path),
            "anchor": None if settings.anchor is None else resolve(settings.anchor, path),
            "data": settings.data.model_copy(update={"source": source}),
        }
    )
    for key, place in (("secrets", found.secrets), ("anchor", found.anchor)):
        if place is not None and found.state.resolve() in (place.resolve(), *place.resolve().parents):
            # A copy of the state folder would hold it too, and a restored copy would not be noticed.
            thing = f"{key} lies in the state folder, and has to lie outside of it"
            raise UsageError(found.party, thing, f"set {key} in {path.name} to a place that no backup of state holds")
    return found

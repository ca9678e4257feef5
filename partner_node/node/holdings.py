"""What a partner's node holds: settings, table, budgets, approvals, pools, and its key. The desks share it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from partner_node.algorithms.binning import require_named, require_ordered, require_preparable
from partner_node.algorithms.masks import Masks
from partner_node.config import PartnerConfig
from partner_node.node.publishing import read_published, take_up
from partner_node.policy.budgets import Budgets
from partner_node.policy.opening import open_budgets
from partner_node.policy.policy import APPROVALS, Approvals
from partner_node.store.cache import Cache
from partner_node.store.pools import Pools
from protocol.algorithms.alignment import PartnerAlignment
from protocol.errors import ALIGN_ANEW, IntegrityError, PeerError
from protocol.files import kept_key, own_folder
from protocol.he.engines import OWN, require
from protocol.he.streams import derive, digest
from protocol.identity import load_identity
from protocol.table import Table

LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holdings:
    """Everything that must be remembered is in the state folder.

    key: the node's secret. naming_key: of names that leave. cache: of a node that is made again and again.
    """

    config: PartnerConfig
    table: Table
    budgets: Budgets
    approvals: Approvals
    pools: Pools
    key: bytes = field(repr=False)
    naming_key: bytes = field(repr=False)
    cache: Cache | None = None

    def close(self) -> None:
        """Close budgets and approvals."""
        self.budgets.close()
        self.approvals.close()

    @property
    def data(self) -> str:
        """The name of the table at the bank."""
        return self.name_of("table", bytes.fromhex(self.table.sha256))

    def name_of(self, purpose: str, *content: bytes) -> str:
        """Name content to the bank, 64 hex digits.

        The name is a MAC (HKDF-SHA256): a plain SHA-256 would let the bank confirm a guess of the content.
        """
        return derive(self.naming_key, purpose, *content).hex()

    def require_engine(self, engine: str, keys: bytes) -> None:
        """Hold a hint to our engine. keys: of the bank's, which would be kept on this disk.

        Raises: PeerError: it asks for another engine than ours. IntegrityError: keys where the engine has none.
        """
        if engine != self.config.engine:
            raise PeerError(self.config.bank, f"asks for engine {engine}", "set the same engine at both nodes")
        if keys and engine in OWN:
            thing = f"sent {len(keys)} bytes of keys, and engine {engine} has none"
            raise IntegrityError(self.config.bank, thing, "run the same version on both sides")

    def known_file(self, name: str, file_of: Callable[[str], Path]) -> Path:
        """A file of ours that the bank names. Raises: IntegrityError: there is none."""
        path = file_of(name)
        if not path.exists():
            raise IntegrityError(self.config.bank, "names an unknown layout or hint", ALIGN_ANEW)
        return path


def open_holdings(config: PartnerConfig, cache: Cache | None) -> Holdings:
    """Read the table, open all else. Raises: DataError, UsageError."""
    require(config.engine, config.party)
    own_folder(config.state)
    table = read_published(config)
    require_ordered(config.party, table.columns, config.data.monotone)
    require_named(config.party, table.columns, config.policy.names, "[policy] names")
    require_preparable(config.party, table.columns, config.data.prepare)
    key, seed = kept_key(config.state / "partner.key"), config.policy.noise_seed
    # Where one hand holds all parties, two runs of one job give the same names, and so the same report.
    naming_key = digest(b"fedwarn.v1 names", seed.encode()) if seed else key
    budgets = open_budgets(config)
    budgets.open_account(config.policy.account, table.sha256)
    take_up(config, budgets, table, key)
    if why := budgets.books.behind:
        LOG.warning("%s answers nothing but greetings before `recover`: %s", config.party, why)
    return Holdings(
        config=config,
        table=table,
        budgets=budgets,
        approvals=Approvals(config.state / APPROVALS, config.party),
        pools=Pools(config.state / "pools", config.party, naming_key),
        key=key,
        naming_key=naming_key,
        cache=cache,
    )


def masks_of(own: Holdings, alignment: Callable[[str], PartnerAlignment]) -> Masks:
    """Masks with other partners. alignment: a kept one, by its name."""
    config = own.config
    identity = partial(load_identity, config.identity, config.party, config.demo)
    return Masks(config.party, config.bank, config.state / "masks", own.budgets, identity, config.peers, alignment)

"""Versions of the table: published by a person, taken up by a running node, and a file that was only replaced.

    partner-node publish FILE                      a running node
     |  reads and checks FILE against the version before
     |  keeps the state of its rows, then its entry in the books, then published.json
     |                                              |  at the next greeting: reads FILE, and answers of it

A crash between the steps leaves the version before in force, and the same command again goes on.
"""

import logging
import os
from pathlib import Path
from typing import Final

from partner_node.config import PUBLISHED, PartnerConfig, Published
from partner_node.policy.budgets import Budgets
from partner_node.policy.opening import open_budgets
from partner_node.policy.versions import Version, Versions
from partner_node.store.row_states import RowStates, load_states, states_of
from protocol.errors import DataError, UsageError
from protocol.files import kept_key, own_folder, write_whole
from protocol.he.streams import digest
from protocol.table import Table, file_sha256, read_table
from protocol.table.one_file import kind_of

LOG: Final = logging.getLogger(__name__)
FileState = tuple[int, int, int] | None
LEAST_KNOWN: Final = 0.5
"""Of the ids of the version before: a file that has fewer of them writes its ids otherwise, or is another table."""


def read_published(config: PartnerConfig) -> Table:
    """The node's table. Raises: UsageError, DataError: also where its file was replaced after it was published."""
    source, found = config.data.source, config.published
    if found is not None:
        if file_sha256(source.path, config.party) != found.sha256:
            thing = f"{source.path.name} was replaced after it was published"
            raise DataError(config.party, thing, f"run `partner-node publish {source.path.name}`, or put it back")
        source = source.model_copy(update={"sha256": ""})
    return read_table(source, config.data, config.party, store=config.state)


def take_up(config: PartnerConfig, budgets: Budgets, table: Table, key: bytes) -> Version:
    """Enter the table that a node has read as the latest version of its lineage, if it is not yet.

    A file that was replaced between two starts without `publish` is taken up too, and named.
    """
    account = config.policy.account
    versions, before = Versions(budgets, account), Versions(budgets, account).latest
    if before is not None and before.sha256 == table.sha256:
        return before
    if before is not None and config.published is None:
        LOG.warning(
            "%s: %s is another file than at the last start, and was not published; it is taken up as version %d",
            config.party, config.data.source.path.name, before.number + 1,
        )  # fmt: skip
    states = states_of(table, key)
    return _enter(config, versions, table, states, _states(config, before))


def publish(config: PartnerConfig, file: Path) -> Version:
    """Check a file against the version before, and make it the new version of the table.

    Raises: UsageError: it is not there, or the table is a database's. DataError: it lacks a column, has one of another
    kind, or names its rows otherwise.
    """
    if config.data.source.kind == "sql":
        raise UsageError(config.party, "its table is a query's, and publish takes a file", "set a source of a file")
    path, kind = file.resolve(), kind_of(file)
    sha256 = file_sha256(path, config.party)
    source = config.data.source.model_copy(update={"path": path, "kind": kind, "sha256": sha256})
    key = kept_key(own_folder(config.state) / "partner.key")
    table = read_table(source, config.data, config.party, store=config.state)
    states = states_of(table, key)
    budgets = open_budgets(config)
    try:
        versions = Versions(budgets, config.policy.account)
        before = _states(config, versions.latest)
        _require_like(config.party, file.name, states, before)
        made = _enter(config, versions, table, states, before)
    finally:
        budgets.close()
    left = Published(configured=config.configured, path=path, kind=kind, sha256=table.sha256)
    write_whole(config.state / PUBLISHED, left.model_dump_json().encode(), durable=True)
    return made


def file_state(config: PartnerConfig) -> FileState:
    """What of the table's file differs after it was written again; None of a folder or a database."""
    try:
        state = os.stat(config.data.source.path)
    except OSError:
        return None
    return state.st_ino, state.st_size, state.st_mtime_ns


def notice_replaced(config: PartnerConfig, seen: FileState) -> FileState:
    """Name a file that was replaced under a running node, once; what it now is."""
    now = file_state(config)
    if now != seen:
        name = config.data.source.path.name
        LOG.warning(
            "%s: %s was replaced under the running node and not published; it answers of the version that it has read "
            "until `partner-node publish %s`", config.party, name, name,
        )  # fmt: skip
    return now


def _enter(
    config: PartnerConfig, versions: Versions, table: Table, states: RowStates, before: RowStates | None
) -> Version:
    changed = table.rows if before is None else states.changed(before)
    states.save(states_file(config, table.sha256))
    return versions.enter(table.sha256, table.rows, changed)


def _states(config: PartnerConfig, version: Version | None) -> RowStates | None:
    return load_states(states_file(config, version.sha256)) if version else None


def states_file(config: PartnerConfig, sha256: str) -> Path:
    """Where the states of the rows of a version are kept."""
    return lineage_folder(config) / f"{sha256}.npz"


def lineage_folder(config: PartnerConfig) -> Path:
    """The folder of a lineage, for the owner's eyes only."""
    name = digest(b"fedwarn.v1 lineage", config.policy.account.encode()).hex()[:32]
    return own_folder(own_folder(config.state / "lineages") / name)


def _require_like(party: str, name: str, states: RowStates, before: RowStates | None) -> None:
    """Raises: DataError: a column is gone or of another kind, or the ids are others."""
    if before is None:
        return
    for column, kind in before.kinds.items():
        now = states.kinds.get(column)
        if now != kind:
            thing = f"lacks the column {column!r}" if now is None else f"has {column!r} as a {now}, which was a {kind}"
            raise DataError(party, f"{name} {thing} of the version before", "bring the column back as it was")
    known = states.known(before)
    if known < LEAST_KNOWN * len(before.ids):
        thing = f"{name} has {known:,} of the {len(before.ids):,} ids of the version before"
        raise DataError(party, thing, "write ids as before, or name another account under [policy] for another table")

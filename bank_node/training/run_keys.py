"""The bank's master of one run: drawn when its journal begins, wrapped by a key outside of backups, erased in time."""

import time
from pathlib import Path
from typing import Final

from bank_node.config import BankConfig
from protocol.errors import RefusedError
from protocol.he.streams import fresh_key
from protocol.node.files import write_whole
from protocol.node.keys import keeper_of

_FILE: Final = "master"
_DAY_S: Final = 86_400


def run_master(config: BankConfig, folder: Path, job: str) -> bytes:
    """The key from which a run's sealing keys are derived; a resumed run has the one that it began with.

    folder: of the run's journal. Raises: RefusedError: the run had one, and it was erased.
    """
    path, keeper = folder / _FILE, keeper_of(config.party, config.secrets)
    if path.exists():
        return keeper.unwrap(path.read_bytes(), "run", job)
    replies = folder / "replies"
    if replies.exists() and replies.stat().st_size:
        raise RefusedError(
            config.party, f"the keys of this run were erased, {config.audit_days} days after it began",
            f"remove {folder.name} from its journals to open a new run", "audit_days",
        )  # fmt: skip
    master = fresh_key()
    write_whole(path, keeper.wrap(master, "run", job))
    return master


def erase_old_masters(config: BankConfig) -> int:
    """Erase the masters of runs that began more than `audit_days` ago; how many."""
    oldest = time.time() - config.audit_days * _DAY_S
    old = [p for p in (config.state / "journals").glob(f"*/{_FILE}") if p.stat().st_mtime < oldest]
    for path in old:
        path.unlink()
    return len(old)

"""The bank's master of one run: drawn when its journal begins, wrapped by a key outside of backups, erased in time."""

import time
from math import inf
from pathlib import Path
from typing import Final

from bank_node.settings.config import BankConfig
from protocol.errors import RefusedError
from protocol.files import write_whole
from protocol.he.streams import fresh_key
from protocol.node.keys import AUDIT_DAYS, KeyErasedError, keeper_of

_FILE: Final = "master"
_DAY_S: Final = 86_400


def run_master(config: BankConfig, folder: Path, job: str) -> bytes:
    """The key from which a run's sealing keys are derived; a resumed run has the one with which it began.

    Args:
        folder: of the run's journal.
        job: the job's SHA-256.

    Raises: RefusedError: the run had such a key, and it was erased, or the key that wraps it was.
    """
    path, keeper = folder / _FILE, keeper_of(config.party, config.secrets)
    remedy = f"remove the folder journals/{folder.name} from its state and train again, which opens a new run"
    if path.exists():
        try:
            return keeper.unwrap(path.read_bytes(), "run", job)
        except KeyErasedError:
            thing = "the keys of this run cannot be unwrapped: the wrapping key in its secrets was erased or replaced"
            raise RefusedError(config.party, thing, remedy, AUDIT_DAYS) from None
    replies = folder / "replies"
    if replies.exists() and replies.stat().st_size:
        thing = f"the keys of this run were erased by `recover`, or {config.audit_days} days after the run began"
        raise RefusedError(config.party, thing, remedy, AUDIT_DAYS)
    master = fresh_key()
    write_whole(path, keeper.wrap(master, "run", job), durable=True)
    return master


def erase_old_masters(config: BankConfig) -> int:
    """Erase the masters of runs that began more than `audit_days` ago; how many."""
    return _erase(config, time.time() - config.audit_days * _DAY_S)


def erase_all_masters(config: BankConfig) -> int:
    """Erase the masters of all runs, so that none of them is resumed; how many."""
    return _erase(config, inf)


def _erase(config: BankConfig, before: float) -> int:
    old = [p for p in (config.state / "journals").glob(f"*/{_FILE}") if p.stat().st_mtime < before]
    for path in old:
        path.unlink()
    return len(old)

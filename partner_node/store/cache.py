"""Bytes by their SHA-256, on disk: what is too large to be carried from worker to worker beside its digest."""

import hashlib
from pathlib import Path

from protocol.errors import IntegrityError
from protocol.files import own_folder, write_whole


class Cache:
    """A folder for the owner's eyes only (mode 0700). party: whose, for errors."""

    def __init__(self, folder: Path, party: str) -> None:
        self._folder, self._party = own_folder(folder), party

    def keep(self, content: bytes) -> str:
        """Keep some bytes; their name. Raises: UsageError: the disk is full."""
        name = hashlib.sha256(content).hexdigest()
        if not (self._folder / name).exists():
            write_whole(self._folder / name, content)
        return name

    def find(self, name: str) -> bytes:
        """The bytes of a name. Raises: IntegrityError: they are not there, or are others."""
        path = self._folder / name
        content = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(content).hexdigest() != name:
            raise IntegrityError(self._party, "has lost a file of its cache", "run the job again from its alignment")
        return content

    def forget(self, name: str) -> None:
        """Remove what is no longer needed."""
        if name:
            (self._folder / name).unlink(missing_ok=True)

    def note(self, key: str, name: str) -> None:
        """Write down under which name something is kept."""
        write_whole(self._folder / f"{key}.name", name.encode())

    def noted(self, key: str) -> str | None:
        """The name written down for a key, if there is one."""
        path = self._folder / f"{key}.name"
        return path.read_text(encoding="ascii") if path.is_file() else None

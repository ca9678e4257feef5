"""What passed between the parties while one rung was trained, added up by kind, for the report."""

from bank_node.record.facts import DisclosureRow
from protocol.messages import Disclosure, Message


class Tally:
    """Counts messages and bytes by sender, receiver and kind. bank: the bank's party name."""

    def __init__(self, bank: str) -> None:
        self._bank = bank
        self._rows: dict[tuple[str, str, str, bool], tuple[Disclosure, int, int]] = {}

    def observe(self, party: str, request: Message, sent: int, reply: Message, received: int) -> None:
        """Count one exchange with a party; sizes in bytes."""
        self._add(self._bank, party, request, sent)
        self._add(party, self._bank, reply, received)

    def take(self) -> list[DisclosureRow]:
        """The rows so far; begins anew."""
        rows = [
            DisclosureRow(
                sender=sender, receiver=receiver, kind=kind, content=said.content, purpose=said.purpose,
                encrypted=encrypted, count=count, bytes=size,
            )
            for (sender, receiver, kind, encrypted), (said, count, size) in sorted(self._rows.items(), key=_key)
        ]  # fmt: skip
        self._rows = {}
        return rows

    def _add(self, sender: str, receiver: str, message: Message, size: int) -> None:
        said = message.disclosure
        key = sender, receiver, message.KIND, said.encrypted
        _, count, total = self._rows.get(key, (said, 0, 0))
        self._rows[key] = said, count + 1, total + size


def _key(row: tuple[tuple[str, str, str, bool], object]) -> tuple[str, str, str, bool]:
    return row[0]

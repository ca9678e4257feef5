"""The ledger: chained, owned by one process, fast, and in agreement with the other side's."""

import hashlib
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import IntegrityError, UsageError
from protocol.fields import printable
from protocol.ledger import Ledger, export_receipt, read_ledger
from protocol.ledger.ledger import Entry
from protocol.ledger.receipts import Mismatch, read_receipt, reconcile
from protocol.messages import MOST_FIELDS, U8, Disclosure, Message, cleartext, declared, encode
from protocol.transport.in_process import InProcess
from protocol.wire.envelope import Envelope
from protocol.wire.session import BankSession, PartnerSessions


@declared("test.ledger_query", content="a sealed number", purpose="test the ledger", encrypted=True)
class Query(Message, frozen=True):
    """Its disclosure depends on what it carries."""

    number: int
    open: bool = False

    @property
    def disclosure(self) -> Disclosure:
        return Disclosure("an open number", False, "test the ledger") if self.open else self.DISCLOSURE


@declared("test.ledger_answer", content="a number", purpose="test the ledger")
class Answer(Message, frozen=True):
    """The double."""

    number: int


def observe(ledger: Ledger) -> dict[str, object]:
    return {
        "on_sent": lambda p, e, m: ledger.record("sent", p, e, m),
        "on_received": lambda p, e, m: ledger.record("received", p, e, m),
    }


def enter(ledger: Ledger, numbers: range) -> None:
    for k in numbers:
        message = Query(number=k, open=k % 2 == 0)
        ledger.record("sent", "telecom", Envelope("ab", k, Query.KIND, encode(message)), message)


def converse(folder: Path, questions: int = 5) -> dict[str, Path]:
    """A bank asks two partners; the receipt of each party."""
    ledgers = {name: Ledger(folder / name / "ledger.sqlite", name) for name in ("bank", "telecom", "税务局")}

    def handle(peer: str, message: Message) -> Message:
        assert isinstance(message, Query)
        return Answer(number=2 * message.number)

    partners = {
        name: PartnerSessions(name, handle, **observe(ledgers[name])).serve  # type: ignore[arg-type]
        for name in ("telecom", "税务局")
    }
    bank = BankSession(InProcess("bank", partners).exchange, **observe(ledgers["bank"]))  # type: ignore[arg-type]
    for k in range(questions):
        bank.exchange({"telecom": Query(number=k), "税务局": Query(number=k)})
    receipts = {}
    for name, ledger in ledgers.items():
        ledger.close()
        receipts[name] = folder / f"{name}.jsonl"
        export_receipt(folder / name / "ledger.sqlite", receipts[name], name)
    return receipts


def test_an_untouched_ledger_holds_also_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    first = Ledger(path, "bank")
    enter(first, range(5))
    assert first.verify() is None
    first.close()
    second = Ledger(path, "bank")
    enter(second, range(5, 8))
    assert second.verify() is None
    assert [e.number for e in second.entries()] == list(range(1, 9))
    assert second.entries()[6].sequence == 6


@pytest.mark.parametrize(
    ("change", "bad"),
    [
        ("UPDATE entries SET bytes = bytes + 1 WHERE number = 4", 4),
        ("UPDATE entries SET encrypted = 1 - encrypted WHERE number = 1", 1),
        ("UPDATE entries SET purpose = 'nothing at all' WHERE number = 6", 6),
        ("UPDATE entries SET time = '2020-01-01T00:00:00.000+00:00' WHERE number = 2", 2),
        ("DELETE FROM entries WHERE number = 3", 3),
        ("UPDATE entries SET number = 99 WHERE number = 5", 5),
        ("UPDATE entries SET digest = (SELECT digest FROM entries WHERE number = 1) WHERE number = 2", 2),
        ("UPDATE entries SET chain = 'zz' WHERE number = 2", 2),
        ("UPDATE owner SET party = 'another'", 1),
    ],
)
def test_the_first_bad_entry_is_named(tmp_path: Path, change: str, bad: int) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path, "bank")
    enter(ledger, range(6))
    ledger.close()
    with sqlite3.connect(path) as base:
        assert base.execute(change).rowcount == 1
    assert read_ledger(path).verify() == bad


def test_the_summary_adds_up_by_kind_and_by_what_was_in_the_clear(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite", "bank")
    enter(ledger, range(5))
    enter(ledger, range(3))  # sent again
    ledger.record("received", "telecom", Envelope("ab", 0, Answer.KIND, b"1234"), Answer(number=1))
    rows = ledger.summary()
    assert [(r["sender"], r["receiver"], r["kind"], r["encrypted"], r["count"]) for r in rows] == [
        ("bank", "telecom", Query.KIND, False, 3),
        ("bank", "telecom", Query.KIND, True, 2),
        ("telecom", "bank", Answer.KIND, False, 1),
    ]
    assert [r["bytes"] for r in rows] == [
        3 * len(encode(Query(number=0, open=True))),
        2 * len(encode(Query(number=1))),
        4,
    ]
    assert (rows[0]["content"], rows[1]["content"]) == ("an open number", "a sealed number")
    assert rows[2]["purpose"] == "test the ledger"


def test_a_second_writer_is_refused_and_a_reader_is_not(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path, "bank")
    enter(ledger, range(3))
    with pytest.raises(UsageError, match="being written by another process"):
        Ledger(path, "bank")
    script = "import sys, pathlib; from protocol.ledger import Ledger; Ledger(pathlib.Path(sys.argv[1]), 'bank')"
    other = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert "being written by another process" in other.stderr
    assert len(read_ledger(path).entries()) == 3
    ledger.close()
    Ledger(path, "bank").close()


def test_the_ledger_of_another_party_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger.sqlite", "bank").close()
    with pytest.raises(UsageError, match="is the ledger of bank"):
        Ledger(tmp_path / "ledger.sqlite", "telecom")
    with pytest.raises(UsageError, match="is the ledger of bank"):
        export_receipt(tmp_path / "ledger.sqlite", tmp_path / "r.jsonl", "telecom")
    with pytest.raises(UsageError, match="there is none"):
        read_ledger(tmp_path / "none.sqlite")


def test_a_full_disk_is_a_sentence_and_leaves_a_ledger_that_holds(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite", "bank")
    enter(ledger, range(3))
    (pages,) = ledger._base.execute("PRAGMA page_count").fetchone()
    ledger._base.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(UsageError, match="bank: the disk is full"):
        enter(ledger, range(3, 500))
    ledger._base.execute("PRAGMA max_page_count = 100000")
    enter(ledger, range(500, 510))
    assert ledger.verify() is None


def test_threads_and_speed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite", "bank")
    message = Query(number=1)
    envelopes = [Envelope("ab", k, Query.KIND, encode(message)) for k in range(2000)]
    start = time.perf_counter()
    for envelope in envelopes:
        ledger.record("sent", "telecom", envelope, message)
    each_ms = (time.perf_counter() - start) / len(envelopes) * 1e3
    print(f"{each_ms:.3f} ms a record")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda e: ledger.record("received", "telecom", e, message), envelopes))
    assert ledger.verify() is None
    assert len(ledger.entries()) == 4000
    assert each_ms < 2, "0.2 on an idle machine"


def test_receipts_of_one_conversation_agree_both_ways(tmp_path: Path) -> None:
    receipts = converse(tmp_path)
    assert len(read_receipt(receipts["bank"]).entries) == 20
    assert len(read_receipt(receipts["税务局"]).entries) == 10
    for partner in ("telecom", "税务局"):
        assert reconcile(receipts["bank"], receipts[partner]) is None
        assert reconcile(receipts[partner], receipts["bank"]) is None
    assert reconcile(receipts["telecom"], receipts["税务局"]) is None, "they never spoke"


def again(ledger: Ledger, entry: Entry) -> None:
    """Enter what another entry says."""
    envelope = Envelope(entry.session, entry.sequence, entry.kind, b"\0" * entry.bytes)
    envelope.__dict__["digest"] = bytes.fromhex(entry.digest)
    ledger._append(entry.direction, entry.peer, envelope, entry.time, Answer.DISCLOSURE, entry.fields)


def rewritten(path: Path, party: str, keep: slice, change: dict[int, dict[str, object]] | None = None) -> Path:
    """A receipt whose owner wrote its chain anew after changing it: each entry holds, the story is another."""
    folder = Path(tempfile.mkdtemp(dir=path.parent))
    forged = Ledger(folder / f"{party}.sqlite", party)
    for k, entry in list(enumerate(read_receipt(path).entries))[keep]:
        again(forged, msgspec.structs.replace(entry, **(change or {}).get(k, {})))
    forged.close()
    receipt = folder / path.name
    export_receipt(folder / f"{party}.sqlite", receipt, party)
    return receipt


def mismatch(a: Path, b: Path) -> Mismatch:
    found = reconcile(a, b)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("change", "number", "why"),
    [
        ({4: {"digest": "00" * 32}}, 5, "received another message"),
        ({5: {"digest": "00" * 32}}, 6, "than telecom sent"),
        ({2: {"kind": Answer.KIND}}, 3, "received another message"),
        ({4: {"sequence": 7}}, 5, "received another message"),
        ({4: {"fields": '{"number":9,"open":false}'}}, 5, "received another message"),
        ({5: {"fields": '{"number":9}'}}, 6, "than telecom sent"),
    ],
)
def test_a_rewritten_entry_is_found(
    tmp_path: Path, change: dict[int, dict[str, object]], number: int, why: str
) -> None:
    receipts = converse(tmp_path)
    forged = rewritten(receipts["telecom"], "telecom", slice(None), change)
    found = mismatch(receipts["bank"], forged)
    assert why in found.why
    if found.party == "telecom":
        assert found.number == number
    assert found.error().exit_code == 7


def test_a_left_out_entry_is_found_and_a_message_under_way_is_not_one(tmp_path: Path) -> None:
    receipts = converse(tmp_path)
    telecom, bank = receipts["telecom"], receipts["bank"]
    without_first = rewritten(telecom, "telecom", slice(1, None))
    assert "than bank sent" in mismatch(bank, without_first).why
    without_last = rewritten(telecom, "telecom", slice(None, -1))
    assert "received what telecom did not send" in mismatch(bank, without_last).why
    assert "sent what telecom did not receive" in mismatch(bank, rewritten(telecom, "telecom", slice(0, 0))).why
    one_sided = rewritten(bank, "bank", slice(None, -4))  # the bank has no word of the last exchange
    assert "received what bank did not send" in mismatch(one_sided, telecom).why
    died = rewritten(bank, "bank", slice(None, -2))  # it has sent, and the replies were lost
    assert reconcile(died, telecom) is None


def test_a_repeat_counts_once(tmp_path: Path) -> None:
    receipts = converse(tmp_path)
    entries = read_receipt(receipts["telecom"]).entries
    ledger = Ledger(tmp_path / "again" / "ledger.sqlite", "telecom")
    for entry in [*entries[:8], *entries[6:]]:  # the partner died after its fourth reply, and was asked again
        again(ledger, entry)
    ledger.close()
    export_receipt(tmp_path / "again" / "ledger.sqlite", tmp_path / "again.jsonl", "telecom")
    assert reconcile(receipts["bank"], tmp_path / "again.jsonl") is None


@settings(max_examples=20, deadline=None)
@given(
    line=st.integers(1, 10), field=st.sampled_from(["bytes", "digest", "purpose", "fields", "time", "peer", "session"])
)
def test_a_changed_line_of_a_receipt_is_named(tmp_path_factory: pytest.TempPathFactory, line: int, field: str) -> None:
    receipts = converse(tmp_path_factory.mktemp("run"))
    lines = receipts["telecom"].read_text().splitlines()
    entry = json.loads(lines[line])
    entry[field] = entry[field] + 1 if isinstance(entry[field], int) else entry[field][:-1] + "?"
    lines[line] = json.dumps(entry, ensure_ascii=False)
    receipts["telecom"].write_text("\n".join(lines))
    found = mismatch(receipts["bank"], receipts["telecom"])
    assert (found.party, found.number) == ("telecom", line)


@pytest.mark.parametrize(
    "damage", [lambda t: t[:-40], lambda t: t.rsplit("\n", 2)[0], lambda t: "", lambda t: "{}\n" + t]
)
def test_a_damaged_receipt_is_an_integrity_error(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    receipts = converse(tmp_path)
    receipts["telecom"].write_text(damage(receipts["telecom"].read_text()))
    with pytest.raises(IntegrityError):
        reconcile(receipts["bank"], receipts["telecom"])
    with pytest.raises(UsageError, match="there is none"):
        reconcile(receipts["bank"], tmp_path / "none.jsonl")


# -- what the sender says in clear ---------------------------------------------------------------------------------


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a message."""

    column: str
    seal: bytes


@declared("test.ledger_told", content="names and arrays", purpose="test the ledger")
class Told(Message, frozen=True):
    """Fields of every sort."""

    label: str
    parts: tuple[Part, ...]
    share: float
    sums: U8
    widths: dict[str, int]


def told(label: str) -> Told:
    return Told(
        label=label, parts=(Part(column="PA022", seal=b"secret"),), share=0.5,
        sums=np.arange(6, dtype=np.uint8).reshape(2, 3), widths={"g": 17},
    )  # fmt: skip


def test_fields_are_entered_as_told_without_arrays_and_bytes(tmp_path: Path) -> None:
    ledger, message = Ledger(tmp_path / "ledger.sqlite", "telecom"), told("job 1, round 2")
    ledger.record("received", "bank", Envelope("ab", 0, Told.KIND, encode(message)), message)
    (entry,) = ledger.entries()
    seal = f"6 bytes, sha256 {hashlib.sha256(b'secret').hexdigest()[:16]}"
    assert json.loads(entry.fields) == {
        "label": "job 1, round 2",
        "parts": [{"column": "PA022", "seal": seal}],
        "share": 0.5,
        "sums": "|u1 [2, 3]",
        "widths": {"g": 17},
    }


@settings(max_examples=50, deadline=None)
@given(label=st.text(max_size=20) | st.text(min_size=2500, max_size=5000))
def test_fields_are_bounded_and_one_line_and_still_tell_apart(label: str) -> None:
    line, other = cleartext(told(label)), cleartext(told(label + "x"))
    assert len(line.encode()) <= MOST_FIELDS + 100
    assert line != other, "a line that is cut ends with the digest of the whole"
    assert printable(line), "what a peer wrote is shown, and never acts"
    if "... sha256 " not in line:
        assert json.loads(line)["label"] == label


def test_what_cannot_be_read_is_entered_with_size_digest_and_reason(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite", "telecom")
    partner = PartnerSessions("telecom", lambda p, m: m, on_unreadable=ledger.record_unreadable, **observe(ledger))  # type: ignore[arg-type]
    body = b"\xc1" * 100
    partner.serve("bank", Envelope("ab" * 16, 3, "no.such\x1b[31m", body))
    partner.serve("bank", Envelope("cd" * 16, (1 << 64) - 1, Query.KIND, body))
    head, refusal, other, _ = ledger.entries()
    assert (head.kind, head.bytes, head.digest) == ("no.such\\u{1b}[31m", 100, hashlib.sha256(body).hexdigest())
    assert head.purpose == "an envelope whose head cannot be shown"
    assert (refusal.direction, json.loads(refusal.fields)["rule"]) == ("sent", "codec")
    assert other.sequence == (1 << 53) - 1
    assert ledger.verify() is None

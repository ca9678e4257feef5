"""What the doctors of both sides find, and which party and remedy they name."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_node.doctor import _checkup
from bank_node.partners.checkup import CheckedUp
from bank_node.settings.config import load_config as load_bank
from experiments.run.prepare import write_demo
from partner_node.config import load_config as load_partner
from partner_node.doctor import examine
from protocol.algorithms.checkup import differences, formats_of
from protocol.job import load_job
from protocol.ledger import read_ledger
from protocol.node.checks import check_clock, check_footprint
from protocol.node.findings import Finding, as_dict, worst
from protocol.node.footprint import Footprint
from protocol.table import read_table
from tests.e2e.commands import ByHand, edit
from tests.e2e.tables import scenario


@pytest.fixture(scope="module")
def hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ByHand]:
    """A bank and a partner, serving."""
    folder = tmp_path_factory.mktemp("doctor")
    path = edit(scenario(folder), lambda v: v["parties"].pop("bureau"))
    write_demo(load_job(path), path, folder / "dealt")
    made = ByHand(folder / "dealt", folder / "made")
    with made.serving():
        yield made


def by_check(findings: list[dict[str, object]], party: str) -> dict[str, dict[str, object]]:
    return {str(f["check"]): f for f in findings if f["party"] == party}


def test_both_doctors_see_clock_link_ids_and_needs(hand):
    partner = load_partner(hand.node("telecom") / "node.toml")
    assert any(f.remedy == "ask it to run its doctor" for f in examine(partner, None))
    doctor = hand.bank("doctor", hand.job)
    assert (doctor.code, doctor.left) == (0, []), doctor
    theirs, ours = (by_check(doctor.json["findings"], party) for party in ("telecom", "bank"))
    assert theirs.keys() == {"node", "clock", "link", "ids", "columns", "overlap", "thresholds"}
    assert ours.keys() == {"table", "certificate", "job"}
    assert theirs["ids"]["found"] == "are written as the bank's are"
    assert "not known before" in theirs["overlap"]["found"]
    assert "MB/s" in theirs["link"]["found"]
    assert "days (demonstration)" in ours["certificate"]["found"]
    assert by_check(hand.bank("doctor").json["findings"], "telecom")["columns"]["found"].startswith("as at the last")
    seen = examine(partner, load_job(hand.job))
    assert [f.check for f in seen] == ["table", "certificate", "node", "clock", "ids", "job"]
    assert worst(seen) == 0
    reader = read_ledger(partner.state / "ledger.sqlite")
    kinds = {e.kind for e in reader.entries() if e.direction == "sent"}
    reader.close()
    assert kinds == {"agreement.welcome", "checkup.echo", "checkup.formats"}


def test_the_overlap_of_a_sample_and_of_an_alignment(hand):
    sampled = by_check(hand.bank("doctor", hand.job, "--sample", "100").json["findings"], "telecom")["overlap"]["found"]
    assert " of a sample of 100 rows (" in sampled
    assert 75 <= int(sampled.split()[0]) <= 100  # the partner holds nine tenths
    assert hand.bank("align", hand.job).code == 0
    assert "540 of 600 rows match" in by_check(hand.bank("doctor").json["findings"], "telecom")["overlap"]["found"]


def test_a_link_or_columns_that_changed_are_warned_of(hand):
    config = load_bank(hand.node("bank") / "node.toml")
    table = read_table(config.data.source, config.data, "bank")
    seen = CheckedUp(60.0, 0.5, 1e5, 1e7, ((),), "0" * 16)
    found = {f.check: f for f in _checkup(config, table, "telecom", seen)}
    assert all(found[check].warning for check in ("clock", "link", "columns"))
    assert all(found[check].remedy for check in ("clock", "link", "columns"))
    assert worst(list(found.values())) == 0, "warnings end no command"


PLAIN = [f"{k}".encode() for k in range(100_000, 100_400)]
WAYS = {
    "zeros": ([b"00" + i for i in PLAIN], "bank has lost leading zeros", "id_pad = 8"),
    "prefix": ([b"C" + i for i in PLAIN], "letters and digits of length 7", "prefixes, lengths"),
    "dashes": ([i[:2] + b"-" + i[3:] for i in PLAIN], "text with other characters of length 6", "separators"),
}


@pytest.mark.parametrize("way", WAYS)
def test_ids_that_are_written_otherwise_are_named_with_their_remedy(way):
    ids, said, remedy = WAYS[way]
    ((thing, help_),) = differences(formats_of(PLAIN), formats_of(ids), "bank", "telecom")
    assert said in thing
    assert remedy in help_
    assert b"100" not in (thing + help_).encode(), "an id stands in the sentence"


def test_the_side_that_lost_zeros_and_the_case_of_letters_are_named_though_most_ids_are_alike():
    padded = [f"{k:06}".encode() for k in range(0, 400_000, 371)]
    stripped = [str(int(i)).encode() for i in padded]
    for us, them, ours, theirs in (("bank", "telecom", padded, stripped), ("bank", "telecom", stripped, padded)):
        ((thing, remedy),) = differences(formats_of(ours), formats_of(theirs), us, them)
        assert f"{them if theirs is stripped else us} has lost leading zeros" in thing
        assert "id_pad = 6" in remedy
    upper = [*PLAIN, *(i[:-1] + b"X" for i in PLAIN[::8])]
    lower = [i.lower() for i in upper]
    ((thing, remedy),) = differences(formats_of(upper), formats_of(lower), "bank", "telecom")
    assert "differ by the case of letters" in thing
    assert 'id_case = "fold"' in remedy
    assert differences(formats_of(upper), formats_of(upper), "bank", "telecom") == []


def test_ids_written_alike_or_of_too_few_rows_are_no_finding():
    mixed = [*PLAIN, *(i[::-1] for i in PLAIN)]
    assert differences(formats_of(PLAIN), formats_of(mixed), "bank", "telecom") == []
    assert differences(formats_of(PLAIN), formats_of(PLAIN[:10]), "bank", "telecom") == []
    ((thing, _),) = differences(formats_of(PLAIN), formats_of([i + b"|x" for i in PLAIN]), "bank", "telecom")
    assert "ids of 2 columns, bank of 1" in thing


@settings(deadline=None)
@given(st.lists(st.from_regex(rb"\A[A-Za-z0-9]{1,12}\Z"), min_size=1, max_size=200))
def test_no_format_speaks_of_few_rows(ids):
    for column in formats_of(ids):
        for told in column:
            assert sum(len(i) == told.length for i in ids) >= 20


def test_a_certificate_near_its_end_a_clock_and_a_full_disk(hand, monkeypatch):
    config = load_partner(hand.node("telecom") / "node.toml")
    soon = (datetime.now(UTC) + timedelta(days=20)).isoformat()
    about = {"not_after": soon, "demo": False}
    monkeypatch.setattr("protocol.node.checks.describe", lambda pem: about)
    (certificate,) = (f for f in examine(config, None) if f.check == "certificate")
    assert certificate.warning
    assert "renewed" in certificate.remedy
    assert certificate.code == 0
    assert check_clock("telecom", "bank", -60.0).found == "60.00 s behind bank's"
    assert not check_clock("telecom", "bank", 1.0).warning
    full = check_footprint(config, Footprint(1, 1 << 40))
    assert (full.code, full.party) == (2, "telecom")
    small = check_footprint(config, Footprint(1 << 40, 1))
    assert (small.code, small.warning) == (0, True)
    assert as_dict([full])["exit_code"] == 2
    assert isinstance(full, Finding)


def test_ids_padded_at_the_partner_end_the_doctor_with_code_3(hand, tmp_path: Path):
    hand.bank("doctor")
    config = load_partner(hand.node("telecom") / "node.toml")
    rows = "".join(f"{k:09},{k % 5},{k % 3},b\n" for k in range(400))
    (tmp_path / "padded.csv").write_text("id,calls,towers,brand\n" + rows)
    source = config.data.source.model_copy(update={"kind": "csv", "path": tmp_path / "padded.csv"})
    changed = config.model_copy(update={"data": config.data.model_copy(update={"source": source})})
    (ids,) = (f for f in examine(changed, None) if f.check == "ids")
    assert (ids.code, ids.party) == (3, "bank")
    assert ids.remedy.startswith("strip the zeros at telecom")

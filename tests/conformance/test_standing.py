"""The register: places stay, ids are evaluated once for life under one key, and both sides hold the same keys."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bank_node.partners import lookup
from bank_node.partners.lookup import evaluate, fetch_tags, open_register
from bank_node.partners.register import KeptRegister, RegisterFacts
from partner_node.config import PartnerConfig, load_config
from partner_node.node.holdings import open_holdings
from partner_node.node.publishing import publish
from partner_node.node.register import Register, require_current
from protocol.algorithms import group, voprf
from protocol.algorithms.standing import Evaluation, EvaluationQuery, ProofQuery, RegisterOpening, TagsQuery
from protocol.contract import Contract
from protocol.errors import IntegrityError, RefusedError
from protocol.messages import Message, decode, encode
from protocol.role import drive
from protocol.table.ids import IdRule, normalise_ids
from tests.partner_node.node.test_publishing import NODE

MOST = 10_000


def write(path: Path, ids: list[int], shift: int = 0) -> Path:
    lines = ["id,calls"] + [f"C{k:05},{(k * 7 + shift) % 50}" for k in ids]
    path.write_text("\n".join(lines) + "\n")
    return path


def keys(ids: list[int]) -> list[bytes]:
    return normalise_ids([[f"C{k:05}" for k in ids]], "bank", "rows", rule=IdRule("fold", 0))


class Sides:
    """A partner's register and what the bank keeps of it. Every message is encoded on its way."""

    def __init__(self, folder: Path, ids: list[int]) -> None:
        self.folder = folder
        (folder / "node.toml").write_text(NODE)
        write(folder / "table.csv", ids)
        self.config: PartnerConfig = load_config(folder / "node.toml")
        self.own = open_holdings(self.config, None)
        self.partner = Register(self.own)
        (folder / "bank").mkdir()
        self.bank = KeptRegister(folder / "bank", "telecom")
        self.lose, self.forge, self.sent = 0, lambda reply: reply, 0

    def publish(self, ids: list[int], shift: int = 0) -> None:
        """A newer version, which the node takes up."""
        publish(self.config, write(self.folder / f"v{shift}-{len(ids)}.csv", ids, shift))
        self.own.close()
        self.own = open_holdings(self.config.with_published(), None)
        self.partner = Register(self.own)

    def exchange(self, requests: dict[str, Message]) -> dict[str, Message]:
        (message,) = requests.values()
        message = decode(message.KIND, encode(message))
        self.sent += 1
        match message:
            case RegisterOpening():
                reply: Message = self.partner.open(message, MOST)
            case EvaluationQuery():
                reply = self.forge(self.partner.evaluate(message, MOST, Contract()))
            case ProofQuery():
                reply = self.partner.prove(message)
            case TagsQuery():
                reply = self.partner.tags(message)
        if self.lose:
            self.lose -= 1
            raise KeyboardInterrupt
        return {"telecom": decode(reply.KIND, encode(reply))}

    def refresh(self, ids: list[int]) -> int:
        """How many ids were evaluated."""
        opened = drive(open_register("telecom", 1, ""), self.exchange)
        self.bank.pin(opened.register, opened.public)
        new = evaluate(self.bank, keys(ids), False, self.exchange, lambda done, total: None)
        fetch_tags(self.bank, opened.places, self.exchange)
        return new

    def restart_bank(self) -> None:
        self.bank = KeptRegister(self.folder / "bank", "telecom")

    def found(self, ids: list[int]) -> dict[int, int]:
        """The place of each id that is in the register, whose key must be the partner's."""
        facts = RegisterFacts(self.partner.name, "", places=self.bank.places)
        aligned = self.bank.aligned(self.bank.words(keys(ids)), facts)
        held = np.flatnonzero(aligned.positions >= 0)
        theirs = self.partner.aligned
        assert np.array_equal(aligned.keys, theirs.keys[aligned.positions[held]])
        return {ids[k]: int(aligned.positions[k]) for k in held}


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(
    held=st.sets(st.integers(0, 150), min_size=60, max_size=120),
    asked=st.sets(st.integers(0, 150), min_size=1, max_size=40),
    later=st.sets(st.integers(0, 300), min_size=1, max_size=60),
)
def test_places_stay_and_an_id_is_evaluated_once(tmp_path_factory, held, asked, later):
    sides = Sides(tmp_path_factory.mktemp("standing"), sorted(held))
    assert sides.refresh(sorted(asked)) == len(asked)
    first = sides.found(sorted(asked))
    assert first.keys() == held & asked
    now = sorted(held | later)  # every row changes, and some come
    sides.publish(now, shift=1)
    everybody = sorted(asked | later)
    assert sides.refresh(everybody) == len(later - asked)
    second = sides.found(everybody)
    assert second.keys() == set(now) & set(everybody)
    assert second.items() >= first.items()
    assert len(set(second.values())) == len(second)
    order = sides.partner.aligned.order
    assert {k: sides.own.table.ids[order[place]] for k, place in second.items()} == dict(
        zip(second, keys(list(second)), strict=True)
    )
    sides.own.close()


def test_a_row_that_is_gone_keeps_its_place(tmp_path):
    sides = Sides(tmp_path, list(range(200)))
    sides.refresh([1, 150])
    before = sides.found([1, 150])
    sides.publish(list(range(100)), shift=1)
    sides.refresh([1, 150])
    assert sides.found([1, 150]) == before
    assert sides.partner.aligned.order[before[150]] == -1
    assert sides.partner.aligned.order[before[1]] >= 0


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_crash_spends_no_id_twice(tmp_path, lost):
    """The answer is lost on its way so many times; the bank starts anew, and is answered the same for free."""
    sides = Sides(tmp_path, list(range(100)))
    opened = drive(open_register("telecom", 1, ""), sides.exchange)
    sides.bank.pin(opened.register, opened.public)
    sides.lose = lost
    for _ in range(lost):
        with pytest.raises(KeyboardInterrupt):
            evaluate(sides.bank, keys(list(range(50))), False, sides.exchange, lambda done, total: None)
        sides.restart_bank()
        sides.own.close()
        sides.own = open_holdings(sides.config, None)
        sides.partner = Register(sides.own)
    assert sides.refresh(list(range(60))) == 10
    assert sides.partner._evaluations.spent == 60
    assert sides.found(list(range(60))).keys() == set(range(60))


def test_a_record_that_a_crash_has_cut_off_is_evaluated_again(tmp_path):
    sides = Sides(tmp_path, list(range(100)))
    sides.refresh(list(range(10)))
    file = tmp_path / "bank/ids.bin"
    assert file.stat().st_mode & 0o777 == 0o600
    with file.open("r+b") as cut:
        cut.truncate(file.stat().st_size - 5)
    sides.restart_bank()
    assert sides.refresh(list(range(10))) == 1
    assert sides.found(list(range(10))).keys() == set(range(10))


def test_a_version_of_few_changes_does_not_enter_the_register(tmp_path):
    sides = Sides(tmp_path, list(range(200)))
    sides.refresh([1, 500])
    version = drive(open_register("telecom", 1, ""), sides.exchange).version
    sides.publish([*range(200), 500])
    assert drive(open_register("telecom", 1, ""), sides.exchange).version == version
    sides.refresh([1, 500])
    with pytest.raises(RefusedError, match="differs from the version told before in fewer than 50 rows"):
        require_current(sides.partner, "telecom")
    sides.publish([*range(200), *range(500, 560)])
    assert drive(open_register("telecom", 1, ""), sides.exchange).version != version
    assert sides.refresh([1, 500]) == 0
    assert sides.found([1, 500]).keys() == {1, 500}


def test_places_of_a_refresh_that_was_interrupted_are_not_used_yet(tmp_path):
    sides = Sides(tmp_path, list(range(100)))
    sides.refresh([1, 120])
    facts = RegisterFacts(sides.partner.name, "", places=sides.bank.places)
    sides.publish(list(range(200)), shift=1)
    sides.refresh([1, 120])
    now = sides.found([1, 120])
    assert now.keys() == {1, 120}
    old = sides.bank.aligned(sides.bank.words(keys([1, 120])), facts)
    assert (old.rows, old.positions.tolist()) == (100, [now[1], -1])
    assert len(old.keys) == 1


def of_another_key(reply: Message) -> Message:
    assert isinstance(reply, Evaluation)
    points, key = reply.points.copy(), group.random_scalar()
    points[len(points) // 2] = group.multiply(points[len(points) // 2 : len(points) // 2 + 1], key)[0]
    return Evaluation(points=points, proof=reply.proof)


def test_one_id_under_another_key_is_noticed(tmp_path):
    sides = Sides(tmp_path, list(range(100)))
    sides.forge = of_another_key
    with pytest.raises(IntegrityError, match="under another key than the one that is pinned"):
        sides.refresh(list(range(20)))
    sides.restart_bank()
    assert len(sides.bank.unknown(sides.bank.words(keys(list(range(20)))))) == 20, "nothing of it was kept"


def test_a_large_part_is_proved_by_a_sample_drawn_afterwards(tmp_path, monkeypatch):
    sides = Sides(tmp_path, list(range(1500)))
    monkeypatch.setattr(lookup, "SAMPLE", 20)
    assert sides.refresh(list(range(1200))) == 1200
    assert sides.sent == 1 + 2 + 1, "an opening, a part and its proof, the tags"
    other = group.random_scalar()
    sides.forge = lambda reply: Evaluation(points=group.raised(reply.points, other), proof=b"")
    with pytest.raises(IntegrityError, match="under another key"):
        sides.refresh(list(range(1200, 2400)))


def test_another_public_key_is_refused(tmp_path):
    sides = Sides(tmp_path, list(range(100)))
    sides.refresh([1])
    with pytest.raises(IntegrityError, match="evaluates ids under another key than before"):
        sides.bank.pin(sides.partner.name, voprf.public_key(group.random_scalar()))


def test_what_is_no_point_spends_nothing(tmp_path):
    sides = Sides(tmp_path, list(range(100)))
    query = EvaluationQuery(points=np.full((3, 32), 255, dtype=np.uint8))
    with pytest.raises(IntegrityError, match="no blinded id"):
        sides.partner.evaluate(query, MOST, Contract())
    assert sides.partner._evaluations.spent == 0

"""A query names the layout that its hint is of; one that the partner does not know is refused before any work."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from partner_node.config import load_config
from partner_node.node.node import PartnerNode
from protocol.algorithms import agreement
from protocol.algorithms.alignment import PartnerAlignment
from protocol.algorithms.binning import Cutting, Hint, HintQuery, Layout, LayoutQuery
from protocol.algorithms.boosting import SumsQuery
from protocol.algorithms.runs import Label
from protocol.errors import IntegrityError, PeerError
from protocol.he.base import Ciphertext
from protocol.he.parameters import N
from protocol.he.plan import FieldBounds

BOUNDS = FieldBounds(5, 20)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[PartnerNode]:
    (tmp_path / "table.csv").write_text("id,x\n" + "".join(f"{k},{k % 7}\n" for k in range(50)))
    (tmp_path / "node.toml").write_text(
        'party = "telecom"\nbank = "bank"\nstate = "state"\ndemo = true\n'
        '[data]\nsource = {kind = "csv", path = "table.csv"}\nid = ["id"]\ncolumns = ["x"]\n'
        '[policy]\napprove = "auto"\n'
    )
    made = PartnerNode(load_config(tmp_path / "node.toml"))
    yield made
    made.close()


def _query(layout: str) -> SumsQuery:
    high, low = np.zeros((1, 50 + N), dtype=np.uint64), np.zeros((1, 50 + N, 5), dtype=np.uint8)
    return SumsQuery(
        layout=layout, labels=(Label("sums", "0" * 64),), columns=(0,), packed=True, g=BOUNDS, h=BOUNDS,
        body=Ciphertext(high=high, low=low),
    )  # fmt: skip


def test_a_query_before_the_agreement_is_refused(node: PartnerNode) -> None:
    with pytest.raises(PeerError, match="has not agreed to the terms"):
        node.handle("bank", _query("0" * 64))


def test_a_part_of_another_hint_or_outside_of_it_is_refused(tmp_path: Path, node: PartnerNode) -> None:
    config = node.config
    own = agreement.terms("bank", config.engine, config.alignment, config.split_rows, config.contract)
    node.handle("bank", agreement.Hello(terms=own, job=""))
    order = np.arange(50, dtype=np.int64)
    node._alignments.answerer.keep(
        PartnerAlignment("a" * 64, "bank", "one-sided", 50, 50, order, np.zeros((50, 32), np.uint8))
    )
    layout = node.handle("bank", LayoutQuery(alignment="a" * 64, cutting=Cutting(2)))
    assert isinstance(layout, Layout)

    def hint(first: int, count: int, nonce: bytes = b"n" * 32) -> np.ndarray:
        query = HintQuery(layout=layout.layout, engine="blind", nonce=nonce, first=first, count=count)
        reply = node.handle("bank", query)
        assert isinstance(reply, Hint)
        return reply.hint

    with pytest.raises(IntegrityError, match="another hint than it began"):
        hint(1, 1)
    whole = hint(0, 0)
    assert len(whole) == 2
    assert (np.concatenate([hint(0, 1), hint(1, 1)]) == whole).all()
    with pytest.raises(IntegrityError, match="asks for rows 1 to 3 of a hint of 2"):
        hint(1, 2)
    with pytest.raises(IntegrityError, match="asks for rows 2 to 2 of a hint of 2"):
        hint(2, 0)
    with pytest.raises(IntegrityError, match="another hint than it began"):
        hint(1, 1, b"o" * 32)


@pytest.mark.parametrize("layout", ["0" * 64, "", "../partner"])
def test_an_unknown_hint_is_refused(node: PartnerNode, layout: str) -> None:
    config = node.config
    own = agreement.terms("bank", config.engine, config.alignment, config.split_rows, config.contract)
    node.handle("bank", agreement.Hello(terms=own, job=""))
    with pytest.raises(IntegrityError, match=r"unknown layout or hint|no SHA-256 digest"):
        node.handle("bank", _query(layout))

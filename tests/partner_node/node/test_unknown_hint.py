"""A query names the layout that its hint is of; one that the partner does not know is refused before any work."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from partner_node.config import load_config
from partner_node.node.node import PartnerNode
from protocol.algorithms import agreement
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


@pytest.mark.parametrize("layout", ["0" * 64, "", "../partner"])
def test_an_unknown_hint_is_refused(node: PartnerNode, layout: str) -> None:
    config = node.config
    own = agreement.terms("bank", config.engine, config.alignment, config.split_rows, config.contract)
    node.handle("bank", agreement.Hello(terms=own, job=""))
    with pytest.raises(IntegrityError, match=r"unknown layout or hint|no SHA-256 digest"):
        node.handle("bank", _query(layout))

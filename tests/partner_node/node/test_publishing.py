"""Versions of a table: published, taken up by a running node, and a file that was only replaced."""

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partner_node.config import PartnerConfig, load_config
from partner_node.node import publishing
from partner_node.node.node import PartnerNode
from partner_node.node.publishing import publish
from partner_node.policy.opening import open_budgets
from partner_node.policy.versions import Versions
from partner_node.store.row_states import RowStates, load_states
from protocol.algorithms.agreement import Hello, terms
from protocol.errors import DataError

NODE = """
party = "telecom"
bank = "bank"
demo = true
[data]
source = {kind = "csv", path = "table.csv"}
id = ["id"]
[policy]
approve = "auto"
"""


def write(path: Path, changed: int = 0, rows: int = 400, name: str = "calls", ids: str = "C") -> Path:
    """A table in which so many rows differ from the one with `changed` = 0."""
    lines = [f"id,{name},brand"]
    lines += [f"{ids}{k:04},{(k * 7) % 50 + (k < changed)},b{k % 3}" for k in range(rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def config(tmp_path: Path) -> PartnerConfig:
    (tmp_path / "node.toml").write_text(NODE)
    write(tmp_path / "table.csv")
    return load_config(tmp_path / "node.toml")


def greeting(config: PartnerConfig) -> Hello:
    return Hello(terms=terms("bank", config.engine, config.alignment_terms, config.split_rows, config.contract), job="")


def latest(config: PartnerConfig) -> tuple[int, int]:
    """Number of the latest version, and how many rows it changed."""
    budgets = open_budgets(config)
    found = Versions(budgets, config.policy.account).latest
    budgets.close()
    assert found
    return found.number, found.changed


def test_a_running_node_takes_up_what_was_published(config, tmp_path):
    node = PartnerNode(config)
    first = node.handle("bank", greeting(config)).data
    made = publish(load_config(tmp_path / "node.toml"), write(tmp_path / "july.csv", changed=60, rows=410))
    assert (made.number, made.changed, made.rows) == (2, 70, 410)
    second = node.handle("bank", greeting(config))
    assert (second.rows, second.data != first) == (410, True)
    node.close()
    again = PartnerNode(load_config(tmp_path / "node.toml"))
    assert again.handle("bank", greeting(config)).data == second.data
    again.close()
    assert latest(config) == (2, 70)


def test_a_file_that_was_only_replaced_is_named_and_not_taken_up(config, tmp_path, caplog):
    node = PartnerNode(config)
    first = node.handle("bank", greeting(config)).data
    write(tmp_path / "table.csv", changed=10)
    with caplog.at_level(logging.WARNING):
        assert node.handle("bank", greeting(config)).data == first
        node.handle("bank", greeting(config))
    named = [r for r in caplog.messages if "table.csv was replaced under the running node and not published" in r]
    assert len(named) == 1
    publish(config, tmp_path / "table.csv")
    assert node.handle("bank", greeting(config)).data != first
    node.close()


def test_a_published_file_that_was_replaced_is_refused_at_the_next_start(config, tmp_path):
    PartnerNode(config).close()
    publish(config, write(tmp_path / "july.csv", changed=60))
    write(tmp_path / "july.csv", changed=61)
    with pytest.raises(DataError, match=r"july\.csv was replaced after it was published"):
        PartnerNode(load_config(tmp_path / "node.toml"))


def test_another_path_in_the_settings_holds_over_what_was_published(config, tmp_path):
    PartnerNode(config).close()
    publish(config, write(tmp_path / "july.csv", changed=60))
    write(tmp_path / "august.csv", changed=70)
    (tmp_path / "node.toml").write_text(NODE.replace("table.csv", "august.csv"))
    assert load_config(tmp_path / "node.toml").data.source.path.name == "august.csv"


@pytest.mark.parametrize(
    ("file", "thing"),
    [({"name": "towers"}, "lacks the column 'calls'"), ({"ids": "D"}, "has 0 of the 400 ids")],
)
def test_a_file_that_is_another_table_is_refused(config, tmp_path, file, thing):
    PartnerNode(config).close()
    with pytest.raises(DataError, match=thing):
        publish(config, write(tmp_path / "other.csv", **file))
    assert latest(config)[0] == 1


def test_a_crash_before_the_last_step_leaves_the_version_in_force(config, tmp_path, monkeypatch):
    PartnerNode(config).close()
    july = write(tmp_path / "july.csv", changed=60)
    with monkeypatch.context() as broken:
        broken.setattr(publishing, "write_whole", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            publish(config, july)
    assert load_config(tmp_path / "node.toml").data.source.path.name == "table.csv"
    made = publish(config, july)
    assert (made.number, made.changed) == (2, 60)


ROWS = st.dictionaries(st.integers(0, 200), st.integers(0, 1), min_size=1, max_size=60)


@settings(deadline=None, max_examples=50)
@given(before=ROWS, after=ROWS)
def test_changed_rows_are_counted_by_id(tmp_path_factory, before, after):
    then, now = (
        RowStates(np.array(sorted(rows), np.uint64), np.array([rows[k] for k in sorted(rows)], np.uint64), {"x": "y"})
        for rows in (before, after)
    )
    expected = len(before.items() - after.items()) + len(after.keys() - before.keys())
    path = tmp_path_factory.mktemp("states") / "v.npz"
    then.save(path)
    loaded = load_states(path)
    assert loaded is not None
    assert loaded.kinds == {"x": "y"}
    assert (now.changed(loaded), now.known(loaded)) == (expected, len(before.keys() & after.keys()))

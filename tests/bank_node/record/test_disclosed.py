"""Every declared message has its content and purpose in Chinese, and no other has."""

import re

from bank_node.record.disclosed import _chinese, disclosed, in_chinese
from bank_node.record.facts import DisclosureRow
from protocol.algorithms.declared import CATALOGUE


def test_every_declared_message_has_its_words_in_chinese_and_no_other_has():
    declared = {kind for kind in CATALOGUE if not kind.startswith(("test.", "toy."))}
    said = {f"{room}.{name}" if name else room for room, names in _chinese().items() for name in names}
    assert said == declared
    for kind in declared:
        assert all(re.search("[一-鿿]", text) for text in in_chinese(kind)), kind


def test_a_message_of_another_version_keeps_its_words():
    row = DisclosureRow(
        sender="a", receiver="b", kind="old.kind", content="x", purpose="y", encrypted=True, count=1, bytes=1
    )
    content, purpose = disclosed(row)
    assert (content.zh, purpose.zh) == ("x", "y")

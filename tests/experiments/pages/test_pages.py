"""The laboratory's pages: balanced, escaped, in two languages, the same every time."""

import re
from pathlib import Path

import pytest

from bank_node.record import messages
from bank_node.report.page.templates import BROWSER_LANGUAGE
from experiments import pages
from tests.bank_node.report.test_page import _outline
from tests.experiments.pages.samples import write_pages

NAMES = ("sweep", "frontier", "value", "value-sampled", "card", "compare", "index")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_pages(tmp_path_factory.mktemp("pages"))


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_balanced_self_contained_and_says_all_in_both_languages(written: dict[str, Path], name: str) -> None:
    text = written[name].read_text(encoding="utf-8")
    found = _outline(text.replace(BROWSER_LANGUAGE, ""))
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in found}
    assert not re.search(r"url\((?!#)", text)
    assert all(a.get("scope") for tag, a in found if tag == "th")
    assert text.count('<span lang="en">') == text.count('<span lang="zh-Hans">') > 10
    assert "@lab_" not in text
    assert "<i>refused" not in text
    ids = [a["id"] for _, a in found if "id" in a]
    assert len(ids) == len(set(ids))


def test_the_same_results_give_the_same_bytes(written: dict[str, Path], tmp_path: Path) -> None:
    again = write_pages(tmp_path)
    for name in NAMES[:-1]:  # the index has the folder's own name in it
        assert again[name].read_bytes() == written[name].read_bytes()


def test_the_index_tells_what_was_found_and_not_only_what_was_done(written: dict[str, Path]) -> None:
    text = written["index"].read_text(encoding="utf-8")
    assert 'class="tag worth_buying"' in text
    assert "worth buying" in text


def test_every_sentence_of_the_laboratory_is_used_and_none_is_the_reports() -> None:
    folder = Path(pages.__file__).parent
    own = re.findall(r"^(\w+) = \{", (folder / "messages.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert all(key.startswith("lab_") for key in own)
    assert set(own) <= set(messages.catalogue())
    text = "".join(p.read_text(encoding="utf-8") for p in folder.glob("*") if p.suffix in (".py", ".j2"))
    built = ("lab_price_", "lab_value_", "lab_kind_", "lab_band_")
    assert [k for k in own if not k.startswith(built) and f'"{k}"' not in text and f"@{k}@" not in text] == []

"""Pages as they are printed, by headless Chromium and in both languages: on A4, nothing too wide, no dark ground."""

import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pypdfium2
import pytest

from tests.experiments.pages.samples import write_pages
from tests.experiments.pages.test_in_browser import BROWSER, FLAGS

MOST_PAGES = {"run": 14, "compare": 4, "index": 1}
A4_POINTS = (595, 842)

SMALLEST_DIGIT_POINTS = 4.3
"""A digit of a table's 8.5 points is 6 points high, one of a figure 5. What is too wide for the
paper the browser shrinks, and cuts off what still does not fit."""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium; FEDWARN_CHROMIUM names one elsewhere")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_pages(tmp_path_factory.mktemp("printed"))


def printed(page: Path, language: str) -> pypdfium2.PdfDocument:
    """As one prints it after choosing this language."""
    text = page.read_text(encoding="utf-8").replace(" checked", "", 1)
    copy, out = page.with_name(f"{page.stem}-{language}.html"), page.with_name(f"{page.stem}-{language}.pdf")
    copy.write_text(text.replace(f'id="lang-{language}"', f'id="lang-{language}" checked', 1), encoding="utf-8")
    assert BROWSER
    command = [BROWSER, *FLAGS, f"--user-data-dir={page.parent / 'profile'}", "--no-pdf-header-footer"]
    subprocess.run([*command, f"--print-to-pdf={out}", copy.as_uri()], capture_output=True, timeout=120, check=True)
    return pypdfium2.PdfDocument(out)


def wrong_with(document: pypdfium2.PdfDocument) -> list[str]:
    """A page of another size, one that is dark, or one shrunk for its width."""
    found = []
    for number, page in enumerate(document, 1):
        grey = page.render(grayscale=True).to_numpy().reshape(round(page.get_height()), -1)
        if (round(page.get_width()), round(page.get_height())) != A4_POINTS:
            found.append(f"page {number} is not A4")
        if np.median(grey) < 250:
            found.append(f"page {number} has a dark ground")
        heights = heights_of_digits(page.get_textpage())
        if heights and np.median(heights) < SMALLEST_DIGIT_POINTS:
            found.append(f"page {number} was shrunk")
    return found


def heights_of_digits(text: pypdfium2.PdfTextPage) -> list[float]:
    """In points, as they stand on the paper."""
    boxes = [text.get_charbox(k) for k in range(text.count_chars()) if text.get_text_range(k, 1).isdigit()]
    return [top - bottom for _, bottom, _, top in boxes]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.inside, self.texts = False, list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        leads_away = tag == "a" and not (dict(attrs).get("href") or "#").startswith("#")
        self.inside |= leads_away  # a list of contents is not printed
        self.texts += [""] * leads_away

    def handle_endtag(self, tag: str) -> None:
        self.inside &= tag != "a"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[-1] += data


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", MOST_PAGES)
def test_a_printed_page_is_whole_and_in_one_language(pages: dict[str, Path], name: str, language: str) -> None:
    document = printed(pages[name], language)
    assert 1 <= len(document) <= MOST_PAGES[name]
    assert wrong_with(document) == []
    text = "".join(page.get_textpage().get_text_range() for page in document)
    chinese = len(re.findall(r"[一-鿿]", text))
    assert chinese > 100 if language == "zh" else chinese == 0
    links = _Links()
    links.feed(pages[name].read_text(encoding="utf-8"))
    assert [link for link in links.texts if link.strip() not in text] == []
    assert name != "index" or links.texts


def test_what_is_wrong_in_print_is_found(tmp_path: Path) -> None:
    page = tmp_path / "wrong.html"
    style = "@page { size: A4; margin: 14mm; } html { background: #223; print-color-adjust: exact; font-size: 8.5pt; }"
    page.write_text(
        f'<style>{style}</style><input id="lang-en"><div style="width: 400mm">123</div>',
        encoding="utf-8",
    )
    assert wrong_with(printed(page, "en")) == ["page 1 has a dark ground", "page 1 was shrunk"]

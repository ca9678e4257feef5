"""Every page as headless Chromium shows it, at two widths and in both languages: nothing too wide, nothing missing.

FEDWARN_CHROMIUM names the browser; without it, one on the path is taken, and without any these tests are skipped.
"""

import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.pages.samples import write_pages

SCRIPT = (Path(__file__).parent / "in_browser.js").read_text(encoding="utf-8")
BROWSER = next(
    (
        found
        for name in (os.environ.get("FEDWARN_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
        if name and (found := shutil.which(name))
    ),
    None,
)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=5000")
PAGES = ("run", "sweep", "frontier", "value", "value-sampled", "card", "compare", "index")

pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium; FEDWARN_CHROMIUM names one elsewhere")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_pages(tmp_path_factory.mktemp("pages"))


def _looked_at(page: Path, width: int) -> dict[str, Any]:
    """What the browser itself finds in a page in a window of this width."""
    copy = page.with_name(f"{page.stem}-looked-at-{width}.html")
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", f"<script>{SCRIPT}</script></body>"), "utf-8")
    assert BROWSER
    command = [BROWSER, *FLAGS, f"--user-data-dir={page.parent / 'profile'}", f"--window-size={width},900"]
    shown = subprocess.run([*command, "--dump-dom", copy.as_uri()], capture_output=True, text=True, timeout=120)
    told = re.search(r'<pre id="found">(.*?)</pre>', shown.stdout, re.DOTALL)
    assert told, shown.stderr[-2000:]
    found: dict[str, Any] = json.loads(unescape(told[1]))
    return found


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [1200, 500])
def test_a_page_is_whole(pages: dict[str, Path], name: str, width: int) -> None:
    looked = _looked_at(pages[name], width)
    assert looked["width"] == width
    assert looked["found"] == []


def test_the_browser_finds_what_is_wrong(tmp_path: Path) -> None:
    page = tmp_path / "wrong.html"
    page.write_text(
        '<html><body style="color: #bbb"><input type="radio" name="l" id="lang-en"><input type="radio" id="lang-zh">'
        '<main><h1>x</h1><h3>y</h3><svg role="img"></svg><a href="#"></a><div style="width: 2000px">z</div>'
        '<table><tr><th>t</th></tr></table><p id="lang-en"><span lang="zh-Hans">字</span></p></main></body></html>',
        encoding="utf-8",
    )
    found = " ".join(_looked_at(page, 1200)["found"])
    wrong = ("wider than", "other language", "contrast", "skips a level", "no language", "picture without", "A without",
             "no scope", "id twice", "INPUT without")  # fmt: skip
    assert [word for word in wrong if word not in found] == []

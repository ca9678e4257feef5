"""Every page as headless Chromium shows it, at two widths and in both languages: nothing too wide, nothing missing.

FEDWARN_CHROMIUM names the browser; without it, one on the path is taken, and without any these tests are skipped.
"""

import json
import os
import re
import shutil
import subprocess
from html import unescape
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.pages.samples import write_pages

SCRIPT = (Path(__file__).parent / "in_browser.js").read_text(encoding="utf-8")
WITH_AXE = (Path(__file__).parent / "with_axe.js").read_text(encoding="utf-8")
AXE = (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
BROWSER = next(
    (
        found
        for name in (os.environ.get("FEDWARN_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
        if name and (found := shutil.which(name))
    ),
    None,
)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=20000")
PAGES = ("run", "sweep", "frontier", "value", "value-sampled", "card", "compare", "index")

pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium; FEDWARN_CHROMIUM names one elsewhere")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_pages(tmp_path_factory.mktemp("pages"))


def _run_in(page: Path, width: int, result: str, *scripts: str) -> Any:
    """What scripts leave in <pre id=result> of a page, in a window of this width."""
    copy = page.with_name(f"{page.stem}-{result}-{width}.html")
    added = "".join(f"<script>{script}</script>" for script in scripts)
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{added}</body>"), "utf-8")
    assert BROWSER
    command = [BROWSER, *FLAGS, f"--user-data-dir={page.parent / 'profile'}", f"--window-size={width},900"]
    shown = subprocess.run([*command, "--dump-dom", copy.as_uri()], capture_output=True, text=True, timeout=120)
    told = re.search(rf'<pre id="{result}">(.*?)</pre>', shown.stdout, re.DOTALL)
    assert told, shown.stderr[-2000:]
    return json.loads(unescape(told[1]))


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [1200, 500])
def test_a_page_is_whole(pages: dict[str, Path], name: str, width: int) -> None:
    looked = _run_in(pages[name], width, "found", SCRIPT)
    assert looked["width"] == width
    assert looked["found"] == []


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_that_keeps_anybody_out(pages: dict[str, Path], name: str) -> None:
    """Names, roles, contrast, tables, headings and landmarks, by the rules of WCAG 2.1 as axe-core has them."""
    assert _run_in(pages[name], 1200, "axe", AXE, WITH_AXE) == []


def test_the_browser_finds_what_is_wrong(tmp_path: Path) -> None:
    page = tmp_path / "wrong.html"
    page.write_text(
        '<html><body style="color: #bbb"><input type="radio" name="l" id="lang-en"><input type="radio" id="lang-zh">'
        '<main><h1>x</h1><h3>y</h3><svg role="img"></svg><a href="#"></a><div style="width: 2000px">z</div>'
        '<table><tr><th>t</th></tr></table><div class="scroll">p</div>'
        '<p id="lang-en"><span lang="zh-Hans">字</span></p></main></body></html>',
        encoding="utf-8",
    )
    found = " ".join(_run_in(page, 1200, "found", SCRIPT)["found"])
    wrong = ("wider than", "other language", "contrast", "skips a level", "no language", "picture without", "A without",
             "no scope", "id twice", "reached by a key", "INPUT without")  # fmt: skip
    assert [word for word in wrong if word not in found] == []

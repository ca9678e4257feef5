"""report.html: self-contained, two languages from one catalogue, marked, escaped, the same every time."""

import re
import warnings
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from string import Formatter

import pytest

import bank_node
from bank_node.record import messages
from bank_node.record.facts import RunFacts, write_facts
from bank_node.report.page.templates import BROWSER_LANGUAGE
from bank_node.report.report import write_report
from tests.bank_node.report.simulated import simulate_run, simulated_facts

BANK = Path(bank_node.__file__).parent
VOID = {"meta", "input", "br", "img", "link", "hr"}


class _Outline(HTMLParser):
    """Elements and their attributes; an unbalanced page is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _outline(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = _Outline()
    parser.feed(page)
    assert parser.open == []
    return parser.found


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return (run / "report.html").read_text(encoding="utf-8")


def test_both_languages_have_the_same_placeholders() -> None:
    for key, sentence in messages.catalogue().items():
        assert set(sentence) == set(messages.LANGUAGES), key
        fields = [{name for _, name, _, _ in Formatter().parse(sentence[lang]) if name} for lang in messages.LANGUAGES]
        assert fields[0] - {"s"} == fields[1] - {"s"}, key  # Chinese has no plural


def test_every_sentence_of_the_catalogue_is_used() -> None:
    rooms = ("record", "metrics", "report", "trees", "linear", "family")
    sources = [
        *(path for room in rooms for path in (BANK / room).rglob("*")),
        BANK / "training" / "outcome" / "notes.py",
    ]
    text = "".join(path.read_text(encoding="utf-8") for path in sources if path.suffix in (".py", ".j2"))
    built = re.compile(
        r"^(metric|name|phase|figure|short|verdict|tag|bands_by|bar|watch|left_out|security|impute|level|clip|reading|transform|scale|run_kept_out_by|sentence|next|part)_"
    )
    unused = [
        key
        for key in messages.catalogue()
        if not key.startswith("lab_")  # the laboratory's own pages, where their tests are loaded, too
        if not built.match(key) and f'"{key}"' not in text and f"@{key}@" not in text
    ]
    assert unused == []


def test_the_page_needs_no_network(page: str) -> None:
    for tag, attributes in _outline(page.replace(BROWSER_LANGUAGE, "")):
        assert tag not in ("script", "link", "img", "iframe")
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_ids_are_unique_and_references_resolve(page: str) -> None:
    found = _outline(page)
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = {v[1:] for _, a in found for k, v in a.items() if k in ("href", "xlink:href") and v}
    wanted |= set(re.findall(r"url\(#([^)]+)\)", page))
    assert wanted <= set(ids)


def test_every_table_has_scoped_headers_and_every_picture_a_title(page: str) -> None:
    found = _outline(page)
    assert all("scope" in attributes for tag, attributes in found if tag == "th")
    pictures = [attributes for tag, attributes in found if tag == "svg"]
    assert len(pictures) == 14
    assert all(attributes["role"] == "img" and attributes["aria-labelledby"] for attributes in pictures)


def test_text_in_pictures_is_text_in_both_languages(page: str) -> None:
    picture = page[page.index("<svg", page.index("ROC")) :]
    picture = picture[: picture.index("</svg>")]
    assert '<tspan lang="en">goods alerted</tspan><tspan lang="zh-Hans">误报的好客户占比</tspan>' in picture
    assert "bank+bureau" not in picture
    assert '<tspan lang="en">bank + bureau</tspan><tspan lang="zh-Hans">bank + bureau</tspan>' in picture
    assert "@" not in picture


def test_the_forest_plot_comes_first(page: str) -> None:
    assert page.index('aria-labelledby="forest-title"') == page.index("aria-labelledby")


def test_nothing_that_came_with_the_data_is_markup(tmp_path: Path) -> None:
    title = {"en": "<script>alert(1)</script>", "zh": "<b>$x$</b>"}
    simulate_run(tmp_path, title=title, job="<i>job</i>", bootstrap=30)
    write_report(tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8").replace(BROWSER_LANGUAGE, "")
    assert not any(tag in text for tag in ("<script", "<b>$x$", "<i>job"))
    assert "&lt;script&gt;alert(1)" in text


ODD = ("Bank of $x$", "税务局", "<b>", "@metric_auc@", "_u", "a very long name of a land registry office")


def test_odd_names_equal_scores_and_many_parties(tmp_path: Path) -> None:
    """Names that mean something to matplotlib, HTML or the catalogue; scores that rank nobody; no warning at all."""
    rungs = [ODD[:1], *((ODD[0], partner) for partner in ODD[1:]), ODD]
    lines = [f'"{i}|,x",{"+".join(rung)},glm,test,{i % 2},0.5' for rung in rungs for i in range(100)]
    (tmp_path / "scores.csv").write_text("\n".join(["id,rung,model,part,label,score", *lines]), encoding="utf-8")
    write_facts(tmp_path, _odd_facts(rungs))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = write_report(tmp_path)
    assert report.rungs[-1].metrics["auc"].value == 0.5
    assert report.headline.uplift == 0
    outline = _outline((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert not any(tag == "b" for tag, _ in outline)


def _odd_facts(rungs: Sequence[Sequence[str]]) -> RunFacts:
    leak = {"queries": 1, "equations_share": 0, "information_share": 0}
    return simulated_facts(
        label_party=ODD[0],
        data={"parties": {party: {"columns": 1, "held": 100, "matched": 100} for party in ODD}},
        rungs=[
            {
                "name": "+".join(rung),
                "parties": list(rung),
                "model": "glm",
                "model_sha256": "00",
                "importance": {party: 1 / len(rung) for party in rung},
                "leakage": dict.fromkeys(rung[1:], leak),
            }
            for rung in rungs
        ],
        alert_rates=[0.001, 0.999],
        bootstrap=30,
    )


def test_it_says_what_a_bank_that_deviates_could_have_read(page: str) -> None:
    for share, partner in (("97.3%", "bureau"), ("48.2%", "telecom")):
        assert f"it could have read at most {share} of the bins of {partner}, whatever its strategy" in page
        assert f"最多可读出 {partner} 分箱信息的 {share}" in page
    assert page.count("That is all of them or nearly so") == page.count("即全部或几乎全部") == 1


def test_marks_for_synthetic_and_unencrypted_runs(page: str, tmp_path: Path) -> None:
    assert "SYNTHETIC" not in page
    assert "NOT ENCRYPTED" not in page
    simulate_run(tmp_path, synthetic=True, engine="plaintext", bootstrap=30)
    write_report(tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.search(r"<title>SYNTHETIC DATA · NOT ENCRYPTED", text)
    heading = text[text.index("<h1>") : text.index("</h1>")]
    assert "SYNTHETIC DATA" in heading
    assert "合成数据" in heading
    assert text.index('class="banner"') < text.index("<h1>")


def test_the_same_run_gives_the_same_bytes(run: Path, page: str, tmp_path: Path) -> None:
    for name in ("scores.csv", "absences.csv", "facts.json"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    write_report(tmp_path)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page


def test_an_engine_for_comparison_says_what_it_gives_away(tmp_path):
    simulate_run(tmp_path, engine="ckks", bootstrap=30)
    write_report(tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Nothing hides a partner" in page
    assert "flooding leaves" not in page

"""The tutorial runs as it stands, shows its tables, and leaves nothing behind.

`python -m tests.test_tutorial` runs it and writes docs/tutorial.ipynb anew, with what its cells show.
"""

import os
import tempfile
from pathlib import Path
from unittest.mock import patch

import click
import nbformat
from nbclient import NotebookClient

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.ipynb"


def executed(folder: Path) -> nbformat.NotebookNode:
    """The tutorial after a run in a kernel whose every file is in `folder`. Raises: CellExecutionError."""
    book = nbformat.read(TUTORIAL, as_version=4)
    places = {name: str(folder) for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "TMPDIR")}
    with patch.dict(os.environ, places):
        NotebookClient(book, timeout=120, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    return book


def shown(book: nbformat.NotebookNode) -> list[str]:
    """The HTML that each cell of code shows; "" where it shows none."""
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    return ["".join(out.get("data", {}).get("text/html", "") for out in cell.outputs) for cell in cells]


def test_the_tutorial_runs_and_shows_what_it_says(tmp_path: Path) -> None:
    html = shown(executed(tmp_path))
    text = "\n".join(html)
    assert "<progress" in text
    for words in ("bank + telecom + bureau", "max_information_share", "boosting.splits", "telecom: column 1"):
        assert words in text, words
    assert not list(tmp_path.glob("fedwarn-*")), "the parties' folders are gone with the kernel"


def test_the_tutorial_is_kept_with_its_output_and_without_errors() -> None:
    book = nbformat.read(TUTORIAL, as_version=4)
    assert "bank + telecom + bureau" in "".join(shown(book))
    outputs = [out for cell in book.cells if cell.cell_type == "code" for out in cell.outputs]
    assert all(out.output_type != "error" for out in outputs)
    assert TUTORIAL.stat().st_size < 100_000


def _written() -> None:
    with tempfile.TemporaryDirectory() as folder:
        book = executed(Path(folder))
    for cell in book.cells:
        cell.metadata.pop("execution", None)
    book.metadata.pop("language_info", None)
    nbformat.write(book, TUTORIAL)
    click.echo("docs/tutorial.ipynb")


if __name__ == "__main__":
    _written()

"""Settings files: strict keys, a hint at the nearest, and one sentence whatever is wrong."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from protocol.errors import UsageError
from protocol.settings import load_toml, resolve


class Inner(BaseModel):
    """A section."""

    model_config = ConfigDict(extra="forbid")
    depth: int = Field(3, ge=1)


class Outer(BaseModel):
    """A file."""

    model_config = ConfigDict(extra="forbid")
    name: str
    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()
    named: dict[str, Inner] = {}
    maybe: Inner | None = None


def load(folder: Path, text: str) -> Outer:
    """Settings in a file of this text."""
    path = folder / "node.toml"
    path.write_text(text, encoding="utf-8")
    return load_toml(Outer, path)


def test_a_file_is_read(tmp_path):
    made = load(tmp_path, 'name = "银行"\n[inner]\ndepth = 4\n[[many]]\n[named."a.b"]\ndepth = 5\n')
    assert (made.name, made.inner.depth, len(made.many), made.named["a.b"].depth) == ("银行", 4, 1, 5)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('nam = "x"\nname = "x"', "unknown key 'nam' (nearest: 'name')"),
        ('name = "x"\n[inner]\ndept = 1', "unknown key 'inner.dept' (nearest: 'depth')"),
        ('name = "x"\n[[many]]\ndept = 1', "unknown key 'many.0.dept' (nearest: 'depth')"),
        ('name = "x"\n[named.p]\ndept = 1', "unknown key 'named.p.dept' (nearest: 'depth')"),
        ('name = "x"\n[maybe]\ndept = 1', "unknown key 'maybe.dept' (nearest: 'depth')"),
        ('name = "x"\nzzzzzz = 1', "unknown key 'zzzzzz';"),
        ("", "node.toml lacks the key 'name'"),
        ("name = 3", "the key 'name' is a int"),
        ('name = "x"\n[inner]\ndepth = "secret"', "the key 'inner.depth' is a str"),
        ('name = "x"\n[inner]\ndepth = 0', "the key 'inner.depth' is a int"),
        ("name = ", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path, text, sentence):
    with pytest.raises(UsageError) as caught:
        load(tmp_path, text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(UsageError, match=r"node\.toml is not at"):
        load_toml(Outer, tmp_path / "node.toml")
    (tmp_path / "node.toml").write_bytes("名".encode("gbk"))
    with pytest.raises(UsageError, match="is not valid TOML"):
        load_toml(Outer, tmp_path / "node.toml")


def test_paths_are_relative_to_their_file(tmp_path):
    assert resolve(Path("a/b.csv"), tmp_path / "x" / "job.toml") == (tmp_path / "x" / "a" / "b.csv").resolve()
    assert resolve(Path("/a/b.csv"), tmp_path / "job.toml") == Path("/a/b.csv")

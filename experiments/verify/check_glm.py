"""`fedwarn check glm`: the run's linear models once more, with scores that are not rounded, against statsmodels.

The tables are joined by id, and their columns encoded as the models say. Where statsmodels is not installed, or the
model has an L2 penalty, plain Newton steps over the joined table stand in its place; of an L1 penalty, L-BFGS-B.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from math import erfc, sqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tomli_w
from msgspec import UnsetType

from bank_node.data.parts import assign_parts
from bank_node.families.catalogue import load_model
from bank_node.linear.glm_families import Family
from bank_node.linear.scorer import linear_of
from bank_node.models.linear import LinearModel, PartnerTerm
from bank_node.record.facts import Linear, RungFacts, read_facts
from bank_node.settings.config import load_config as load_bank
from bank_node.training.own_table import read_own_table
from experiments.run.launch import train_in_process
from experiments.run.nodes import Nodes, approve_at
from experiments.verify.joined import rows_behind
from partner_node.algorithms.binning import bin_table
from partner_node.algorithms.glm import terms_of, values_of
from partner_node.config import load_config as load_partner
from partner_node.node.bins import as_told
from protocol.algorithms.glm import VALUE, DesignColumn
from protocol.algorithms.glm_parameters import GlmParams
from protocol.errors import UsageError
from protocol.files import write_whole
from protocol.job import Job
from protocol.job.ladder import folder_of
from protocol.job.linear import GlmModel, LinearJobModel, linear_models
from protocol.messages import F64
from protocol.settings import parse_toml
from protocol.table import Table, read_table

Progress = Callable[[str, int, int], None]
_UNROUNDED = {"score_decimals": 9, "score_releases": 1_000_000}


@dataclass(frozen=True)
class _Found:
    """How far one rung is from the reference. p: None where the model gives none."""

    coefficient: float
    p: float | None
    steps: int


def check_models(job: Job, configs: dict[str, Path], progress: Progress) -> dict[str, Any]:
    """max_abs_coef, in units of the margin; max_abs_p, None if only tests of whole parties exist; iterations."""
    with TemporaryDirectory() as name:
        place = Path(name)
        again, nodes = _repeated(job, configs, place)
        approve_at(nodes, again)
        train_in_process(again, nodes, place, progress)
        joined = _Joined(again, nodes.configs)
        found = [joined.compare(rung, place) for rung in read_facts(place).rungs]
    known = [one.p for one in found if one.p is not None]
    return {
        "max_abs_coef": max(one.coefficient for one in found),
        "max_abs_p": max(known) if known else None,
        "iterations": max(one.steps for one in found),
        "rungs": len(found),
        "reference": joined.reference,
    }


def _repeated(job: Job, configs: dict[str, Path], place: Path) -> tuple[Job, Nodes]:
    """The job's linear models, or one of all defaults, and its nodes from fresh state, rounding nothing."""
    models = linear_models(job) or (_usual(job),)
    copies = {}
    for party, path in configs.items():
        copies[party] = place / "nodes" / path.parent.name / path.name
        shutil.copytree(path.parent, copies[party].parent, ignore=shutil.ignore_patterns("state"))
        values = parse_toml(path)
        values["contract"] = {**values.get("contract", {}), **_UNROUNDED}
        if party != job.bank:
            values["policy"] = {**values.get("policy", {}), "equation_budget": "counted"}
        write_whole(copies[party], tomli_w.dumps(values).encode())
    shutil.copyfile(configs[job.bank].parents[2] / "job.toml", place / "job.toml")
    unrounded = job.contract.model_copy(update=_UNROUNDED)
    update = {
        "models": models,
        "contract": unrounded,
        "report": job.report.model_copy(update={"bin_tables": False, "placebo": False}),
    }
    return job.model_copy(update=update), Nodes(copies, {}, {})


def _usual(job: Job) -> GlmModel:
    return GlmModel(kind="glm", params=GlmParams(family="logistic" if job.task == "binary" else "linear"))


class _Joined:
    """All tables in one place, by id."""

    def __init__(self, job: Job, configs: dict[str, Path]) -> None:
        self._job, self._configs = job, configs
        self._own = read_own_table(load_bank(configs[job.bank]), job)
        self._train = assign_parts(job.split, self._own, job.task) == "train"
        self._tables: dict[str, Table] = {}
        self.reference = "numpy"

    def compare(self, rung: RungFacts, place: Path) -> _Found:
        """One rung's coefficients and p-values against those of the joined table."""
        assert rung.linear is not None
        model = linear_of(load_model(place / "models" / folder_of(rung.name) / rung.model))
        asked = dict(zip(self._job.model_names, linear_models(self._job), strict=True))[rung.model]
        params = asked.glm
        kept = np.array([not term.collinear and term.left_out in ("", "lasso") for term in rung.linear.terms])
        x = self._columns(model, asked)[self._train][:, kept]
        coefficients, p = self._fit(x, params, model.scale, self._offset(model))
        ours = np.array([term.coefficient for term in rung.linear.terms])[kept] / model.scale
        worst = float(np.abs(ours - coefficients).max())
        told = rung.linear.joint and not params.reg_alpha
        return _Found(worst, _worst_p(rung.linear, kept, p) if told else None, rung.linear.steps)

    def _columns(self, model: LinearModel, asked: LinearJobModel) -> F64:
        """A one, and every term over all rows of the bank, shape (n, p)."""
        own = {column.name: column for column in self._own.columns}
        parts = [np.ones(self._own.rows), *(term.encode(own[term.column]) / VALUE for term in model.own)]
        for party in model.parties[1:]:
            parts += list(self._of_partner(party, model.of(party), asked))
        return np.stack(parts, axis=1)

    def _of_partner(self, party: str, terms: tuple[PartnerTerm, ...], asked: LinearJobModel) -> F64:
        """The terms of a partner, shape (d, n)."""
        config = load_partner(self._configs[party])
        if party not in self._tables:
            self._tables[party] = read_table(config.data.source, config.data, party)
        table = self._tables[party]
        bank = load_bank(self._configs[self._job.bank])
        contract = bank.contract.stricter(config.contract)
        cutting = asked.cutting(self._job)
        cut = bin_table(party, table.columns, cutting, contract.smallest_bin(table.rows), config.data.monotone)
        binned = as_told(config, cut)
        places = {shape.number: place for place, shape in enumerate(binned.shapes)}
        wanted = [DesignColumn(places[term.column], term.values) for term in terms]
        values = values_of(terms_of(self._job.bank, party, binned, table.columns, wanted), table.columns, party)
        rows = rows_behind(self._own, table, bank.grid)
        absent = np.array([term.not_held for term in terms])
        return np.asarray(np.where((rows >= 0)[:, None], values[rows], absent).T / VALUE)

    def _offset(self, model: LinearModel) -> F64:
        """Of the rows trained on, in units of `scale`."""
        if isinstance(model.offset, UnsetType):
            return np.zeros(int(self._train.sum()))
        numbers = self._own.numbers[model.offset.column][self._train]
        return np.asarray((np.log(numbers) if model.offset.log else numbers) / model.scale)

    def _fit(self, x: F64, params: GlmParams, scale: float, offset: F64) -> tuple[F64, F64]:
        """Coefficients and p-values of the joined table; labels in units of `scale`."""
        assert self._own.label is not None
        y = self._own.label[self._train] / scale
        weights = np.ones(len(y)) if self._own.weight is None else self._own.weight[self._train]
        if params.reg_alpha:
            return self._by_elastic_net(x, Family(params.family, y, weights, offset), params, scale)
        if find_spec("statsmodels") and not params.reg_lambda:
            self.reference, coefficients, p = _by_statsmodels(x, y, weights, params.family, offset)
            return coefficients, p
        return _by_newton(x, Family(params.family, y, weights, offset), params.reg_lambda)

    def _by_elastic_net(self, x: F64, family: Family, params: GlmParams, scale: float) -> tuple[F64, F64]:
        """The same under an L1 penalty; there are no p-values."""
        if not find_spec("scipy"):
            raise UsageError(
                self._job.bank, "has a glm with an L1 penalty, which is checked by scipy",
                'install the extra "bench"',
            )  # fmt: skip
        import scipy

        from experiments.verify.elastic_net import elastic_net

        self.reference = f"scipy {scipy.__version__}, L-BFGS-B"
        return elastic_net(x, family, params.reg_lambda, params.reg_alpha / scale), np.zeros(0)


def _worst_p(linear: Linear, kept: np.ndarray[Any, Any], p: F64) -> float:
    ours = [term.p for term in linear.terms]
    return max(float(abs(mine - theirs)) for mine, theirs in zip(np.array(ours)[kept], p, strict=True))


def _by_statsmodels(x: F64, y: F64, weights: F64, family: str, offset: F64) -> tuple[str, F64, F64]:
    import statsmodels
    import statsmodels.api as sm

    families = {"logistic": sm.families.Binomial, "linear": sm.families.Gaussian, "poisson": sm.families.Poisson}
    fitted = sm.GLM(y, x, family=families[family](), freq_weights=weights, offset=offset).fit(tol=1e-12)
    return f"statsmodels {statsmodels.__version__}", np.asarray(fitted.params), np.asarray(fitted.pvalues)


def _by_newton(x: F64, family: Family, penalty: float) -> tuple[F64, F64]:
    """The same by plain Newton steps."""
    ridge = np.diag([0.0, *[penalty] * (x.shape[1] - 1)])
    coefficients = np.zeros(x.shape[1])
    coefficients[0] = family.base()
    for _ in range(50):
        eta = x @ coefficients + family.given
        plain = x.T @ (x * family.weight(eta)[:, None])
        coefficients = coefficients + np.linalg.solve(plain + ridge, x.T @ family.residual(eta) - ridge @ coefficients)
    inverse = np.linalg.inv(plain + ridge)
    errors = np.sqrt(
        np.diag(inverse @ plain @ inverse) * family.dispersion(x @ coefficients + family.given, x.shape[1])
    )
    return coefficients, np.array([erfc(abs(z) / sqrt(2.0)) for z in coefficients / errors])

"""Boosted trees over the columns of a bank and its partners, in scikit-learn's conventions.

    model = FederatedBooster(n_estimators=60).fit(federation, train)
    model.predict_proba(test)

Everything that can be said of scikit-learn's estimators holds, without scikit-learn being needed: the constructor
only keeps its parameters, `fit` checks them, what is learnt ends in an underscore, `clone` works. Another name than
XGBoost's stands only where XGBoost has no such parameter.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np
import tomli_w

from bank_node.api.federation import Federation
from bank_node.api.fitted import Fitted, NotFitted
from bank_node.api.judging import Judge
from bank_node.api.listing import Listing
from bank_node.api.progress import watched
from bank_node.api.rows import Rows
from bank_node.models.folder import ModelFolder
from bank_node.scoring.scoring import read_rows
from bank_node.settings.config import BankConfig
from bank_node.training.own_table import read_own_table
from bank_node.training.refit import refit
from bank_node.training.refit_record import record_of
from bank_node.trees.scorer import trees_of
from protocol.algorithms.parameters import OBJECTIVES, BoostingParams, Task
from protocol.errors import UsageError, nearest
from protocol.files import write_whole
from protocol.job import Job, JobData, JobParty, ReportSettings, Run, Split
from protocol.job.boosting import BoostingModel
from protocol.job.data import ALL_COLUMNS
from protocol.messages import F64, I64
from protocol.settings import check_settings
from protocol.table import Source, Table, read_table
from protocol.table.one_file import kind_of

_OWN: Final[dict[str, Any]] = {"partners": None, "validation_fraction": 0.0, "random_state": 7}
_DEFAULTS: Final = {**{name: field.default for name, field in BoostingParams.model_fields.items()}, **_OWN}


class FederatedBooster:
    """Gradient-boosted trees, trained under encryption over the columns of several parties.

    Parameters are those of a `boosting` model in a job file (docs/scenario-file.md): n_estimators, max_depth,
    learning_rate, max_bin, reg_lambda, reg_alpha, gamma, min_child_weight, subsample, colsample_bytree,
    early_stopping_rounds, objective ... as XGBoost has them; reveal_cost, which is ours. Besides:

        partners: names of those to train with; all of the federation if None.
        validation_fraction: share of the rows on which early stopping judges; they are not trained on.
        random_state: seed of all public draws. Two fits alike at the same nodes give the same model.

    After `fit`: classes_, feature_names_ and feature_importances_ (share of the gain; a partner's columns have
    numbers), importances_ and leakage_ (tables), model_ (the trees), federation_.
    """

    __signature__: ClassVar[Signature] = Signature(
        [Parameter(name, Parameter.KEYWORD_ONLY, default=value) for name, value in _DEFAULTS.items()]
    )

    def __init__(self, **params: Any) -> None:
        """Raises: UsageError: no such parameter. Values are checked by `fit`."""
        self._params = deepcopy(_DEFAULTS)
        self.set_params(**params)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All parameters by name."""
        return dict(self._params)

    def set_params(self, **params: Any) -> Self:
        """Change some parameters. Raises: UsageError: no such parameter."""
        for name in params:
            if name not in _DEFAULTS:
                hint = nearest(name, list(_DEFAULTS))
                raise UsageError("FederatedBooster", f"there is no parameter {name!r}{hint}", "correct or leave it out")
        self._params.update(params)
        return self

    def __getattr__(self, name: str) -> Any:
        """Parameters are attributes; what only a fit leaves is asked for in vain before."""
        if name in _DEFAULTS:
            return self._params[name]
        if name == "federation_" and "fitted_" in vars(self):
            raise NotFitted("FederatedBooster", "it has no federation here", "set its federation_")
        if name.endswith("_") and not name.startswith("_"):
            raise NotFitted("FederatedBooster", "it is not fitted yet", "call fit(federation, rows) first")
        raise AttributeError(f"FederatedBooster has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _DEFAULTS:
            self._params[name] = value
        else:
            super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        """All but the federation: a model may travel, a bank's node and its partners stay where they are."""
        return {name: value for name, value in vars(self).items() if name not in ("federation_", "model_", "record_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if "fitted_" in state:
            self.model_ = trees_of(self.fitted_.model)

    def __repr__(self) -> str:
        return f"FederatedBooster({', '.join(f'{name}={value!r}' for name, value in self._changed.items())})"

    @property
    def _changed(self) -> dict[str, Any]:
        """Parameters that are not at their defaults."""
        return {name: value for name, value in self._params.items() if value != _DEFAULTS[name]}

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks of an estimator; it alone calls this."""
        from sklearn.utils import ClassifierTags, RegressorTags, Tags, TargetTags

        targets = TargetTags(required=False)
        if OBJECTIVES.get(self.objective) == "regression":
            return Tags(estimator_type="regressor", target_tags=targets, regressor_tags=RegressorTags())
        return Tags(estimator_type="classifier", target_tags=targets, classifier_tags=ClassifierTags())

    # -- fitting ---------------------------------------------------------------------------------------------------

    def fit(self, federation: Federation, rows: Rows | None = None) -> Self:
        """Train on all these rows, with labels among their columns; on the node's own table if none are given.

        Aligns them with every partner first. The same fit once more costs nothing of any budget, and one that was
        interrupted goes on where it stopped.
        Raises: FedwarnError, from whichever party it comes.
        """
        if not isinstance(federation, Federation):
            raise UsageError("fit", "its first argument is no federation", "call fit(federation, rows)")
        with federation.rows(rows) as config:
            job = self._job(federation, config.data.source)
            federation.submit(job)
            table = read_own_table(config, job)
            with federation.node(config) as node:
                training = node.fit(job, table)
        self._keep(Fitted.of(training, self._changed))
        self.federation_, self.record_ = federation, record_of(training)
        return self

    def refit(self, rows: Rows | None = None, **params: Any) -> Self:
        """Fit again with other parameters on what the bank knows already; returns a new estimator.

        No partner is asked and no budget is touched: the trees may split on the bank's columns and on the
        splits that `fit` has revealed. The bins (max_bin), the objective and the rows are those of `fit`.

        Args:
            rows: those that were given to `fit`.
            params: parameters that change.

        Raises:
            NotFitted: this estimator was loaded from a folder; `bank-node refit` takes a run's folder.
            UsageError: a parameter is unknown or cannot be changed.
            DataError: these are other rows.
        """
        other = type(self)(**self._params).set_params(**params)
        changes = {name: value for name, value in params.items() if name in BoostingParams.model_fields}
        with self.federation_.rows(rows) as config, watched(self.federation_.progress) as progress:
            training, _ = refit(config, self.record_, changes, progress)
        other._keep(Fitted.of(training, other._changed))
        other.federation_, other.record_ = self.federation_, self.record_
        return other

    def job_file(self, federation: Federation, rows: Rows | None, path: str | Path) -> Path:
        """Write the job file of `fit(federation, rows)`, which partners approve (`partner-node approve`).

        It holds parameters, names of the bank's columns and the digest of the rows; no row, and no path of yours.
        Returns: the path. Raises: UsageError, DataError: of parameters or rows.
        """
        with federation.rows(rows) as config:
            job = self._job(federation, config.data.source)
        bare = job.data.source and job.data.source.model_copy(update={"path": Path(job.data.source.path.name)})
        shared = job.model_copy(update={"data": job.data.model_copy(update={"source": bare})})
        values = shared.model_dump(mode="json", by_alias=True, exclude_none=True)
        write_whole(Path(path), tomli_w.dumps(values).encode())
        return Path(path)

    def _job(self, federation: Federation, source: Source) -> Job:
        """The job that a scenario file would describe. Which columns the partners have is their own affair."""
        data, partners = federation.config.data, federation.chosen(self.partners)
        if not partners:
            raise UsageError("FederatedBooster", "there is no partner to train with", "name at least one")
        values = {name: value for name, value in self._params.items() if name in BoostingParams.model_fields}
        params = check_settings(BoostingParams, values, "FederatedBooster")
        if params.early_stopping_rounds and not self.validation_fraction:
            raise UsageError(
                "FederatedBooster", "early_stopping_rounds judges on rows that are not trained on, and there are none",
                "set validation_fraction, or leave early_stopping_rounds at 0",
            )  # fmt: skip
        split = {"validation": self.validation_fraction, "seed": self.random_state}
        whole = check_settings(Split, {**split, "test": 0.0}, "FederatedBooster")
        theirs = JobParty(columns=(ALL_COLUMNS,))
        own = JobParty(columns=data.columns or theirs.columns)
        return Job(
            name="notebook",
            label_party=federation.bank,
            data=JobData(
                source=Source(kind=source.kind, path=source.path, sha256=source.sha256),
                id=data.id, label=data.label, weight=data.weight, amount=data.amount, time=data.time,
                as_of=data.as_of, period=data.period, first=data.first, last=data.last,
                missing=data.missing, categorical=data.categorical, ordered=data.ordered,
            ),
            parties={federation.bank: own, **dict.fromkeys(partners, theirs)},
            split=whole,
            models=(BoostingModel(params=params),),
            run=Run(
                engine=federation.config.engine, alignment=federation.config.alignment,
                split_rows=federation.config.split_rows, seed=self.random_state,
                ladder=((federation.bank,), (federation.bank, *partners)),
            ),
            report=ReportSettings(placebo=False),
            contract=federation.config.contract,
        )  # fmt: skip

    def _keep(self, fitted: Fitted) -> None:
        note = fitted.note
        order = np.argsort([-share for share in note.importances], kind="stable")
        self.fitted_, self.model_ = fitted, trees_of(fitted.model)
        base = self.model_.base
        self.classes_ = np.arange(len(base) if isinstance(base, tuple) else 2)
        self.feature_names_ = list(note.features)
        self.feature_importances_ = np.array(note.importances)
        self.importances_ = Listing([{"feature": note.features[k], "gain": note.importances[k]} for k in order])
        self.leakage_ = Listing(note.leakage)

    # -- using a model ---------------------------------------------------------------------------------------------

    def predict_proba(self, rows: Rows | None = None, absent: Sequence[str] = ()) -> F64:
        """Probability of a good and of a bad, a row, in the order given, shape (n, 2); or of each class, shape (n, K).

        absent: partners to do without; their splits take the directions learnt for a missing value.
        Raises: FedwarnError: NotFitted; or of a partner that is needed and cannot be asked.
        """
        if self._judge().task == "regression":
            raise UsageError("predict_proba", "this model predicts numbers, which have no classes", "call predict")
        scores = self._scored(rows, absent)
        return scores if scores.ndim == 2 else np.stack((1.0 - scores, scores), axis=1)

    def predict(self, rows: Rows | None = None, absent: Sequence[str] = ()) -> F64 | I64:
        """The likeliest class of each row, or the number predicted, shape (n,).

        Where bads are rare the likeliest class is nearly always 0: rank by `predict_proba`, and alert as many as you
        can work on.
        """
        if self._judge().task == "regression":
            return self._scored(rows, absent)
        likeliest: I64 = self.predict_proba(rows, absent).argmax(axis=1)
        return likeliest

    def score(self, rows: Rows | None = None, metric: str = "", absent: Sequence[str] = ()) -> float:
        """A figure of merit on rows with labels.

        Of a 0/1 label: auc (if none is named), ks, gini, pr_auc, brier, precision@0.05, recall@, lift@ any rate.
        Of numbers: rmse, mae, deviance. Of classes: mlogloss, accuracy.
        """
        judge = self._judge()
        with self.federation_.rows(rows) as config:
            score, label = self._scores(config, self.fitted_.model, absent), _labels(config, judge.task)
        return judge.figure(label, score, metric)

    def uplift(self, rows: Rows | None = None) -> Listing:
        """The bank alone beside the bank with its partners, on rows with labels; and what these add to the AUC of a
        0/1 label, with a 95% interval.

        On the rows of the fit it flatters the larger model: give others.
        """
        judge, alone = self._judge(), self.fitted_.alone
        if alone is None:
            raise UsageError("uplift", "this model came without the bank's own", "fit it, or read the run's report")
        with self.federation_.rows(rows) as config:
            scores = {name: self._scores(config, model) for name, model in self._ladder(alone).items()}
            return judge.side_by_side(_labels(config, judge.task), scores)

    def _judge(self) -> Judge:
        return Judge.of(self.model_, self.tweedie_variance_power)

    def _scored(self, rows: Rows | None, absent: Sequence[str]) -> F64:
        with self.federation_.rows(rows) as config:
            return self._scores(config, self.fitted_.model, absent)

    def save(self, folder: str | Path) -> None:
        """Leave the model folder, as `bank-node score --model` takes it."""
        self.fitted_.write(Path(folder))

    @classmethod
    def load(cls, folder: str | Path, federation: Federation) -> Self:
        """A fitted estimator from a model folder: of `save`, or models/RUNG/MODEL of a run.

        Raises: UsageError: there is no model. IntegrityError: it is not what its checksum says.
        """
        fitted = Fitted.read(Path(folder))
        model = cls(**{name: value for name, value in fitted.note.params.items() if name in _DEFAULTS})
        model._keep(fitted)
        model.federation_ = federation
        return model

    def _ladder(self, alone: ModelFolder) -> Mapping[str, ModelFolder]:
        return {" + ".join(trees_of(folder).parties): folder for folder in (alone, self.fitted_.model)}

    def _scores(self, config: BankConfig, model: ModelFolder, absent: Sequence[str] = ()) -> F64:
        """Probability of a bad or number predicted, shape (n,), or of each class, shape (n, K); in the file's order."""
        without = set(self.federation_.chosen(tuple(absent)))
        table = read_rows(config, model, config.data.source.path)
        with self.federation_.node(config) as node:
            scored = node.score(model, table, without)
        out = np.empty(scored.score.shape)
        out[table.order] = scored.score
        return out


def _labels(config: BankConfig, task: Task) -> F64:
    """Labels, in the order of the file, shape (n,)."""
    bare = {"columns": (), "weight": "", "amount": "", "time": "", "part": "", "task": task}
    spec = config.data.model_copy(update=bare)
    table: Table = read_table(_source(config), spec, config.party, to_train=False)
    assert table.label is not None
    out = np.empty(table.rows)
    out[table.order] = table.label
    return out


def _source(config: BankConfig) -> Source:
    """The file, seen as the scoring sees it: by its name."""
    path = config.data.source.path
    return Source(kind=kind_of(path), path=path)

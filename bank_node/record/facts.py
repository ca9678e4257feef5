"""What a run knows that its scores do not tell: `facts.json`, the second input of the report.

Everything here is written by whoever ran the training; every figure of merit is computed from `scores.csv`
alone. A run folder with these two files can be reported, verified and compared anywhere.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bank_node.record.scorecard import Scorecard
from protocol.algorithms.parameters import Task
from protocol.errors import UsageError
from protocol.files import write_whole
from protocol.job import Bands, EarlyWarning

FACTS_FILE = "facts.json"


class Facts(BaseModel):
    """Base: frozen, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Text(Facts):
    """One sentence in both languages of the report; `messages.say(key, ...)` makes it from the catalogue."""

    en: str
    zh: str


class OfColumn(Text):
    """A sentence on a partner's column, which it calls by number: whoever knows the column's name can put it there."""

    party: str
    number: int

    def named(self, name: str) -> Text:
        """The same with a name in the number's place."""
        handle = f"column {self.number + 1}"
        return Text(en=self.en.replace(handle, repr(name), 1), zh=self.zh.replace(handle, repr(name), 1))


class Security(Facts):
    """Strength of the encryption. None where the engine has no such figure.

    log2_q: bits of the modulus. ring: dimension N. classical_bits: lattice security against known attacks.
    statistical_bits_*: -log2 of the statistical distance that flooding leaves, of one answer and of a hint's life.
    linear: of the ring in which linear models are summed; None if there are none.
    """

    log2_q: float | None = None
    ring: int | None = None
    classical_bits: float | None = None
    statistical_bits_answer: float | None = None
    statistical_bits_total: float | None = None
    linear: "Security | None" = None


class ReadingFacts(Facts):
    """A note of protocol/table/notes.py. column: "" of the file itself. rows: that it concerns."""

    column: str
    rule: str
    rows: int
    text: Text


class PartyFacts(Facts):
    """What one party brought.

    title: what pages call it; None: as it is named.
    columns: number used as features. held: rows of its table. matched: rows of the label party that it holds.
    dropped: its columns that no model could use, and `reasons`, one a dropped column.
    sentinels: occurrences of declared missing-value codes, by column.
    reading: what was read otherwise than it is written, or dropped, by which rule; a partner's own in a simulation.
    """

    title: Text | None = None
    columns: int
    held: int
    matched: int
    dropped: list[str] = []
    reasons: dict[str, str] = {}
    sentinels: dict[str, int] = {}
    reading: list[ReadingFacts] = []


class DataFacts(Facts):
    """The parties, the columns given to nobody, and the files that came without a checksum to check."""

    parties: dict[str, PartyFacts]
    unused: list[str] = []
    unverified: list[str] = []


class DisclosureRow(Facts):
    """Messages of one kind from one party to another, added up. bytes: as sent, of all of them."""

    sender: str
    receiver: str
    kind: str
    content: str = ""
    purpose: str = ""
    encrypted: bool
    count: int
    bytes: int


class Leakage(Facts):
    """What a partner's answers gave away in one rung.

    queries: vectors answered. equations_share: sums released a matched row, for life so far.
    information_share: share of the entropy of its bins that split bits revealed so far.
    readable_share: share of the entropy of its bins that a bank which deviates from the protocol could have read so
    far, at most.
    releases: vectors of partial scores of the model so far; summed: of these, hidden in the sum of several partners'.
    told_rows: share of the rows of its table whose bins these tell (bank_node/linear/rows_released.py);
    None without any, or where the bank does not know what stands for a bin.
    zcdp: rho of zero-concentrated differential privacy that the noise would amount to; no claim is made on it.
    """

    queries: int
    equations_share: float
    information_share: float
    readable_share: float = 0.0
    zcdp: float | None = None
    releases: int = 0
    summed: int = 0
    told_rows: float | None = None


class Term(Facts):
    """One coefficient of a linear model. column: "" of the intercept.

    error: standard error. p: that it is 0. inflation: of its variance. None: not known, or left at 0: `collinear`, or
    `left_out` by the check named; "lasso": 0 by the L1 penalty, "few": its partner is kept out.
    """

    party: str
    column: str
    coefficient: float
    error: float | None
    p: float | None
    inflation: float | None
    collinear: bool = False
    left_out: str = ""


class Considered(Facts):
    """A column that a linear model could have had, of a job with [selection]. None: not known.

    iv, missing, single, stability: of it alone, see linear/columns.py. correlation: the largest with a column
    in the model, `beside`. inflation: of its variance, if it is in. left_out: by which check, "" if it is in.
    """

    party: str
    column: str
    iv: float | None
    missing: float | None
    single: float | None
    stability: float | None
    correlation: float | None
    beside: str
    inflation: float | None
    left_out: str


class PartyTest(Facts):
    """Likelihood-ratio test that all coefficients of a party are 0, from the rung without it."""

    party: str
    degrees: int
    statistic: float
    p: float


class PreparedColumn(Facts):
    """How one column of a linear model became numbers: what is declared, and figures of the bank's own.

    levels: of a category, with the reference, which holds what `reference` names; 0 of numbers. indicator: the model
    has a column for missing ones. limits: quantiles, deviations or bounds; None of none, or of a partner's own bounds.
    low, high: where it is clipped; filler, centre, spread: what stands for a missing value, and by which values are
    scaled, after the transform. missing: share of the rows trained on; cut: of those, whose value lies further out than
    fits. None: not known.
    """

    party: str
    column: str
    levels: int
    impute: str
    indicator: bool
    clip: str
    limits: tuple[float, float] | None
    transform: str
    scale: str
    reference: str | None = None
    low: float | None = None
    high: float | None = None
    filler: float | None = None
    centre: float | None = None
    spread: float | None = None
    missing: float | None = None
    cut: float | None = None


class Linear(Facts):
    """A linear model. joint: errors and p-values are those of all columns together; else errors are lower bounds.

    rows: fitted on. penalty: L2. lasso: L1, under which there are neither errors nor p-values. steps: taken to the end;
    converged: whether that was the end. prepared: its columns, where they are taken as numbers.
    """

    family: str
    encoding: str
    joint: bool
    rows: int
    deviance: float
    null_deviance: float
    penalty: float
    lasso: float = 0.0
    steps: int
    converged: bool
    terms: list[Term]
    tests: list[PartyTest]
    prepared: list[PreparedColumn] = []


class Discovery(Facts):
    """How the splits of a model of boosted trees were found.

    rounds: of discovery, 0 where every tree was encrypted, or nothing was asked. trees: that were encrypted.
    queries: vectors that each partner answered for them.
    """

    rounds: int
    trees: int
    queries: int


class Refit(Facts):
    """The fit of all trees on what the bank knows, which asks nothing. trees: of the model."""

    trees: int


class RungFacts(Facts):
    """One rung of the ladder under one model; (name, model) is its key in scores.csv.

    variance_power: of the deviance, for a regression: 0 squared error, 1 Poisson, between them Tweedie to 2.
    linear: of a linear model. discovery, refit: of boosted trees; refit: None where every tree was encrypted.
    kept_out: partners of whom the model has nothing because a clause admitted nothing, and the clause.
    """

    name: str
    parties: list[str]
    model: str
    placebo: bool = False
    model_sha256: str
    variance_power: float | None = None
    importance: dict[str, float] = {}
    scorecard: Scorecard | None = None
    considered: list[Considered] = []
    disclosure: list[DisclosureRow] = []
    leakage: dict[str, Leakage] = {}
    linear: Linear | None = None
    discovery: Discovery | None = None
    refit: Refit | None = None
    kept_out: dict[str, str] = {}


class Bin(Facts):
    """One bin of a column: goods and bads of the training part in it. woe: positive for a good bin.

    iv: what it adds to the column's. ks: distance of the shares of goods and bads up to and with it.
    """

    name: str
    rows: int
    bads: int
    bad_rate: float
    woe: float
    iv: float
    ks: float


class BinTable(Facts):
    """One column by bin. column: its name, or its number where a partner keeps the names. iv: information value."""

    column: str
    iv: float
    ks: float
    bins: list[Bin]


class Budget(Facts):
    """A clause of the contract at one party: its limit, what is spent at the end of the run, is it enforced."""

    limit: float
    spent: float
    enforced: bool = True


class NodePlace(Facts):
    """Where a partner's node ran, if whoever started it can tell.

    bundle_sha256: of the partner bundle's wheel; "" if it ran in the bank's environment. own_user: whether as a Unix
    user of its own.
    """

    bundle_sha256: str = ""
    own_user: bool = False


class Measured(Facts):
    """All that may differ between two runs of one job.

    seconds: by rung, then by phase: total, align, hint, encrypt, histogram, network, decrypt, score, folds. nodes: by
    partner.
    """

    versions: dict[str, str] = {}
    machine: dict[str, str | int | float] = {}
    seconds: dict[str, dict[str, float]] = {}
    seconds_per_tree: dict[str, float] = {}
    peak_rss_mib: dict[str, float] = {}
    nodes: dict[str, NodePlace] = {}
    retries: int = 0


class RunFacts(Facts):
    """One run. `rungs` in the order of the ladder, one entry a (rung, model); the first model is the main one.

    task: what the label is. dated: whether rows are named by id and date, several a customer.
    worthwhile: the smallest uplift worth having, as under [report] of the job.
    job: the scenario's text. engine: from both sides' receipts. bootstrap: resamples. seed: of the bootstrap.
    bands: red, amber and green, where asked for. early_warning: the job's settings of it.
    budgets: by party, then by clause. bin_tables: by party, where asked for.
    warnings open the page; notes stand under the headline.
    """

    schema_: Literal[1] = Field(1, alias="schema")
    name: str
    title: Text
    synthetic: bool = False
    engine: str
    task: Task = "binary"
    dated: bool = False
    label_party: str
    security: Security = Security()
    data: DataFacts
    rungs: list[RungFacts] = Field(min_length=1)
    alert_rates: list[float] = Field([0.01, 0.05, 0.10], min_length=1)
    bootstrap: int = Field(1000, ge=1)
    worthwhile: float = Field(0.005, ge=0)
    seed: int = 0
    bands: Bands | None = None
    budgets: dict[str, dict[str, Budget]] = {}
    bin_tables: dict[str, list[BinTable]] = {}
    early_warning: EarlyWarning | None = None
    warnings: list[Text | OfColumn] = []
    notes: list[Text] = []
    job: str = ""
    job_sha256: str
    data_sha256: dict[str, str]
    seeds: dict[str, int] = {}
    measured: Measured = Measured()

    @model_validator(mode="after")
    def _consistent(self) -> "RunFacts":
        keys = [(rung.name, rung.model) for rung in self.rungs]
        if len(set(keys)) != len(keys):
            raise ValueError("two rungs have one name and model")
        if not all(0 < rate < 1 for rate in self.alert_rates):
            raise ValueError("alert rates lie between 0 and 1")
        return self


def write_facts(folder: Path, facts: RunFacts) -> None:
    """Put `facts.json` into a run's folder."""
    text = facts.model_dump_json(by_alias=True, indent=2)
    write_whole(folder / FACTS_FILE, f"{text}\n".encode())


def read_facts(folder: Path) -> RunFacts:
    """The facts of a run.

    Raises:
        UsageError: no such file, or not a file of facts.
    """
    path = folder / FACTS_FILE
    if not path.is_file():
        raise UsageError("report", f"{path} is missing", "give the folder of a finished run")
    try:
        return RunFacts.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError("report", f"{path} at {where!r}: {first['msg']}", "write it with this version") from error

"""What is told of a run: the report's figures, bands of alerts, and what is watched month by month."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from protocol.settings.added_keys import Section


class ReportSettings(Section):
    """[report]: alert rates, resamples of the bootstrap, whether there is a placebo rung, bin tables, and worthwhile.

    bin_tables: counts of goods and bads in every bin of every column, exact; two equations of each partner.
    worthwhile: the smallest uplift worth having: in AUC, or as a share of the bank's RMSE or log loss.
    segments: columns of the bank's table, features or not, by whose values figures are given apart.
    """

    ADDED: ClassVar = (
        "bin_tables",
        "worthwhile",
        "segments",
    )

    alert_rates: tuple[float, ...] = Field(default=(0.01, 0.05, 0.10), min_length=1)
    bootstrap: int = Field(default=1000, ge=20, le=100_000)
    placebo: bool = True
    bin_tables: bool = False
    worthwhile: float = Field(default=0.005, ge=0, le=1)
    segments: tuple[str, ...] = ()


class Bands(BaseModel):
    """[bands]: red, amber and green rows, by cut-offs found on the validation part; and why a row is red or amber.

    red, amber: each is of its own band. capacity: share of the rows. expected-loss: share of probability of default x
    amount x lgd. precision: share of bads. lgd: share of the amount that a default loses.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: Literal["capacity", "expected-loss", "precision"]
    red: float = Field(gt=0, lt=1)
    amber: float = Field(gt=0, lt=1)
    lgd: float = Field(default=1.0, gt=0, le=1)


class EarlyWarning(Section):
    """[early_warning]: what is watched month by month over the test rows, and what it is worth.

    event, vintage: date columns of the bank: when the customer defaulted (empty: not), and when the loan began.
    performance: months after a row's date in which a default makes its label 1. capacity: share of a month's rows that
    are alerted. cost_of_alert: in money. loss_given_default: share of the amount that a default costs. avoided: share
    of that loss which an alert in time avoids.
    """

    event: str = ""
    vintage: str = ""
    performance: int = Field(default=12, ge=1, le=120)
    capacity: float = Field(default=0.05, gt=0, lt=1)
    cost_of_alert: float = Field(default=0.0, ge=0)
    loss_given_default: float = Field(default=0.45, ge=0, le=1)
    avoided: float = Field(default=0.5, ge=0, le=1)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the bank that it names."""
        return tuple(c for c in (self.event, self.vintage) if c)

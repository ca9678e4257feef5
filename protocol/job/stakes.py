"""[value] of a scenario: what alerts are worth in money, and what partners ask. It trains nothing."""

from pydantic import BaseModel, ConfigDict, Field


class Stakes(BaseModel):
    """What is at stake when the alert_rate highest scores are acted upon.

    saved: share of a bad customer's amount that an alert in time saves. alert_cost: of acting on one alert.
    amount: of a customer, where the table has no column for it. currency: its name. customers: how many the figures
    and prices are for, 0: those of the test part. prices: of a partner's data, by partner. families: groups of a
    partner's columns by name, by partner; groups not named are by the letters that the columns' names begin with.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    alert_rate: float = Field(default=0.05, gt=0, lt=1)
    saved: float = Field(default=0.3, ge=0, le=1)
    alert_cost: float = Field(default=0.0, ge=0)
    amount: float = Field(default=1.0, gt=0)
    currency: str = ""
    customers: int = Field(default=0, ge=0)
    prices: dict[str, float] = {}
    families: dict[str, dict[str, tuple[str, ...]]] = {}

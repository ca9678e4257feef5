"""`value.json`: what each partner's data are worth. Two valuations of one run agree in every figure."""

import json
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from bank_node.metrics.intervals import Uplift
from bank_node.record.facts import Text
from protocol.errors import UsageError
from protocol.job.stakes import Stakes

VALUE_FILE: Final = "value.json"
METRICS: Final = ("auc", "ks", "money")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CoalitionWorth(_Part):
    """What the bank and these partners reach together, by metric."""

    partners: list[str]
    worth: dict[str, float]


class Price(_Part):
    """A partner's price against the money that its data bring: shapley's share, and what is lost without it.

    net: shapley's share less the price, with its interval. verdict: of that interval.
    """

    price: float
    net: float
    low: float
    high: float
    verdict: Literal["worth_price", "not_shown", "not_worth_price"]


class PartnerValue(_Part):
    """One partner. shapley: its value; alone: over the bank alone; last: what all lose without it; by metric.

    sampling_error: standard error of a value from sampled orders, by metric; 0 where all coalitions were trained.
    families: what all lose without a group of its columns, by name, then by metric.
    """

    shapley: dict[str, Uplift]
    alone: dict[str, Uplift]
    last: dict[str, Uplift]
    sampling_error: dict[str, float]
    families: dict[str, dict[str, Uplift]] = {}
    price: Price | None = None


class Value(_Part):
    """All of it. total: v(all) - v(bank) by metric, which the partners' values sum to. worth: of every coalition."""

    schema_: Literal[1] = Field(1, alias="schema")
    name: str
    title: Text
    synthetic: bool
    engine: str
    bank: str
    model: str
    method: Literal["exact", "sampled"]
    trained: int
    test: int
    stakes: Stakes
    total: dict[str, Uplift]
    partners: dict[str, PartnerValue]
    coalitions: list[CoalitionWorth]
    job_sha256: str

    def to_json(self) -> str:
        """The file's text."""
        values = self.model_dump(mode="json", by_alias=True)
        return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_value(folder: Path) -> Value:
    """Of a run that was valued. Raises: UsageError: it was not."""
    path = folder / "value" / VALUE_FILE
    if not path.is_file():
        raise UsageError("value", f"{path} is missing", "run `fedwarn value` on this run first")
    return Value.model_validate_json(path.read_text(encoding="utf-8"))

"""A linear model for the eye, and as part of the exported file: its terms by party and column."""

from typing import Any

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table

from bank_node.models.folder import ModelFolder
from bank_node.models.linear import LinearModel, OwnTerm, PartnerTerm
from protocol.algorithms.glm import VALUE


def linear_summary(folder: ModelFolder, model: LinearModel) -> dict[str, Any]:
    """What `--json` prints: facts of the model, and by party its terms."""
    about = folder.about
    parties = {
        party: {
            "terms": _count(model, party),
            "bins": about.bins.get(party, ""),
            "contract": about.contract.get(party, ""),
        }
        for party in model.parties
    }
    return {
        "kind": about.kind, "model": about.model, "rung": about.rung, "placebo": about.placebo,
        "objective": model.objective, "sha256": about.sha256, "job_sha256": about.job_sha256, "metrics": about.metrics,
        "parties": parties, "calibration": msgspec.to_builtins(about.calibration),
        "intercept": model.coefficient(model.intercept), "terms": _lines(folder, model),
    }  # fmt: skip


def linear_table(folder: ModelFolder, model: LinearModel) -> Table:
    """One line a term."""
    about = folder.about
    title = f"{about.model} of rung {about.rung}: intercept {model.coefficient(model.intercept):+.6f}"
    if "auc" in about.metrics:
        title += f", test AUC {about.metrics['auc']:.4f}"
    found = about.calibration
    caption = f"calibrated by {found.method} on {found.rows:,} rows" if found else "not calibrated"
    table = Table(title=title, caption=f"{caption}, sha256 {about.sha256}", box=SIMPLE_HEAD)
    for name in ("party", "column"):
        table.add_column(name)
    for name in ("coefficient", "lowest value", "highest value", "not held"):
        table.add_column(name, justify="right")
    for line in _lines(folder, model):
        values = [f"{v:+.3f}" for v in (min(line["values"]), max(line["values"]))] if line["values"] else ["", ""]
        absent = f"{line['not_held']:+.3f}" if "not_held" in line else ""
        table.add_row(line["party"], line["column"], f"{line['coefficient']:+.6f}", *values, absent)
    return table


def exported_terms(model: LinearModel) -> dict[str, Any]:
    """Of the exported file: margin = intercept + sum of coefficient * value, a partner's terms as it adds them up."""
    return {
        "intercept": model.coefficient(model.intercept),
        "own_terms": [{**_own(term), "coefficient": model.coefficient(term.coefficient)} for term in model.own],
        "partner_terms": [
            {**_theirs(term), "coefficient": model.coefficient(term.coefficient)} for term in model.theirs
        ],
        "partner_decimals": model.decimals,
        **({} if isinstance(model.offset, msgspec.UnsetType) else {"offset": msgspec.to_builtins(model.offset)}),
    }


def _count(model: LinearModel, party: str) -> int:
    return len(model.own) if party == model.parties[0] else len(model.of(party))


def _lines(folder: ModelFolder, model: LinearModel) -> list[dict[str, Any]]:
    bank = folder.about.bank
    own = [{"party": bank, **_own(term), "coefficient": model.coefficient(term.coefficient)} for term in model.own]
    theirs = [{**_theirs(term), "coefficient": model.coefficient(term.coefficient)} for term in model.theirs]
    return [*own, *theirs]


def _own(term: OwnTerm) -> dict[str, Any]:
    """A column of the bank: its rule with a value a bin, or what its numbers are scaled by, or go through."""
    values = [value / VALUE for value in term.values]
    scaling = {} if values else {"mean": term.mean, "deviation": term.deviation}
    if not isinstance(term.prepared, msgspec.UnsetType):
        scaling = {"prepared": msgspec.to_builtins(term.prepared)}
    return {"column": term.column, "rule": msgspec.to_builtins(term.rule), "values": values, **scaling}


def _theirs(term: PartnerTerm) -> dict[str, Any]:
    values = [value / VALUE for value in term.values]
    return {"party": term.party, "column": term.name, "values": values, "not_held": term.not_held / VALUE}

"""A run's folder as a training would leave it, simulated: scores whose quality is known, and plausible facts.

`python -m tests.bank_node.report.simulated FOLDER` writes one and its report, to look at.
"""

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np

from bank_node.record.facts import RunFacts, write_facts

PARTNERS = ("bureau", "telecom")
LADDER: dict[str, tuple[list[str], float]] = {
    "bank": (["bank"], 0.50),
    "bank+bureau": (["bank", "bureau"], 0.66),
    "bank+telecom": (["bank", "telecom"], 0.62),
    "all": (["bank", "bureau", "telecom"], 0.74),
    "placebo": (["bank", "telecom"], 0.50),
}
"""Rungs: parties, and how far the scores of goods and bads lie apart, in standard deviations."""


def simulate_scores(
    folder: Path, rows: int = 4000, seed: int = 1, weight: bool = False, validation: float = 0.0, amount: bool = False
) -> None:
    """`scores.csv`: three quarters training (of them a share `validation`), one quarter test; rungs share most noise.

    `absences.csv`: the same blurred, as if a partner had not answered.
    """
    rng = np.random.default_rng(seed)
    label = (rng.random(rows) < 0.194).astype(int)
    part = np.where(rng.random(rows) < 0.75, "train", "test").astype("<U10")
    part[(part == "train") & (np.random.default_rng(seed + 1).random(rows) < validation)] = "validation"
    shared = rng.standard_normal(rows)
    weights = np.round(rng.uniform(0.5, 2, rows), 3)
    amounts = np.round(np.random.default_rng(seed + 2).lognormal(9, 1, rows), 2)
    absent: list[list[object]] = [["id", "rung", "model", "without", "score"]]
    with (folder / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        further = ["weight"] * weight + ["amount"] * amount
        out.writerow(["id", "rung", "model", "part", "label", "score", *further])
        for name, (parties, distance) in LADDER.items():
            own = 0.45 * rng.standard_normal(rows)
            z = (shared + own) / np.hypot(1, 0.45) + distance * label
            score = np.round(1 / (1 + np.exp(1.55 - distance * z)), 4)
            for i in range(rows):
                extra = [weights[i]] * weight + [amounts[i]] * amount
                out.writerow([f"C{i:06d}", name, "boosting", part[i], label[i], score[i], *extra])
            for partner in parties[1:] if name != "placebo" else []:
                blurred = np.round(score * np.random.default_rng(len(partner)).uniform(0.6, 1, rows), 4)
                absent += [[f"C{i:06d}", name, "boosting", partner, blurred[i]] for i in np.flatnonzero(part == "test")]
    with (folder / "absences.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(absent)


def simulate_segments(folder: Path) -> None:
    """`segments.csv`: the test rows by a region of three values, one of which holds few, and by age."""
    rng = np.random.default_rng(9)
    with (folder / "scores.csv").open(encoding="utf-8") as file:
        test = [row["id"] for row in csv.DictReader(file) if (row["rung"], row["part"]) == ("bank", "test")]
    with (folder / "segments.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["id", "segment", "value"])
        for name, values, share in (
            ("region", ["north", "south", "islands"], [0.6, 0.395, 0.005]),
            ("age", ["x < 30", "30 ≤ x < 45", "x ≥ 45"], [0.3, 0.4, 0.3]),
        ):
            out.writerows(
                (i, name, value) for i, value in zip(test, rng.choice(values, len(test), p=share), strict=True)
            )


def simulated_facts(**changes: Any) -> RunFacts:
    """Facts that fit `simulate_scores`."""
    values: dict[str, Any] = {
        "schema": 1,
        "name": "csx",
        "title": {"en": "Consumer loans, Beijing", "zh": "个人消费贷款(北京)"},
        "engine": "blind",
        "label_party": "bank",
        "security": {
            "log2_q": 104,
            "ring": 4096,
            "classical_bits": 131.0,
            "statistical_bits_answer": 51.2,
            "statistical_bits_total": 40.0,
        },
        "data": {
            "parties": {
                "bank": {
                    "columns": 17,
                    "held": 80000,
                    "matched": 80000,
                    "dropped": ["CR012"],
                    "reasons": {"CR012": "has one value"},
                    "sentinels": {"CR005": 312},
                },
                "bureau": {
                    "columns": 24,
                    "held": 80000,
                    "matched": 72000,
                    "dropped": ["TD048"],
                    "reasons": {"TD048": "has one value"},
                    "sentinels": {"TD013": 5210, "TD022": 41},
                },
                "telecom": {"columns": 44, "held": 80000, "matched": 72000},
            },
            "unused": ["loan_id"],
        },
        "rungs": [_rung(name) for name in LADDER],
        "bootstrap": 300,
        "seed": 7,
        "budgets": {
            party: {
                "max_equations_share": {"limit": 0.1, "spent": 0.046},
                "max_information_share": {"limit": 0.35, "spent": share},
                "score_releases": {"limit": 60, "spent": 0},
            }
            for party, share in (("bureau", 0.347), ("telecom", 0.291))
        },
        "notes": [],
        "job": 'schema = 1\nname = "csx"\n\n[data]\nid = ["id"]\nlabel = "loan_default"\n\n[parties.telecom]\n'
        'columns = ["PA022", "CD008"]\ncoverage = 0.9\n\n[run]\nengine = "blind"\nseed = 7\n',
        "job_sha256": "5f" * 32,
        "data_sha256": {party: f"{i}a" * 32 for i, party in enumerate(("bank", *PARTNERS))},
        "seeds": {"split": 7, "run": 7, "bootstrap": 7},
        "measured": {
            "versions": {"fedwarn": "0.1.0", "python": "3.11.9", "numpy": "2.3.5"},
            "machine": {"cpus": 2, "system": "Linux"},
            "seconds": {name: _seconds(parties) for name, (parties, _) in LADDER.items()},
            "seconds_per_tree": {name: 0.02 + 0.05 * len(parties) for name, (parties, _) in LADDER.items()},
            "peak_rss_mib": {"bank": 812.4, "bureau": 640.2, "telecom": 701.9},
            "retries": 0,
        },
    }
    return RunFacts.model_validate(values | changes)


def simulate_run(
    folder: Path, rows: int = 4000, seed: int = 1, weight: bool = False, validation: float = 0.0, amount: bool = False,
    **changes: Any,
) -> RunFacts:  # fmt: skip
    """The files of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    simulate_scores(folder, rows, seed, weight, validation, amount)
    facts = simulated_facts(**changes)
    write_facts(folder, facts)
    return facts


def _rung(name: str) -> dict[str, Any]:
    parties, _ = LADDER[name]
    partners = parties[1:]
    shares = {"bank": 0.46, "bureau": 0.31, "telecom": 0.23}
    total = sum(shares[party] for party in parties)
    return {
        "name": name,
        "parties": parties,
        "model": "boosting",
        "placebo": name == "placebo",
        "model_sha256": f"{len(name):02x}" * 32,
        "importance": {party: shares[party] / total for party in parties},
        "disclosure": [row for partner in partners for row in _disclosure(partner)],
        "leakage": {
            partner: {
                "queries": 400,
                "equations_share": 0.011 + 0.012 * index,
                "information_share": {"bureau": 0.347, "telecom": 0.291}[partner],
                "readable_share": {"bureau": 0.973, "telecom": 0.482}[partner],
                "zcdp": 12.5,
            }
            for index, partner in enumerate(partners)
        },
    }


def _disclosure(partner: str) -> list[dict[str, Any]]:
    rows = [
        ("bank", partner, "boosting.query", "sealed gradients of a level", "sums", True, 300, 312_000_000),
        (partner, "bank", "boosting.answer", "flooded sums per bin", "find the best split", True, 300, 2_048_000),
        ("bank", partner, "boosting.split_request", "chosen thresholds", "get bits", False, 212, 9_400),
        (partner, "bank", "boosting.split_bits", "left, right or missing by row", "route", False, 212, 4_240_000),
        (partner, "bank", "hint", "masked hint of the bins", "open answers", True, 1, 21_000_000),
    ]  # fmt: skip
    names = ("sender", "receiver", "kind", "content", "purpose", "encrypted", "count", "bytes")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _seconds(parties: list[str]) -> dict[str, float]:
    partners = len(parties) - 1
    phases = {
        "align": 2.1 * partners, "hint": 1.3 * partners, "encrypt": 1.9 * bool(partners), "histogram": 3.2 * partners,
        "network": 1.1 * partners, "decrypt": 2.2 * partners, "score": 0.4 + 0.3 * partners,
    }  # fmt: skip
    return {"total": sum(phases.values()) + 2.4} | phases


if __name__ == "__main__":
    from bank_node.report.report import write_report

    simulate_run(Path(sys.argv[1]), rows=80_000)
    write_report(Path(sys.argv[1]))

"""A contract as an ODRL agreement in JSON-LD: a view for other software. What is signed is the contract alone.

Source: ODRL Information Model 2.2, W3C Recommendation.
"""

import json
from typing import Any

from protocol.signing.contract import Opened


def odrl_of(opened: Opened) -> str:
    """The agreement: what the bank may do, within which limits, until when, and what both must do at the end."""
    contract, clauses = opened.contract, opened.contract.clauses
    bank, partner = (f"urn:fedwarn:party:{name}" for name in contract.parties)
    target = f"urn:fedwarn:columns:{opened.commitment}"
    limits = [_limit(f"urn:fedwarn:clause:{name}", value) for name, value in clauses.clauses.items()]
    until = {"leftOperand": "dateTime", "operator": "lt", "rightOperand": contract.not_after}
    since = {"leftOperand": "dateTime", "operator": "gteq", "rightOperand": contract.not_before}
    purpose = {"leftOperand": "purpose", "operator": "eq", "rightOperand": contract.purpose.en}
    agreement = {
        "@context": "http://www.w3.org/ns/odrl.jsonld",
        "@type": "Agreement",
        "uid": f"urn:fedwarn:contract:{contract.id}:{contract.serial}",
        "permission": [{
            "target": target, "assigner": partner, "assignee": bank, "action": "aggregate",
            "constraint": [since, until, purpose, *limits],
            "duty": [{"action": "delete", "constraint": [_limit("elapsedTime", f"P{contract.retention_days}D")]}],
        }],
        "prohibition": [
            {"target": target, "assigner": partner, "assignee": bank, "action": action}
            for action in ("distribute", "sell")
        ],
    }  # fmt: skip
    return json.dumps(agreement, indent=2, ensure_ascii=False) + "\n"


def _limit(operand: str, value: Any) -> dict[str, Any]:
    return {"leftOperand": operand, "operator": "lteq", "rightOperand": value}

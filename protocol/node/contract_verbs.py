"""The verbs of `contract` that both nodes have: sign, show, verify, install, list, export, terminate, withdraw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protocol.node.command import TALK, app

if TYPE_CHECKING:
    from protocol.node.settings import NodeSettings
    from protocol.signing.contract import SignedContract
    from protocol.signing.kept import Contracts

HERE = Path("node.toml")
File = Annotated[Path, typer.Argument(metavar="FILE", help="A contract.")]
Config = Annotated[Path, typer.Option("--config", help="This node's settings.")]
Key = Annotated[Path, typer.Option("--key", help="This party's contract key; `keys contract` makes it.")]
KEY = Path("identity/contract_key.pem")


@dataclass(frozen=True)
class Node:
    """What the two nodes do otherwise. load: settings. install, end: of a file. erase: what a contract brought here."""

    load: Callable[[Path], Any]
    install: Callable[[Any, Path], SignedContract]
    end: Callable[[Any, Path], str]
    erase: Callable[[Any, SignedContract], tuple[str, ...]]


def contract_verbs(node: Node) -> typer.Typer:
    """The group of verbs of a node."""
    verbs = app("The signed contract with the other party: the one source of clauses between two companies.")

    @verbs.command()
    def sign(file: File, key: Key = KEY) -> dict[str, Any]:
        """Sign a contract with this party's contract key; FILE then holds one signature more."""
        from protocol.signing.contract import read_contract
        from protocol.signing.kept import write_envelope
        from protocol.signing.keys import load_contract_key, public_of

        secret, opened = load_contract_key(key), read_contract(file)
        signed = opened.envelope.signed(secret)
        write_envelope(file, signed)
        _say(f"{file} has {len(signed.signatures)} signature(s); this one is by {public_of(secret)}")
        return {"signatures": len(signed.signatures), "key": public_of(secret)}

    @verbs.command()
    def show(file: File) -> dict[str, Any]:
        """What a contract says, signed or not, in sentences for whoever signs it."""
        import msgspec

        from protocol.signing.contract import read_contract
        from protocol.signing.words import sentences

        opened = read_contract(file)
        for line in sentences(opened):
            _say(line)
        found: dict[str, Any] = msgspec.to_builtins(opened.contract)
        return {**found, "signatures": len(opened.envelope.signatures)}

    @verbs.command()
    def verify(file: File, config: Config = HERE) -> dict[str, Any]:
        """Whether both parties have signed it, by their pinned keys, and it is in force (exit 5 if not)."""
        from protocol.signing.contract import read_contract, require_signed

        contract = require_signed(read_contract(file), node.load(config).contract_keys, file.name)
        _say(f"signed by {' and '.join(contract.parties)}, in force until {contract.not_after}")
        return {"valid": True, "id": contract.id, "serial": contract.serial, "not_after": contract.not_after}

    @verbs.command()
    def install(file: File, config: Config = HERE) -> dict[str, Any]:
        """Put a contract that both have signed in force at this node."""
        contract = node.install(node.load(config), file)
        _say(f"contract {contract.id[:12]}, serial {contract.serial}: in force until {contract.not_after}")
        return {"id": contract.id, "serial": contract.serial, "not_after": contract.not_after}

    @verbs.command(name="list")
    def list_(config: Config = HERE) -> dict[str, Any]:
        """Every contract of this node: with whom, until when, and what it admits."""
        from protocol.signing.words import rows_of

        rows = rows_of(_contracts(node.load(config)))
        for row in rows:
            _say(f"{row['state']:9} {row['bank']} and {row['partner']}, contract {row['id'][:12]} "
                           f"serial {row['serial']}")  # fmt: skip
            for line in row["sentences"]:
                _say(f"  {line}")
        if not rows:
            _say("no contract is installed")
        return {"contracts": rows}

    @verbs.command()
    def export(
        file: File,
        odrl: Annotated[Path, typer.Option("--odrl", help="The file to write: the contract as ODRL, in JSON-LD.")],
    ) -> dict[str, Any]:
        """Write a view of a contract for other software; what is signed stays the contract itself."""
        from protocol.files import write_whole
        from protocol.signing.contract import read_contract
        from protocol.signing.odrl import odrl_of

        write_whole(odrl, odrl_of(read_contract(file)).encode(), 0o644)
        _say(str(odrl))
        return {"odrl": str(odrl)}

    @verbs.command()
    def terminate(
        contract: Annotated[
            str, typer.Argument(help="The contract's id, or a termination that the other party signed.")
        ],
        config: Config = HERE,
        key: Key = KEY,
        out: Annotated[Path, typer.Option("--out", help="The signed termination, for the other party.")] = Path(
            "termination.json"
        ),
    ) -> dict[str, Any]:
        """End a contract by this party's signature, or enter the other party's: effective when it is received."""
        settings, given = node.load(config), Path(contract)
        if not given.is_file():
            _write_termination(settings, contract, key, out)
            given = out
        ended = node.end(settings, given)
        _say(f"contract {ended[:12]} has ended here; give {given} to the other party")
        return {"id": ended, "termination": str(given)}

    @verbs.command()
    def withdraw(
        contract: Annotated[str, typer.Argument(help="The id of a contract that has ended.")],
        config: Config = HERE,
        key: Key = KEY,
        out: Annotated[Path, typer.Option("--out", help="The signed receipt.")] = Path("withdrawal.json"),
    ) -> dict[str, Any]:
        """Erase what an ended contract brought to this node, and sign what was erased; the ledger stays."""
        settings = node.load(config)
        known = _ended(settings, contract)
        erased = node.erase(settings, known)
        _write_receipt(settings, known.id, key, out, erased)
        _say(f"erased: {', '.join(erased) or 'nothing was there'}")
        _say("models that were fitted before still contain what they learned; the receipt is a statement")
        return {"erased": list(erased), "receipt": str(out)}

    return verbs


def _say(line: str) -> None:
    """A line on stdout as it is: a terminal wraps it, and a pipe gets it whole."""
    TALK.out.print(line, soft_wrap=True, highlight=False)


def _contracts(settings: NodeSettings) -> Contracts:
    from protocol.signing.kept import Contracts

    return Contracts(settings.state, settings.party, settings.contract_keys)


def _find(settings: NodeSettings, contract: str) -> SignedContract:
    """The contract whose id begins so. Raises: UsageError: none, or more than one does."""
    from protocol.errors import UsageError

    found = [one.contract for one in _contracts(settings).all() if one.contract.id.startswith(contract)]
    if len(found) != 1:
        thing = f"{len(found)} contracts have an id that begins with {contract!r}"
        raise UsageError(settings.party, thing, "see `contract list`")
    return found[0]


def _ended(settings: NodeSettings, contract: str) -> SignedContract:
    """A contract that has ended. Raises: UsageError: it has not."""
    from datetime import UTC, datetime

    from protocol.errors import UsageError

    known = _find(settings, contract)
    end = _contracts(settings).ended(known)
    if end > datetime.now(UTC):
        thing = f"the contract {known.id[:12]} is in force until {end.isoformat(timespec='seconds')}"
        raise UsageError(settings.party, thing, "terminate it first")
    return known


def _write_termination(settings: NodeSettings, contract: str, key: Path, out: Path) -> None:
    from protocol.signing.contract import TERMINATION_TYPE

    _write_signed(settings, _find(settings, contract).id, key, out, TERMINATION_TYPE)


def _write_receipt(settings: NodeSettings, contract: str, key: Path, out: Path, erased: tuple[str, ...]) -> None:
    from protocol.signing.contract import WITHDRAWAL_TYPE

    _write_signed(settings, contract, key, out, WITHDRAWAL_TYPE, erased)


def _write_signed(
    settings: NodeSettings, contract: str, key: Path, out: Path, kind: str, erased: tuple[str, ...] = ()
) -> None:
    """Write a statement of this party on a contract, signed."""
    from datetime import UTC, datetime

    from protocol.signing.contract import Ending, seal_ending
    from protocol.signing.kept import write_envelope
    from protocol.signing.keys import load_contract_key

    now = datetime.now(UTC).isoformat(timespec="seconds")
    statement = seal_ending(Ending(contract, settings.party, now, erased), kind)
    write_envelope(out, statement.signed(load_contract_key(key)))

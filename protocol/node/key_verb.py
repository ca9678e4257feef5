"""The verb `keys`, which both nodes have."""

from pathlib import Path
from typing import Annotated, Any

import typer

from protocol.node.command import TALK


def keys(
    party: Annotated[
        str, typer.Argument(help="This node's name, as its peers will pin it; `contract`: make the contract key.")
    ],
    folder: Annotated[Path, typer.Option(help="Where the keys and request.csr go.")] = Path("identity"),
) -> dict[str, Any]:
    """Make this node's key and a certificate request for your authority to sign; the key never leaves.

    `keys contract` makes the key that signs contracts, and is for another person and machine.
    """
    if party == "contract":
        return _contract_key(folder)
    from protocol.identity import KEY_FILE, create_key_and_csr
    from protocol.identity.signatures import fingerprint_of_key

    request = create_key_and_csr(folder, party)
    TALK.say(f"send {request} to your certificate authority; put its answer beside it as cert.pem, its own as ca.pem")
    told = fingerprint_of_key((folder / KEY_FILE).read_bytes())
    TALK.say(f"other partners may pin this node's key under [peers] by its fingerprint, {told}")
    return {"request": str(request), "fingerprint": told}


def _contract_key(folder: Path) -> dict[str, Any]:
    from protocol.signing.keys import create_contract_key

    public = create_contract_key(folder)
    TALK.say(f"tell the other party this public key by another way, for [contract_keys] of its node.toml: {public}")
    return {"contract_key": public}

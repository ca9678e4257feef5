"""The contract key of a party: Ed25519, kept offline, and apart from the key of its node's certificate.

Who operates a node is not who signs for the company. The public key, 64 hexadecimal digits, is told to the other party
by another way than this software, which pins it under [contract_keys] of node.toml.
"""

import os
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from protocol.errors import UsageError
from protocol.files import own_folder

CONTRACT_KEY: Final = "contract_key.pem"


def create_contract_key(folder: Path) -> str:
    """Make a contract key in a folder, mode 0600; its public key. Raises: UsageError: there is one already."""
    path = own_folder(folder) / CONTRACT_KEY
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        remedy = "keep it, or name another folder: contracts that it signed are checked by it"
        raise UsageError("keys", f"{path} is there already", remedy) from None
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
    return public_of(load_contract_key(path))


def load_contract_key(path: Path) -> Ed25519PrivateKey:
    """Read a contract key. Raises: UsageError: it is not there, or no Ed25519 key."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        thing = f"{path} is not there, or no key that can be read"
        raise UsageError("contract", thing, "make one with `keys contract`, or name it with --key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError("contract", f"{path} is no Ed25519 key", "name the key that `keys contract` made")
    return key


def public_of(key: Ed25519PrivateKey) -> str:
    """Its public key, 64 hexadecimal digits."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()

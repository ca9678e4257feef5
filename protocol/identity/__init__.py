"""Who is who: a node's certificate and key, and the authority that signs them."""

from protocol.identity.identity import (
    CERT_FILE,
    KEY_FILE,
    Described,
    TlsMaterial,
    create_demo_identities,
    create_key_and_csr,
    describe,
    install,
    load_identity,
)

__all__ = [
    "CERT_FILE",
    "KEY_FILE",
    "Described",
    "TlsMaterial",
    "create_demo_identities",
    "create_key_and_csr",
    "describe",
    "install",
    "load_identity",
]

"""`bank-node`, also `python -m bank_node`."""

import sys
from typing import NoReturn

import protocol


def main() -> NoReturn:
    """Console entry. The index has another package called `protocol`: see that it is ours that is found."""
    if not hasattr(protocol, "PROTOCOL_VERSION"):
        sys.exit("bank-node: the package 'protocol' that Python finds is not ours; uninstall the other.")
    from bank_node.cli import verbs
    from protocol.node.command import main as run

    run(verbs, "bank-node")


if __name__ == "__main__":
    main()

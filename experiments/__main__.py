"""`fedwarn`, also `python -m experiments`."""

import sys
from typing import NoReturn

import protocol


def main() -> NoReturn:
    """Console entry. The index has another package called `protocol`: see that it is ours that is found."""
    if not hasattr(protocol, "PROTOCOL_VERSION"):
        sys.exit("fedwarn: the package 'protocol' that Python finds is not ours; uninstall the other.")
    from experiments.cli import verbs
    from protocol.node.command import main as run

    run(verbs, "fedwarn")


if __name__ == "__main__":
    main()

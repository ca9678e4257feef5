"""`partner-node`, also `python -m partner_node`."""

from typing import NoReturn

from partner_node.cli import verbs
from protocol.command import main as run


def main() -> NoReturn:
    """Console entry."""
    run(verbs, "partner-node")


if __name__ == "__main__":
    main()

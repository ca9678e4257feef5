"""`bank-node`, also `python -m bank_node`."""

from typing import NoReturn

from bank_node.cli import verbs
from protocol.command import main as run


def main() -> NoReturn:
    """Console entry."""
    run(verbs, "bank-node")


if __name__ == "__main__":
    main()

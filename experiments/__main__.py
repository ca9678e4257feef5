"""`fedwarn`, also `python -m experiments`."""

from typing import NoReturn

from experiments.cli import verbs
from protocol.command import main as run


def main() -> NoReturn:
    """Console entry."""
    run(verbs, "fedwarn")


if __name__ == "__main__":
    main()

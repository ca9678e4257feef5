"""The laboratory's verbs."""

import typer

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def warm() -> None:
    """Compile the kernels, so that the first run does not wait for them."""


@app.callback()
def _root() -> None:
    """Simulate federated training, and report what a partner's data is worth."""


def main() -> None:
    """Console entry."""
    app()

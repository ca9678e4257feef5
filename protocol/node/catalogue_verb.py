"""The verb `catalogue`, which both nodes have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protocol.node.command import TALK

if TYPE_CHECKING:
    from protocol.table.catalogue import Entry

HERE = Path("node.toml")


def catalogue_verb(load: Callable[[Path], Any]) -> Callable[..., dict[str, Any]]:
    """The verb of a node. load: its settings."""

    def catalogue(
        file: Annotated[Path | None, typer.Argument(metavar="FILE", help="A table; else the node's own.")] = None,
        config: Annotated[Path, typer.Option("--config", help="This node's settings: how the table is read.")] = HERE,
        against: Annotated[
            Path | None,
            typer.Option("--against", help="An earlier version of the table, for the drift."),
        ] = None,
    ) -> dict[str, Any]:
        """List the columns of a table: how each is read, how full it is, its values, drift, and IV where labels are.

        Families and descriptions come from `columns.csv` beside the table, with columns name, family, title, layer.
        """
        import msgspec

        from protocol.table.catalogue import catalogue as listed
        from protocol.table.one_file import kind_of

        settings = load(config)
        own = settings.data.source
        source = own.model_copy(update={"path": file, "kind": kind_of(file), "sha256": ""}) if file else own
        before = own.model_copy(update={"path": against, "kind": kind_of(against), "sha256": ""}) if against else None
        entries = listed(source, settings.data, settings.party, before)
        for entry in entries:
            TALK.out.print(_line(entry), soft_wrap=True, highlight=False)
            for detail in filter(None, (entry.title, entry.reading)):
                TALK.out.print(f"    {detail}", soft_wrap=True, highlight=False)
        return {"columns": [msgspec.to_builtins(entry) for entry in entries]}

    return catalogue


def _line(entry: Entry) -> str:
    iv = "" if entry.iv is None else f", IV {entry.iv:.3f}"
    drift = "" if entry.drift is None else f", drift {entry.drift:.3f}"
    family = f" [{entry.family}]" if entry.family else ""
    return f"{entry.name}{family}: {entry.kind}, {entry.coverage:.1%} filled, {entry.distinct:,} values{iv}{drift}"

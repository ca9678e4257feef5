"""The partner's verb `encode-graph`: columns made of links between customers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from partner_node.encoders.verbs import AsOf, FitUntil, Model, Out, Save, Seed
from protocol.errors import UsageError


def encode_graph_(
    edges: Annotated[Path, typer.Argument(help="One row a link: Parquet, a folder of it, or CSV.")],
    first: Annotated[str, typer.Option("--from", help="Column of one end, such as the guarantor.")],
    second: Annotated[str, typer.Option("--to", help="Column of the other end, such as who is guaranteed.")],
    time: Annotated[str, typer.Option("--time", help="When the link began: a date or a moment.")],
    as_of: AsOf,
    out: Out,
    id_: Annotated[str, typer.Option("--id", help="Id column of the result, of --nodes and of --customers.")] = "id",
    weight: Annotated[str, typer.Option("--weight", help="A number: the amount guaranteed.")] = "",
    ended: Annotated[str, typer.Option("--ended", help="When the link ended; empty while it lasts.")] = "",
    nodes: Annotated[
        Path | None, typer.Option("--nodes", help="Numbers of the ends, one row an id (and date).")
    ] = None,
    nodes_time: Annotated[str, typer.Option(help="The date of a record in --nodes.")] = "",
    customers: Annotated[
        Path | None, typer.Option("--customers", help="Whose rows are written; else every end.")
    ] = None,
    exclude_strangers: Annotated[
        bool, typer.Option("--exclude-strangers", help="Leave out links to anybody who is not in --customers.")
    ] = False,
    columns: Annotated[
        int, typer.Option(min=0, max=64, help="Learned columns; they tell who is linked to whom, even in few bins.")
    ] = 0,
    seed: Seed = 7,
    model: Model = None,
    save: Save = None,
    fit_until: FitUntil = "",
) -> dict[str, Any]:
    """Turn links into columns a customer and point in time: degrees, neighbours, ranks, hidden links."""
    from partner_node.encoders.encode_graph import GraphRequest, encode_graph
    from partner_node.encoders.graph_base import EdgeKeys, NodeKeys
    from partner_node.encoders.keys import moment, points_of
    from partner_node.encoders.verbs import PARTY, shown, source_of

    if exclude_strangers and customers is None:
        raise UsageError(PARTY, "--exclude-strangers needs to know who is no stranger", "give --customers FILE")
    request = GraphRequest(
        source=source_of(edges), keys=EdgeKeys(first, second, time, weight, ended, id_), out=out, columns=columns,
        points=points_of(as_of, PARTY), seed=seed, nodes=NodeKeys(source_of(nodes), id_, nodes_time) if nodes else None,
        customers=source_of(customers) if customers else None, exclude=exclude_strangers, model=model,
        saved=None if model else save or out.with_suffix(".encoder"),
        until=moment(fit_until, "--fit-until", PARTY) if fit_until else None,
    )  # fmt: skip
    encoder, rows = encode_graph(request, PARTY)
    return shown(encoder, rows, out, model or request.saved)

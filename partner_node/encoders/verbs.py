"""The partner's verb `encode`: columns made of events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from partner_node.encoders.windows import WINDOWS
from protocol.errors import UsageError
from protocol.node.command import TALK

if TYPE_CHECKING:
    from partner_node.encoders.model_folder import Encoder
    from protocol.table import Source
    from protocol.table.spec import Kind

PARTY: Final = "partner"
_KINDS: Final[dict[str, Kind]] = {".parquet": "parquet", ".csv": "csv", ".gz": "csv", ".xlsx": "xlsx"}

AsOf = Annotated[str, typer.Option("--as-of", help="A date, several with commas, or PERIOD:FIRST:LAST (month:...).")]
Out = Annotated[Path, typer.Option("--out", help="The Parquet file of columns to write.")]
Columns = Annotated[int, typer.Option(min=0, max=64, help="Learned columns; 0: hand aggregates alone, without torch.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed and events give the same bytes.")]
Model = Annotated[Path | None, typer.Option("--model", help="Encode with this encoder, as it was fitted.")]
Save = Annotated[Path | None, typer.Option("--save", help="Where a fitted encoder goes; OUT.encoder if not given.")]
FitUntil = Annotated[str, typer.Option(help="Fit on events up to this date; the first point of --as-of if not given.")]


def encode_(
    events: Annotated[Path, typer.Argument(help="One row an event: Parquet, a folder of it, or CSV.")],
    id_: Annotated[list[str], typer.Option("--id", help="Id column of the customer; may be repeated.")],
    time: Annotated[str, typer.Option("--time", help="When it happened: a date or a moment.")],
    as_of: AsOf,
    out: Out,
    type_: Annotated[str, typer.Option("--type", help="What happened: call, invoice, payment.")] = "",
    amount: Annotated[str, typer.Option("--amount", help="A number: money, minutes.")] = "",
    columns: Columns = 16,
    windows: Annotated[str, typer.Option(help="Months to add up over.")] = ",".join(map(str, WINDOWS)),
    seed: Seed = 7,
    model: Model = None,
    save: Save = None,
    fit_until: FitUntil = "",
) -> dict[str, Any]:
    """Turn events into columns a customer and point in time: aggregates by hand, and columns learned without labels."""
    from partner_node.encoders.encode import Request, encode
    from partner_node.encoders.fitting import Wanted
    from partner_node.encoders.keys import EventKeys, moment, points_of

    request = Request(
        source=source_of(events), keys=EventKeys(tuple(id_), time, type_, amount), out=out,
        wanted=Wanted(columns, _months(windows), seed), points=points_of(as_of, PARTY), model=model,
        saved=None if model else save or out.with_suffix(".encoder"),
        until=moment(fit_until, "--fit-until", PARTY) if fit_until else None,
    )  # fmt: skip
    encoder, rows = encode(request, PARTY)
    return shown(encoder, rows, out, model or request.saved)


def source_of(path: Path) -> Source:
    """A file by its ending. Raises: UsageError: it is of no known kind."""
    from protocol.table import Source

    kind = "parquet" if path.is_dir() else _KINDS.get(path.suffix.lower())
    if kind is None:
        raise UsageError(
            PARTY, f"{path.name} ends with no known kind of table", "give a .parquet, .csv or .csv.gz file"
        )
    return Source(kind=kind, path=path)


def _months(given: str) -> tuple[int, ...]:
    try:
        months = tuple(sorted({int(part) for part in given.split(",")}))
    except ValueError:
        months = ()
    if not months or months[0] < 1 or months[-1] > 120:
        raise UsageError(PARTY, f"--windows {given!r} names no months", "write months from 1 to 120, as in 1,3,6,12")
    return months


def shown(encoder: Encoder[Any], rows: int, out: Path, folder: Path | None) -> dict[str, Any]:
    """Print what each learned column goes most with, and where the columns are; what `--json` prints."""
    reasons = dict(zip(encoder.learned_names, encoder.described.reasons, strict=False))
    if reasons:
        table = Table("column", "goes most with (rank correlation)", box=SIMPLE_HEAD)
        for name, found in reasons.items():
            table.add_row(name, ", ".join(f"{aggregate} {value:+.2f}" for aggregate, value in found))
        TALK.show(table)
    TALK.out.print(str(out), soft_wrap=True)
    return {
        "columns": str(out),
        "rows": rows,
        "learned": encoder.described.learned,
        "encoder": str(folder),
        "encoder_sha256": encoder.sha256,
        "weights_sha256": encoder.described.weights_sha256,
        "reasons": reasons,
    }

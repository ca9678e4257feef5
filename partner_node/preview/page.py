"""A preview for people: tables, each under a sentence."""

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from partner_node.preview.preview import AtWorst, Preview


def tables(found: Preview) -> Iterator[Table]:
    """The tables of a preview, in the order in which they are read."""
    yield _table(
        f"What would leave {found.party} for {found.bank}: at most",
        ("kind", "encrypted", "messages", "bytes"),
        [
            (
                f"{m.kind}, {m.when}\n  {m.content}; purpose: {m.purpose}",
                "yes" if m.encrypted else "no", f"{m.count:,}", f"{m.bytes:,}",
            )
            for m in found.leaving
        ],
    )  # fmt: skip
    bins = list(dict.fromkeys(b for c in found.columns for b in c.bins))
    yield _table(
        f"Columns, over {found.rows:,} rows",
        ("column", *(f"bins of {b}" for b in bins), "told", "why it is dropped"),
        [(c.name, *(str(c.bins[b] or "dropped") for b in bins), c.told, c.dropped) for c in found.columns],
    )
    yield _table(
        "Contract",
        ("clause", "here", "in the job", "holds", "stricter"),
        [(c.name, f"{c.ours:g}", f"{c.job:g}", f"{c.holds:g}", c.stricter) for c in found.clauses],
    )


def sentences(found: Preview) -> Iterator[str]:
    """What the figures say."""
    e, held = found.equations, found.account
    yield f"job {found.job} ({found.name}), approval: {found.approval}; account {held!r}, {found.files} file(s) so far"
    yield (
        f"equations: {e.spent:,} spent, {e.planned:,} planned at most, {e.left:,} of {e.limit:,} left after it "
        f"({e.rows:,} matched rows trained on)"
    )
    for i in found.information:
        yield (
            f"information at {i.bins} bins: {i.revealed} of {i.thresholds} thresholds revealed, at most "
            f"{i.admitted} after it; share {i.share_now:.3f} now, {i.share_after:.3f} after it in the worst case, "
            f"limit {i.limit:g}"
        )
    releases = found.score_releases
    yield (
        f"score releases: {releases['planned']} of {releases['limit']} "
        "(a training of boosted trees releases none, a glm one a step at most; scoring by a model, one)"
    )
    yield from (line for worst in found.readable for line in _at_worst(worst))
    yield from (f"an approval would fix: {line}" for line in found.fixes)
    yield from (f"reading: {note}" for note in found.reading)
    yield from (f"note: {note}" for note in found.notes)
    yield from (f"would be refused: {reason}" for reason in found.refused)


def _at_worst(worst: AtWorst) -> Iterator[str]:
    """What a bank could read at most of one binning."""
    yield (
        f"at worst, at {worst.bins} bins: a bank that deviates from the protocol could read at most {worst.share:.1%} "
        f"of your bins by all runs of the job and what it asked before (largest column {worst.largest:.1%})"
    )
    if worst.full:
        yield (
            f"at worst, at {worst.bins} bins: after score release {worst.full} of {worst.releases} such a bank can "
            "read all columns of a linear model in full"
        )


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left")
    for head in heads:
        number = head in ("messages", "bytes")
        table.add_column(head, justify="right" if number else "left", no_wrap=number, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table

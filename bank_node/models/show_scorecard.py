"""A scorecard for the eye: points by characteristic and attribute."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bank_node.record.scorecard import Characteristic, Scorecard


def scorecard_table(card: Scorecard) -> Table:
    """One line an attribute."""
    scale = card.scale
    table = Table(
        title=f"{scale.base_score:g} points at odds of {scale.base_odds:g}:1, {scale.pdo:g} more double them; "
        f"{card.least:g} to {card.most:g} points",
        caption=f"a value without a bin: {card.unseen:g} points; sums are off by {card.rounding:.3g} at most",
        box=SIMPLE_HEAD,
    )
    for name in ("party", "characteristic", "attribute"):
        table.add_column(name)
    for name in ("bad rate", "WOE", "points"):
        table.add_column(name, justify="right")
    for one in card.characteristics:
        for place, attribute in enumerate(one.attributes):
            names = (one.party, one.name + _remark(one)) if not place else ("", "")
            figures = (
                f"{100 * attribute.bad_rate:.1f}%",
                f"{attribute.woe:+.3f}",
                f"{attribute.points:.{scale.decimals}f}",
            )
            table.add_row(*names, attribute.name, *figures)
    return table


def _remark(one: Characteristic) -> str:
    return "" if one.sign else " (check its sign)"

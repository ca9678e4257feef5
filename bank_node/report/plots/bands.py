"""Red, amber and green side by side: of all customers, of all bads, and of the money, how much is in each band?"""

from typing import Any, Final

from bank_node.record.messages import say
from bank_node.report.banded import Band
from bank_node.report.document import Report
from bank_node.report.plots.drawing import WIDE, picture, stacked

HUES: Final = {"red": "#b3261e", "amber": "#e0a100", "green": "#2a7f62"}
_MONEY: Final = ("amount", "expected_loss", "bad_amount")


def band_plots(report: Report) -> dict[str, str]:
    """Of the full rung of the main model; none without bands."""
    key = report.headline.rung, report.headline.model
    full = next(rung for rung in report.rungs if (rung.name, rung.model) == key)
    if full.bands is None:
        return {}
    bands = full.bands.bands
    bars = {"@bar_rows@": [band.share for band in bands], "@bar_bads@": [band.bads_share for band in bands]}
    for name in _MONEY:
        if shares := _shares(bands, name):
            bars[f"@bar_{name}@"] = shares

    def draw(axis: Any) -> None:
        parts = [
            (f"@name_{band.name}@", HUES[band.name], [100 * lengths[k] for lengths in bars.values()])
            for k, band in enumerate(bands)
        ]
        stacked(axis, list(bars), parts, 3)
        axis.set_xlim(0, 100)
        axis.set_xlabel("%")

    return {"bands": picture("bands", (WIDE, 1.1 + 0.42 * len(bars)), say("figure_bands", rung=full.name), draw)}


def _shares(bands: list[Band], name: str) -> list[float]:
    """Of a sum of money by band; none where there is no money."""
    sums = [getattr(band, name) or 0.0 for band in bands]
    return [each / sum(sums) for each in sums] if sum(sums) else []

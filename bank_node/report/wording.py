"""Figures as words: formats, metric names, and the sentence on an uplift, which never claims more than it shows."""

from bank_node.metrics.intervals import Metric, Uplift
from bank_node.record.facts import Text
from bank_node.record.messages import say

_MINUS = "−"
_SHARES = ("precision", "recall", "accuracy")
_AMOUNTS = ("rmse", "mae", "deviance")
_WATCHED_SHARES = ("precision", "capture", "warned")


def percent(share: float, digits: int = 1) -> str:
    """0.481 as 48.1%; what rounds to nothing has no sign."""
    return f"{100 * share:z.{digits}f}%".replace("-", _MINUS)


def rate_text(rate: float | str) -> str:
    """An alert rate: 0.05 as 5%, 0.025 as 2.5%."""
    return f"{100 * float(rate):.6g}%"


def figure(name: str, value: float) -> str:
    """A metric's value in its own format."""
    kind = name.partition("@")[0]
    if kind in _SHARES:
        return percent(value)
    if kind in _AMOUNTS:
        return _amount(value, 6).replace("-", _MINUS)
    return f"{value:.{2 if kind == 'lift' else 4}f}".replace("-", _MINUS)


def signed(name: str, value: float) -> str:
    """A difference in the metric's format, with its sign; percentages lose theirs (they become points)."""
    kind = name.partition("@")[0]
    if kind in _AMOUNTS:
        return (_amount(value, 4, "+") if value else "0").replace("-", _MINUS)
    points, digits = (100 * value, 1) if kind in _SHARES else (value, 2 if kind == "lift" else 4)
    text = f"{points:+.{digits}f}"
    return (text[1:] if float(text) == 0 else text).replace("-", _MINUS)


def watched(name: str, value: float) -> str:
    """A figure of early warning in its own format."""
    if name in _WATCHED_SHARES:
        return percent(value)
    return f"{value:,.{0 if name == 'net_benefit' else 1}f}".replace("-", _MINUS)


def watched_change(name: str, value: float) -> str:
    """A difference of such a figure; of shares in percentage points."""
    text = f"{100 * value if name in _WATCHED_SHARES else value:+,.{0 if name == 'net_benefit' else 1}f}"
    return (text[1:] if text[1:] in ("0", "0.0") else text).replace("-", _MINUS)


def _amount(value: float, digits: int, sign: str = "") -> str:
    """So many significant digits, and all of a large whole part."""
    return f"{value:{sign},.0f}" if abs(value) >= 10**digits else f"{value:{sign},.{digits}g}"


def metric_name(name: str) -> Text:
    """A metric's name in words, with its alert rate."""
    kind, _, rate = name.partition("@")
    return say(f"metric_{kind}", rate=rate_text(rate)) if rate else say(f"metric_{kind}")


def short_name(name: str) -> Text:
    """A metric's name where the alert rate stands elsewhere."""
    kind, _, rate = name.partition("@")
    return say(f"name_{kind}" if rate else f"metric_{kind}")


def unit(name: str) -> Text:
    """What a difference of this metric is counted in."""
    return say("points") if name.partition("@")[0] in _SHARES else Text(en="", zh="")


def relative_change(base: float, uplift: float) -> float | None:
    """The uplift as a share of the base's value; None where that is 0."""
    return uplift / base if base else None


def relative_text(relative: float | None) -> str:
    """+37.1%, or a dash."""
    if relative is None:
        return "–"
    text = percent(relative)
    return ("+" if relative > 0 and text != percent(0.0) else "") + text


def uplift_sentence(name: str, rung: Text, base: Text, metric: Metric, uplift: Uplift) -> Text:
    """One plain sentence on a party set: metric, absolute and relative change, interval, and what it shows.

    A precision is said as bads among 1,000 alerts. rung, base: what the two party sets are called.
    """
    if rung == base:
        return say(
            "sentence_base",
            rung=rung,
            metric=metric_name(name),
            value=figure(name, metric.value),
            low=figure(name, metric.low),
            high=figure(name, metric.high),
        )
    before = metric.value - uplift.value
    kind = "alerts" if name.startswith("precision@") else "metric"
    return say(
        f"sentence_{kind}_{'shown' if uplift.shown else 'not_shown'}",
        rung=rung,
        base=base,
        metric=metric_name(name),
        value=figure(name, metric.value),
        before=figure(name, before),
        bads=f"{1000 * metric.value:.0f}",
        bads_before=f"{1000 * before:.0f}",
        change=signed(name, uplift.value),
        low=signed(name, uplift.low),
        high=signed(name, uplift.high),
        unit=unit(name),
        relative=relative_text(relative_change(before, uplift.value)),
    )

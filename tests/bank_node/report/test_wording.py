"""Numbers as the report writes them."""

from bank_node.report.wording import percent, relative_text


def test_what_rounds_to_nothing_has_no_sign():
    assert (percent(-0.00004), percent(-0.0006), percent(0.481)) == ("0.0%", "−0.1%", "48.1%")
    assert (relative_text(-1e-5), relative_text(1e-5), relative_text(0.371), relative_text(None)) == (
        "0.0%", "0.0%", "+37.1%", "–",
    )  # fmt: skip

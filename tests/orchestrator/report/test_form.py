"""Figures and names in words."""

from orchestrator.report.form import SIGNED, bounds, marked, number


def test_figures_that_do_not_exist_are_dashes() -> None:
    assert (number(None), bounds(None)) == ("-", "-")


def test_figures_have_three_digits_and_a_sign_where_asked() -> None:
    assert number(0.12345) == "0.123"
    assert bounds((-0.1, 0.25), SIGNED) == "-0.100 to +0.250"


def test_a_leaky_name_is_marked() -> None:
    assert (marked("A", True), marked("A", False)) == ("A (leaky)", "A")

"""Figures and names as every form of the report shows them."""

from orchestrator.report.types import Interval

__all__ = ["SIGNED", "bounds", "marked", "number"]

SIGNED = "+.3f"


def number(value: float | None, form: str = ".3f") -> str:
    """A score, '-' where there is none."""
    return "-" if value is None else format(value, form)


def bounds(interval: Interval | None, form: str = ".3f") -> str:
    """An interval."""
    return "-" if interval is None else " to ".join(format(bound, form) for bound in interval)


def marked(name: str, leaky: bool) -> str:
    """A name, marked if its scores are leaky."""
    return f"{name} (leaky)" if leaky else name

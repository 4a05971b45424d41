"""What `--space` says: which values of which settings are searched."""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from features.errors import InputError
from features.words import short

__all__ = ["read_space", "rounded", "trial_name"]

PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")
WHOLE = re.compile(r"-?\d{1,9}")
LONGEST = 60
"""Characters of a trial's name, which names folders too."""


def read_space(texts: Sequence[str]) -> dict[str, BaseDistribution]:
    """The values to search, by setting.

    Forms: `lr_max=log:1e-4..1e-2` (on a logarithmic scale), `noisy_weight=0.5..2`, `epochs=10..40` (whole numbers),
    `network.width=8,16,32` (a choice).

    Raises:
        InputError: a text has another form.
    """
    space: dict[str, BaseDistribution] = {}
    for text in texts:
        path, equals, values = text.partition("=")
        if not equals or not PATH.fullmatch(path):
            raise _wrong(text, "write SETTING=LOW..HIGH, SETTING=log:LOW..HIGH or SETTING=A,B,C")
        if path in space:
            raise _wrong(text, f"{path} is there twice")
        space[path] = _distribution(text, values)
    if not space:
        raise InputError("--space is missing: say what is searched, for instance --space lr_max=log:1e-4..1e-2")
    return space


def _distribution(text: str, values: str) -> BaseDistribution:
    scale, colon, behind = values.partition(":")
    low, dots, high = (behind if colon else values).partition("..")
    if not dots:
        choices = [part.strip() for part in values.split(",")]
        if len(set(choices)) < 2 or not all(choices):
            raise _wrong(text, "give a range LOW..HIGH or two choices or more, separated by commas")
        return CategoricalDistribution(choices)
    if colon and scale != "log":
        raise _wrong(text, f"{short(scale, 40)} is no scale; write log:LOW..HIGH or LOW..HIGH")
    log = bool(colon)
    try:
        if WHOLE.fullmatch(low) and WHOLE.fullmatch(high):
            found: BaseDistribution = IntDistribution(int(low), int(high), log=log)
        else:
            bounds = float(low), float(high)
            if not all(map(math.isfinite, bounds)):
                raise ValueError("not finite")
            found = FloatDistribution(*bounds, log=log)
    except ValueError:
        what = "two numbers, the smaller one first" + (", both above 0" if log else "")
        raise _wrong(text, f"LOW..HIGH are {what}") from None
    if found.single():
        raise _wrong(text, "LOW and HIGH are equal, so there is nothing to search")
    return found


def rounded(value: Any, distribution: BaseDistribution) -> Any:
    """A proposed value with three digits, so that its name says it exactly."""
    if not isinstance(distribution, FloatDistribution):
        return value
    return min(max(float(f"{value:.3g}"), distribution.low), distribution.high)


def trial_name(settings: Mapping[str, Any]) -> str:
    """The name of the condition of a trial: its settings, in characters that names of folders may have.

    A number is written without a point: 0.00123 is 123e-5.
    """
    last = [path.rpartition(".")[2] for path in settings]
    short_ones = len(set(last)) == len(last)
    parts = [
        f"{name if short_ones else path.replace('.', '_')}-{_written(value)}"
        for name, (path, value) in zip(last, settings.items(), strict=True)
    ]
    name = "_".join(parts)
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _written(value: Any) -> str:
    text = str(value)
    if (isinstance(value, float) and "." in text) or ("e" in text and isinstance(value, float)):
        digits, _, exponent = f"{value:e}".partition("e")
        whole, _, part = digits.partition(".")
        part = part.rstrip("0")
        power = int(exponent) - len(part)
        text = f"{whole}{part}" + (f"e{power}" if power else "")
    return re.sub(r"[^A-Za-z0-9_+-]", "_", text)


def _wrong(text: str, advice: str) -> InputError:
    return InputError(f"--space {short(text)}: {advice}")

"""Ensembles of a grid: weighted means of snapshots, published figures, and comparisons.

    ensembles:
      submission-2:
        members: {A: {cycles: [2, 4, 7, 8], pads: [8]}, D: {cycles: [2, 3]}}
        weights: {A: 3}
    published: {cv: {A: 0.849}, ensembles: {submission-2: 0.895}}
    comparisons: {ensemble: [A, submission-2]}

Nothing is trained or predicted for an ensemble, so none of this is part of a signature.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from features.settings import Settings
from orchestrator.grids.condition import ConditionSettings

__all__ = [
    "EnsemblePart",
    "EnsembleSettings",
    "Member",
    "PublishedSettings",
    "check_ensembles",
    "ensemble_members",
    "ensemble_weights",
    "member_weights",
]

Lwlrap = Annotated[float, Field(ge=0, le=1)]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]*")  # part of a file's name


@dataclass(frozen=True, order=True)
class Member:
    """One prediction of an ensemble: a snapshot of a condition (cycle, 1-based), one of its heads, one pad."""

    condition: str
    cycle: int
    head: str
    pad: int

    def __str__(self) -> str:
        return f"{self.condition} cycle {self.cycle} {self.head} head pad {self.pad}"


def member_weights(members: Sequence[Member], by_condition: Mapping[str, float]) -> np.ndarray:
    """(M,) weights of members: the weight of each condition, divided equally among its members."""
    count = {name: sum(member.condition == name for member in members) for name in by_condition}
    return np.array([by_condition[member.condition] / count[member.condition] for member in members])


class EnsemblePart(Settings):
    """Which predictions of a condition are members of an ensemble."""

    cycles: tuple[int, ...] | None = Field(
        None,
        min_length=1,
        strict=False,
        description="cycles whose snapshots are used, from 1; default: all; with `predict.soup`, one more is the mean "
        "of their weights",
    )
    pads: tuple[int, ...] | None = Field(
        None, min_length=1, strict=False, description="pads that are used; default: all that are predicted"
    )
    heads: tuple[Literal["curated", "noisy"], ...] = Field(
        ("curated",), min_length=1, strict=False, description="heads that are used; the paper uses the curated head"
    )


class EnsembleSettings(Settings):
    """A weighted mean of members with fixed weights."""

    members: dict[str, EnsemblePart] = Field(min_length=1, description="condition -> its members")
    weights: dict[str, Annotated[float, Field(gt=0, le=1e6)]] = Field(
        default_factory=dict, description="condition -> weight, divided equally among its members; default 1"
    )


class PublishedSettings(Settings):
    """The paper's figures, printed beside the results."""

    cv: dict[str, Lwlrap] = Field(
        default_factory=dict, description="condition -> lwlrap of the best epoch, mean over folds"
    )
    ensembles: dict[str, Lwlrap] = Field(default_factory=dict, description="ensemble -> out-of-fold lwlrap")


def ensemble_members(ensemble: EnsembleSettings, conditions: Mapping[str, ConditionSettings]) -> tuple[Member, ...]:
    """All members of an ensemble. Its number of predictions is this times the number of folds."""
    return tuple(
        Member(name, cycle, head, pad)
        for name, part in ensemble.members.items()
        for cycle in part.cycles or range(1, conditions[name].train.cycles + 1)
        for head in part.heads
        for pad in part.pads or conditions[name].predict.pads
    )


def ensemble_weights(ensemble: EnsembleSettings, members: Sequence[Member]) -> np.ndarray:
    """(M,) weights of all members of an ensemble, with sum 1."""
    weights = member_weights(members, {name: ensemble.weights.get(name, 1.0) for name in ensemble.members})
    normalised: np.ndarray = weights / weights.sum()
    return normalised


def check_ensembles(
    ensembles: Mapping[str, EnsembleSettings],
    published: PublishedSettings,
    comparisons: Mapping[str, Sequence[str]],
    conditions: Mapping[str, ConditionSettings],
) -> None:
    """Reject ensembles, figures and comparisons that refer to what the grid does not have.

    Raises:
        ValueError: a name or member does not exist; the message names the field and the value.
    """
    for name, ensemble in ensembles.items():
        if not NAME.fullmatch(name):
            raise ValueError(f"ensembles: '{name}' has to name a file too; use letters, digits, '_', '-' and '+'")
        if name in conditions:
            raise ValueError(f"ensembles.{name}: a condition has this name; give the ensemble another")
        for condition in ensemble.members:
            _known(condition, conditions, f"ensembles.{name}.members", "a condition")
        for condition in ensemble.weights:
            _known(condition, ensemble.members, f"ensembles.{name}.weights", "a condition of this ensemble")
        for condition, part in ensemble.members.items():
            _check_part(f"ensembles.{name}.members.{condition}", condition, part, conditions[condition])
    for condition in published.cv:
        _known(condition, conditions, "published.cv", "a condition")
    for name in published.ensembles:
        _known(name, ensembles, "published.ensembles", "an ensemble")
    for comparison, sides in comparisons.items():
        if len(sides) != 2:
            raise ValueError(f"comparisons.{comparison}: give two names, [from, to], not [{_listed(sides)}]")
        for side in sides:
            _known(side, {**conditions, **ensembles}, f"comparisons.{comparison}", "a condition or an ensemble")


def _check_part(field: str, name: str, part: EnsemblePart, condition: ConditionSettings) -> None:
    cycles = range(1, condition.predicting + 1)
    there: tuple[tuple[str, Sequence[object] | None, Sequence[object], str], ...] = (
        ("cycles", part.cycles, cycles, f"{name} has cycles 1 to {len(cycles)}"),
        ("pads", part.pads, condition.predict.pads, f"{name} is predicted at {_listed(condition.predict.pads)}"),
        ("heads", part.heads, condition.predict.heads, f"{name} is predicted by {_listed(condition.predict.heads)}"),
    )
    for what, wanted, available, words in there:
        for value in wanted or ():
            if value not in available:
                raise ValueError(f"{field}.{what}: there is no {value}; {words}")
        if wanted is not None and len(set(wanted)) < len(wanted):
            raise ValueError(f"{field}.{what}: {_listed(wanted)} must be distinct")


def _known(name: str, names: Mapping[str, object], field: str, what: str) -> None:
    if name not in names:
        raise ValueError(f"{field}: '{name}' is not {what}; there are {_listed(names) or 'none'}")


def _listed(values: "Sequence[object] | Mapping[str, object]") -> str:
    return ", ".join(str(value) for value in values)

"""The Recipe: what is computed.

Only the Recipe is part of signatures; how it is computed is in `orchestrator.run.execution`. It is complete: everything
that a grid file leaves out has its default, so a changed default changes the signature. `load.py` reads grid files.
"""

import re
from itertools import combinations
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from features.settings import DataSettings, Settings
from orchestrator.grids.condition import ConditionSettings, parents
from orchestrator.grids.ensembles import EnsembleSettings, PublishedSettings, check_ensembles, ensemble_members
from trainers.network_settings import unless

__all__ = ["BlendSettings", "MixtureSettings", "Recipe"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]{0,63}")  # part of a folder's name
MAX_TRAININGS = 50_000
MAX_CHAIN = 100


class MixtureSettings(Settings):
    """How the weights of the blend are mixed."""

    bags: int = Field(ge=1, le=20, description="resamples of the clips whose weights are averaged; 1: all clips once")
    rounds: int = Field(ge=1, le=15, description="rounds of each greedy selection")
    stacked: float = Field(ge=0, le=1, description="share of the stacked weights; the rest is greedy selection")
    uniform: float = Field(0.0, ge=0, le=1, description="share of the uniform weights in the result")
    published: float = Field(0.0, ge=0, le=1, description="share of the published weights in the result")


class BlendSettings(Settings):
    """How the weights of the blend are searched."""

    trials: int = Field(
        50,
        ge=0,
        le=1_000_000,
        description="mixtures of greedy, stacked, uniform and published weights that Optuna tries, on all clips and "
        "once more without each fold; 0: the default mixture",
    )
    seed: int = Field(42, ge=0, le=2**31 - 1, description="seed of the bags and of Optuna")
    budget: int | None = Field(
        None,
        ge=1,
        le=10**9,
        description="largest number of predictions in the blend (members with a weight x folds); default: no limit",
    )
    mixtures: dict[str, MixtureSettings] = Field(
        default_factory=dict,
        exclude_if=unless({}),
        description="what `sonogrid tune` has found: 'all folds' or 'without fold K' -> mixture; used instead of a "
        "search where it is better than the default by three standard errors",
    )


class Recipe(Settings):
    """A whole grid: data, conditions, blend, ensembles and comparisons."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        max_length=64,
        description="name of the grid and of its MLflow experiment",
    )
    data: DataSettings = Field(description="how the dataset is split into folds")
    conditions: dict[str, ConditionSettings] = Field(min_length=1, description="name -> condition")
    blend: BlendSettings = Field(description="search for the weights of the blend")
    members: tuple[str, ...] = Field(
        (), strict=False, description="conditions that are blended; default: all but students (`distill`)"
    )
    paper_weights: dict[str, Annotated[float, Field(ge=0, le=1e6)]] = Field(
        default_factory=dict, description="condition -> weight of the published ensemble"
    )
    ensembles: dict[str, EnsembleSettings] = Field(
        default_factory=dict, description="name -> ensemble with fixed weights"
    )
    published: PublishedSettings = Field(
        default_factory=PublishedSettings, description="published figures, printed beside the results"
    )
    comparisons: dict[str, Annotated[tuple[str, ...], Field(strict=False)]] = Field(
        default_factory=dict, description="name -> [from, to], two conditions or ensembles whose scores are compared"
    )

    @model_validator(mode="after")
    def _references_exist(self) -> Self:
        for name in self.conditions:
            if not NAME.fullmatch(name):
                raise ValueError(
                    f"conditions: {name[:80]!r} has to name folders too; use at most 64 letters, digits, '_', '-' and "
                    "'+', a letter or digit first"
                )
        rounds = sum(each.train.pseudo.rounds if each.train.pseudo else 1 for each in self.conditions.values())
        if (trainings := rounds * self.data.folds) > MAX_TRAININGS:
            raise ValueError(f"conditions x data.folds are {trainings} trainings; at most {MAX_TRAININGS} are planned")
        for name in (*self.members, *self.paper_weights):
            self._known(name, "members" if name in self.members else "paper_weights")
        if self.paper_weights and not any(self.paper_weights.get(name) for name in self.blended):
            raise ValueError("paper_weights: no blended condition has a weight above 0; give one or leave them out")
        for name, condition in self.conditions.items():
            for field, other in parents(condition.train).items():
                self._known(other, f"conditions.{name}.{field}")
        self._rescues_fit()
        self._no_cycle()
        for name, condition in self.conditions.items():
            start = condition.train.init_from
            if start is not None and _form(self.conditions[start]) != _form(condition):
                raise ValueError(
                    f"conditions.{name}.init_from: '{start}' has another network; equal networks are needed"
                )
            if condition.train.pseudo is not None and condition.train.pseudo.folds == "crossed":
                self._can_cross(name, condition.train.pseudo.teacher)
        if self.blend.budget is not None and self.blend.budget < self.data.folds:
            raise ValueError(
                f"blend.budget is {self.blend.budget}: a member needs {self.data.folds} predictions, one per fold; "
                f"set at least {self.data.folds}"
            )
        check_ensembles(self.ensembles, self.published, self.comparisons, self.conditions)
        return self

    def _rescues_fit(self) -> None:
        """Refuse rescues that can never apply: of folds that nothing is trained for, or after the last epoch."""
        folds = [str(fold) for fold in range(self.data.folds)]
        pairs = {f"{low}-{high}" for low, high in combinations(folds, 2)}
        crossed = self._crossed()
        for name, condition in self.conditions.items():
            for split, rescue in condition.train.rescue.items():
                field, total = f"conditions.{name}.rescue.{split}", condition.train.total_epochs
                if not {*split.split("-")} <= {*folds}:
                    raise ValueError(f"conditions.{name}.rescue: no fold '{split}'; there are 0 to {folds[-1]}")
                if split not in folds and split not in pairs:
                    raise ValueError(f"{field} is no pair of folds: write it in ascending order, such as '0-1'")
                if split in pairs and name not in crossed:
                    raise ValueError(
                        f"{field} never applies: no training of {name} holds out two folds, as it teaches no condition "
                        "with 'pseudo.folds: crossed'; name one fold"
                    )
                if rescue.after >= total:
                    raise ValueError(f"{field}.after is {rescue.after}, but there are {total} epochs: lower it")

    def _crossed(self) -> set[str]:
        """Conditions that are also trained with two folds held out: teachers of crossed labels, and their starts."""
        found: set[str] = set()
        for condition in self.conditions.values():
            pseudo = condition.train.pseudo
            above = pseudo.teacher if pseudo is not None and pseudo.folds == "crossed" else None
            while above is not None and above not in found:
                found.add(above)
                above = self.conditions[above].train.init_from
        return found

    def _can_cross(self, name: str, teacher: str) -> None:
        """A teacher of crossed labels holds out two folds, and so does every condition that it starts from."""
        field = f"conditions.{name}.pseudo.folds: crossed"
        if self.data.folds < 3:
            raise ValueError(f"{field} holds out two folds and needs at least 3, but data.folds is {self.data.folds}")
        above: str | None = teacher
        while above is not None:
            train = self.conditions[above].train
            if train.pseudo is not None or train.distill is not None:
                raise ValueError(f"{field} needs a teacher without pseudo labels of its own, and '{above}' has them")
            above = train.init_from

    def _known(self, name: str, field: str) -> None:
        if name not in self.conditions:
            raise ValueError(f"{field}: '{name}' is not a condition; there are {', '.join(self.conditions)}")

    def _no_cycle(self) -> None:
        depths: dict[str, int] = {}

        def depth(name: str, path: tuple[str, ...]) -> int:
            if name in path:
                raise ValueError(f"conditions depend on each other in a circle: {' <- '.join((*path, name))}")
            if name not in depths and len(path) <= MAX_CHAIN:
                others = parents(self.conditions[name].train).values()
                depths[name] = 1 + max((depth(other, (*path, name)) for other in others), default=0)
            if len(path) + depths.get(name, 1) > MAX_CHAIN:
                first = (*path, name)[0]
                raise ValueError(f"conditions.{first} depends on a chain of more than {MAX_CHAIN} others; shorten it")
            return depths[name]

        for name in self.conditions:
            depth(name, ())

    @property
    def blended(self) -> tuple[str, ...]:
        """Names of the conditions whose predictions are blended, in grid order."""
        if self.members:
            return tuple(name for name in self.conditions if name in self.members)
        return tuple(name for name, condition in self.conditions.items() if condition.train.distill is None)

    def ensemble_predictions(self, name: str) -> int:
        """Number of predictions of a test clip that an ensemble averages: members x folds."""
        return len(ensemble_members(self.ensembles[name], self.conditions)) * self.data.folds


def _form(condition: ConditionSettings) -> dict[str, Any]:
    """What two networks must have in common to exchange weights: everything but the activation and their own start."""
    return condition.train.network.model_dump(exclude={"activation", "init_from", "init_sha256"})

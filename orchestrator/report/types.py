"""The report of a run as a value: what the terminal, the JSON output and MLflow each render.

A score that does not exist yet is None. `Report.as_dict` is the JSON form (docs/design.md, Report).
"""

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from orchestrator.blending.result import Blend
from orchestrator.grids.ensembles import Member
from trainers.metrics import Metrics

__all__ = [
    "BlendReport", "ClassReport", "ComparisonReport", "ConditionReport", "Confusion", "Details", "EnsembleReport",
    "FoldReport", "Gain", "Interval", "LabelScores", "MemberScore", "Report", "StudentReport", "TestScores",
    "WorstClip",
]  # fmt: skip

Interval = tuple[float, float]
"""(low, high), 95 % confidence."""

JSON_NAMES = {"before": "from", "after": "to"}


@dataclass(frozen=True)
class FoldReport:
    """A training job of a condition."""

    fold: int
    state: str
    """As the store has it: new, partial, failed, damaged or done."""
    best_lwlrap: float | None
    """Of the best epoch."""
    last_lwlrap: float | None

    def lwlrap(self, epoch: Literal["best", "last"]) -> float | None:
        """Of the best or the last epoch."""
        return self.best_lwlrap if epoch == "best" else self.last_lwlrap


@dataclass(frozen=True)
class Gain:
    """How far a lwlrap is above that of another prediction of the same clips; paired, so smaller than either interval.

    Intervals are over resampled groups of clips.
    """

    oof_difference: float | None = None
    interval: Interval | None = None
    test_difference: float | None = None
    test_interval: Interval | None = None


@dataclass(frozen=True)
class ConditionReport:
    """A condition with its folds."""

    name: str
    features: str
    """mel or waveform."""
    folds: tuple[FoldReport, ...]
    cv_epoch: Literal["best", "last"]
    """Epoch of each fold that `cv_lwlrap` is of, and the published figure; the best one is optimistic."""
    cv_lwlrap: float | None
    """Mean over folds."""
    published_cv_lwlrap: float | None
    oof_lwlrap: float | None
    """Of the stitched mean of the members; no epoch is chosen."""
    interval: Interval | None
    test_lwlrap: float | None
    over_linear: Gain | None = None
    """Over `Report.linear`; None for it and where there is none."""
    over_best: Gain | None = None
    """Over `Report.best`; None for it and where there is none."""
    oof_metrics: Metrics = field(default_factory=Metrics)
    test_metrics: Metrics = field(default_factory=Metrics)

    def scores(self) -> dict[str, float | None]:
        """The condition's scores by name, with the 95 % interval and gains of the out-of-fold one."""
        low, high = self.interval or (None, None)
        return {
            "cv_lwlrap": self.cv_lwlrap,
            "oof_lwlrap": self.oof_lwlrap,
            "oof_lwlrap_low": low,
            "oof_lwlrap_high": high,
            "test_lwlrap": self.test_lwlrap,
            "gain_over_linear": self.over_linear.oof_difference if self.over_linear else None,
            "gain_over_best": self.over_best.oof_difference if self.over_best else None,
        }


@dataclass(frozen=True)
class BlendReport:
    """The blend: members, weights and lwlrap; empty until it is done. `BlendResult` explains the scores."""

    members: tuple[Member, ...] = ()
    weights: tuple[float, ...] = ()
    predictions: int | None = None
    oof_lwlrap: float | None = None
    oof_lwlrap_nested: float | None = None
    uniform_oof_lwlrap: float | None = None
    paper_oof_lwlrap: float | None = None
    greedy_oof_lwlrap: float | None = None
    over_linear: Gain | None = None
    """Of the nested blend, and of the blend on test clips, over `Report.linear`."""
    over_best: Gain | None = None
    """The same over `Report.best`."""
    nested_metrics: Metrics = field(default_factory=Metrics)
    test_metrics: Metrics = field(default_factory=Metrics)
    interval: Interval | None = None
    """Of `oof_lwlrap_nested`."""
    test_interval: Interval | None = None
    """Of the lwlrap on the test clips."""

    @classmethod
    def of(cls, blend: Blend) -> "BlendReport":
        """The report of a finished blend, without what depends on other predictions."""
        result = blend.result
        return cls(
            blend.members,
            result.weights,
            result.predictions,
            result.oof_lwlrap,
            result.oof_lwlrap_nested,
            result.uniform_oof_lwlrap,
            result.paper_oof_lwlrap,
            result.greedy_oof_lwlrap,
        )

    def scores(self) -> dict[str, float | None]:
        """The scores by name."""
        return {field.name: getattr(self, field.name) for field in fields(self) if "lwlrap" in field.name}


@dataclass(frozen=True)
class EnsembleReport:
    """An ensemble of the grid, whose weights are fixed."""

    name: str
    predictions: int
    """How often each test clip is predicted."""
    oof_lwlrap: float | None
    interval: Interval | None
    published: float | None
    test_lwlrap: float | None
    leaky: bool

    def scores(self) -> dict[str, float | None]:
        """The ensemble's own scores by name."""
        return {"oof_lwlrap": self.oof_lwlrap, "test_lwlrap": self.test_lwlrap}


@dataclass(frozen=True)
class StudentReport:
    """A condition that learns the scores of others, beside the blend, as taggers of all folds."""

    name: str
    n_bytes: int
    """Of the weights of its networks."""
    blend_bytes: int
    """Of the networks that have a weight in the blend."""
    clip_flops: float
    """Counted operations for a clip of mean length, without features."""
    blend_clip_flops: float
    over_blend: Gain
    """Over the blend: out of fold by weights that never saw the fold."""


@dataclass(frozen=True)
class ComparisonReport:
    """The difference in lwlrap between two conditions or ensembles: `after` minus `before`."""

    name: str
    before: str
    after: str
    cv_difference: float | None
    """Of `cv_lwlrap`, between two conditions; None for an ensemble."""
    oof_difference: float | None
    interval: Interval | None
    test_difference: float | None
    test_interval: Interval | None
    leaky: bool


@dataclass(frozen=True)
class TestScores:
    """lwlrap on all test clips, and on those that the test labels call Public and Private."""

    lwlrap: float
    public: float | None
    private: float | None


@dataclass(frozen=True)
class LabelScores(TestScores):
    """The result of `sonogrid score`: the blend on the test clips, then everything else that has a score."""

    conditions: dict[str, float | None]
    ensembles: dict[str, float | None]
    classes: dict[str, float | None]
    """lwlrap of each class; None where no clip has the label."""
    pairs: dict[str, int]
    """Number of (clip, label) pairs of each class."""
    metrics: Metrics = field(default_factory=Metrics)
    """Of the blend."""
    condition_metrics: dict[str, Metrics] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    """Classes without a test clip, which `metrics` leave out."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return _json_object(self)


@dataclass(frozen=True)
class MemberScore:
    """The out-of-fold lwlrap of one member of a condition."""

    member: Member
    oof_lwlrap: float


@dataclass(frozen=True)
class ClassReport:
    """lwlrap of one class, None where no clip has it: out of fold by `Details.of` and `Report.best`, and on test."""

    name: str
    curated: int
    """Curated clips with the label."""
    noisy: int
    oof_lwlrap: float | None
    interval: Interval | None
    best_oof_lwlrap: float | None
    test_lwlrap: float | None


@dataclass(frozen=True)
class Confusion:
    """Curated clips with a label of which another class is ranked first and above it, out of fold."""

    label: str
    instead: str
    """A class that these clips do not have."""
    clips: int
    of: int
    """Curated clips with the label."""


@dataclass(frozen=True)
class WorstClip:
    """A curated clip whose labels are ranked low, out of fold."""

    clip: str
    labels: tuple[str, ...]
    first: str
    """The class that is ranked first."""
    score: float
    """Of this class."""
    precision: float
    """Mean over the clip's labels, as in lwlrap."""


@dataclass(frozen=True)
class Details:
    """What the out-of-fold scores say of single classes and clips."""

    of: str
    """Whose scores: 'blend' (nested), or the best condition as long as there is no blend."""
    classes: tuple[ClassReport, ...]
    confusions: tuple[Confusion, ...]
    """The most frequent ones."""
    worst_clips: tuple[WorstClip, ...]


@dataclass(frozen=True)
class Report:
    """All scores of a run."""

    grid: str
    complete: bool
    """Whether every job of the grid is done."""
    conditions: tuple[ConditionReport, ...]
    blend: BlendReport
    ensembles: tuple[EnsembleReport, ...]
    comparisons: tuple[ComparisonReport, ...]
    test: TestScores | None
    """Of the blend; None until the test labels are known and the blend is done."""
    leaky: tuple[str, ...]
    """Conditions whose scores are too high because a model saw the labels it is scored on, and 'blend' if it is."""
    skipped: tuple[str, ...]
    """One sentence for each file that was left out."""
    linear: str | None = None
    """The first condition whose network is `pooled` and reads mel: the model to beat; None if there is none."""
    best: str | None = None
    """The condition with the highest `oof_lwlrap`, of those that are not leaky if there are such."""
    chance: float | None = None
    """The out-of-fold lwlrap that random scores have on average."""
    below_chance: tuple[MemberScore, ...] = ()
    """Members that are worse than random scores."""
    outside: tuple[str, ...] = ()
    """Conditions with data from outside the dataset (encoders, weights of a file), and 'blend' if it has a member."""
    left_out: tuple[str, ...] = ()
    """Classes without a curated clip, which mean average precision and ROC AUC leave out."""
    warnings: tuple[str, ...] = ()
    """What a reader of the scores has to know, in sentences."""
    leaky_on_test: tuple[str, ...] = ()
    """Conditions trained on a test clip (an encoder), on its copy or its group, and 'blend' if one is a member."""
    details: Details | None = None
    """None until a condition is done."""
    students: tuple[StudentReport, ...] = ()
    """Empty until the blend is done."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return _json_object(self)


def _json_object(record: Any) -> dict[str, Any]:
    """The fields of a dataclass, in order."""
    return {
        JSON_NAMES.get(field.name, field.name): _json_value(getattr(record, field.name)) for field in fields(record)
    }


def _json_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_json_value(part) for part in value]
    if isinstance(value, dict):
        return {key: _json_value(part) for key, part in value.items()}
    return _json_object(value) if is_dataclass(value) else value

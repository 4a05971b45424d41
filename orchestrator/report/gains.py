"""What conditions and the blend gain over the simple thing, and sentences where they gain nothing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from features.manifest import Manifest
from features.words import count, listed
from orchestrator.grids.recipe import Recipe
from orchestrator.planning.seen import SeenClips
from orchestrator.report.scores import Predicted, Scores
from orchestrator.report.types import BlendReport, ConditionReport, Gain, MemberScore

__all__ = [
    "BLEND", "below_chance", "best_condition", "blend_with_gains", "linear_condition", "seen_sentences", "warnings",
    "with_gains",
]  # fmt: skip

BLEND = " blend"
"""Name of the blend among scores of conditions and ensembles, none of which begins with a space."""


def linear_condition(recipe: Recipe) -> str | None:
    """The first condition whose network is `pooled` and reads mel: a linear model on statistics."""
    networks = {name: one.train.network for name, one in recipe.conditions.items()}
    return next((name for name, one in networks.items() if one.kind == "pooled" and one.reads == "mel"), None)


def best_condition(
    conditions: Sequence[ConditionReport], leaky: Collection[str], outside: Collection[str] = ()
) -> str | None:
    """The condition with the highest out-of-fold score. Leaky ones count only if all are: their scores are too high.

    Conditions with outside data count only if the blend has such data too.
    """
    scores = {one.name: one.oof_lwlrap for one in conditions if one.oof_lwlrap is not None}
    apart = {*leaky, *(() if "blend" in outside else outside)}
    clean = {name: score for name, score in scores.items() if name not in apart} or scores
    return max(clean, key=lambda name: clean[name], default=None)


def with_gains(
    condition: ConditionReport, linear: str | None, best: str | None, oof: Scores, test: Scores
) -> ConditionReport:
    """The condition with what it gains over the linear and over the best one."""
    return replace(
        condition,
        over_linear=_gain(linear, condition.name, oof, test),
        over_best=_gain(best, condition.name, oof, test),
    )


def blend_with_gains(
    blend: BlendReport, linear: str | None, best: str | None, oof: Scores, test: Scores
) -> BlendReport:
    """The blend with its other scores, and what it gains: out of fold by weights that never saw the fold."""
    return replace(
        blend,
        over_linear=_gain(linear, BLEND, oof, test),
        over_best=_gain(best, BLEND, oof, test),
        nested_metrics=oof.metrics(BLEND),
        test_metrics=test.metrics(BLEND),
        interval=oof.interval(BLEND),
        test_interval=test.interval(BLEND),
    )


def below_chance(means: Mapping[str, Predicted], chance: float) -> tuple[MemberScore, ...]:
    """Members whose out-of-fold lwlrap is below that of random scores."""
    return tuple(
        MemberScore(member, score)
        for mean in means.values()
        for member, score in mean.members.items()
        if score < chance
    )


def warnings(
    conditions: Sequence[ConditionReport],
    blend: BlendReport,
    linear: str | None,
    best: str | None,
    chance: float,
    worse: Sequence[MemberScore],
) -> tuple[str, ...]:
    """Sentences on what the scores show: a useless blend, useless networks, members below chance."""
    scores = {one.name: one.oof_lwlrap for one in conditions if one.oof_lwlrap is not None}
    found = []
    gain = blend.over_best
    if best is not None and gain is not None and gain.oof_difference is not None and gain.oof_difference <= 0:
        found.append(
            f"the blend is not better than its best condition: lwlrap {blend.oof_lwlrap_nested:.3f} on clips that its "
            f"weights never saw, {scores[best]:.3f} of {best} alone ({_signed(gain)})"
        )
    if linear is not None and linear == best and len(scores) > 1:
        found.append(f"no condition is better than {linear}, a linear model on statistics of the spectrogram")
    for name in dict.fromkeys(one.member.condition for one in worse):
        members = [one for one in worse if one.member.condition == name]
        lowest = min(one.oof_lwlrap for one in members)
        are = f"{count(len(members), 'member')} of {name} {'is' if len(members) == 1 else 'are'}"
        found.append(
            f"{are} worse than random scores (lwlrap {lowest:.3f}, chance {chance:.3f}): "
            f"leave {name} out of members, or train it longer"
        )
    return tuple(found)


def seen_sentences(clips_seen: Mapping[str, SeenClips], manifest: Manifest) -> tuple[str, ...]:
    """One sentence for each condition and subset of which its encoder has seen clips in training."""
    sizes = manifest.clips["subset"].value_counts()
    return tuple(
        f"the encoder of {name} was trained on {len(clips)} of {sizes[subset]} {subset} clips: {listed(sorted(clips))}"
        for name, seen in clips_seen.items()
        for subset, clips in seen.items()
    )


def _gain(before: str | None, after: str, oof: Scores, test: Scores) -> Gain | None:
    if before is None or before == after:
        return None
    return Gain(*oof.difference(before, after), *test.difference(before, after))


def _signed(gain: Gain) -> str:
    bounds = "" if gain.interval is None else f", 95 % {gain.interval[0]:+.3f} to {gain.interval[1]:+.3f}"
    return f"{gain.oof_difference:+.3f}{bounds}"

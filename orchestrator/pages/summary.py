"""Section: the question, the data and the result in words, for somebody who was not there."""

from features.words import count, listed
from orchestrator.pages.document import Block, Section, Words
from orchestrator.report.form import bounds, number
from orchestrator.report.types import ConditionReport, Gain, Report
from orchestrator.run.bound import Run

__all__ = ["condition_words", "duration", "summary"]

METRIC = (
    "Scores are lwlrap, the label-weighted label-ranking average precision: for each true label of a clip, the share "
    "of true labels among the classes ranked at least as high, averaged over all labels. 1 is perfect"
)


def summary(run: Run, report: Report) -> Section:
    """The section."""
    blocks: list[Block] = [Words(_result(report), "lead")]
    if not report.complete:
        blocks.append(Words("The grid is not finished: figures that do not exist yet are shown as '-'.", "note"))
    blocks += [
        Words(f"Question. {_question(run, report)}"),
        Words(f"Data. {_data(run)}"),
        Words(f"How it is measured. {_measure(report)}"),
        *(Words(sentence, "warning") for sentence in _warnings(report)),
    ]
    return Section("In short", blocks)


def condition_words(report: Report, name: str) -> list[str]:
    """The result of a condition, in sentences."""
    one = next(one for one in report.conditions if one.name == name)
    found = [
        f"{name} scores lwlrap {_score(one.oof_lwlrap, one.interval)} on clips that its networks did not train on"
        f"{_leaky(report, name)}: the mean of its predictions, with no epoch chosen. The mean over folds of the "
        f"{one.cv_epoch} epoch is {number(one.cv_lwlrap)}."
    ]
    for other, gain in {report.linear: one.over_linear, report.best: one.over_best}.items():
        if gain is not None and gain.oof_difference is not None:
            found.append(f"Its gain over {other} is {_score(gain.oof_difference, gain.interval, '+.3f')}.")
    if one.test_lwlrap is not None:
        tainted = " (leaky)" if name in report.leaky_on_test else ""
        found.append(f"On the test clips{tainted} it scores {number(one.test_lwlrap)}.")
    return found


def duration(seconds: float) -> str:
    """A time in its own unit."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def _result(report: Report) -> str:
    best = next((one for one in report.conditions if one.name == report.best), None)
    if best is None:
        return "Nothing is scored yet."
    if report.blend.oof_lwlrap_nested is None:
        alone = f"lwlrap {_score(best.oof_lwlrap, best.interval)} on clips that its networks did not train on"
        tail = "" if report.test is None else f"; the blend scores {report.test.lwlrap:.3f} on the test clips"
        return f"The best condition is {best.name}: {alone}{_leaky(report, best.name)}. There is no blend yet{tail}."
    blend = report.blend
    parts = [
        f"The blend scores lwlrap {_score(blend.oof_lwlrap_nested, blend.interval)} on clips that neither its networks "
        f"nor its weights have seen{_leaky(report, 'blend')}. {_over(best, blend.over_best, report)}"
    ]
    if report.linear not in (None, best.name) and blend.over_linear and blend.over_linear.oof_difference is not None:
        linear = blend.over_linear
        parts.append(
            f"Over {report.linear}, a linear model on statistics of the spectrogram, the gain is "
            f"{_score(linear.oof_difference, linear.interval, '+.3f')}."
        )
    if report.test is not None:
        also = [(name, value) for name, value in (("public", report.test.public), ("private", report.test.private))]
        split = ", ".join(f"{name} {value:.3f}" for name, value in also if value is not None)
        leak = ", which were trained on in part (leaky)" if "blend" in report.leaky_on_test else ""
        parts.append(
            f"On the test clips{leak} it scores {_score(report.test.lwlrap, blend.test_interval)}"
            f"{f' ({split})' if split else ''}."
        )
    return " ".join(parts)


def _over(best: ConditionReport, gain: Gain | None, report: Report) -> str:
    """How the blend compares with the best condition alone."""
    if gain is None or gain.oof_difference is None:
        return f"The best condition alone, {best.name}, scores {_score(best.oof_lwlrap, best.interval)}."
    difference = _score(gain.oof_difference, gain.interval, "+.3f")
    alone = f"the best condition alone, {best.name} ({number(best.oof_lwlrap)}{_leaky(report, best.name)})"
    low, high = gain.interval or (gain.oof_difference, gain.oof_difference)
    if low > 0:
        return f"It is better than {alone}: {difference}."
    if high < 0:
        return f"It is worse than {alone}: {difference}."
    return f"Whether it is better than {alone} is open: {difference}."


def _question(run: Run, report: Report) -> str:
    names = [one.name for one in report.conditions]
    text = f"Which of {count(len(names), 'way')} of training ({listed(names, most=12)}) tags these sounds best"
    if len(names) == 1:
        text = f"How well does {names[0]} tag these sounds"
    text += ", and what is a blend of them worth?" if len(run.recipe.blended) > 1 else "?"
    steps = [one.name for one in report.comparisons]
    return text + (f" What does each step bring: {listed(steps, most=12)}?" if steps else "")


def _data(run: Run) -> str:
    manifest, data = run.manifest, run.recipe.data
    parts = []
    what = {
        "curated": "with checked labels",
        "noisy": "with labels that may be wrong",
        "test": "whose labels no training saw",
    }
    for subset, about in what.items():
        frame = manifest.subset(subset)
        if len(frame):
            seconds = float((frame["n_samples"] / frame["sample_rate_hz"]).sum())
            parts.append(f"{count(len(frame), f'{subset} clip')} {about} ({duration(seconds)})")
    text = f"The dataset '{run.data_root.name}' has {'; '.join(parts)}; "
    text += f"{count(len(manifest.classes), 'class', 'classes')}. "
    groups = manifest.subset("curated")["group"].nunique()
    grouped = f", {count(groups, 'group')} kept whole" if groups < len(manifest.subset("curated")) else ""
    text += f"The curated clips are split into {data.folds} folds{grouped}."
    if manifest.skipped:
        text += f" {count(len(manifest.skipped), 'clip')} set aside; they are listed at the end."
    return text


def _measure(report: Report) -> str:
    chance = "" if report.chance is None else f", random scores reach {report.chance:.3f} here"
    text = (
        f"{METRIC}{chance}. 'Out-of-fold' scores each curated clip by the networks that held out its fold, so all "
        "curated clips count and none is scored by a network that trained on it. Brackets hold 95 % intervals over "
        "resampled clips; those of differences are paired. Scores marked (leaky) are too high: a label that they are "
        "scored on was used in training."
    )
    if any(one.published_cv_lwlrap is not None for one in report.conditions):
        text += " Published figures stand beside ours; ours minus theirs compares only on the same data."
    return text


def _warnings(report: Report) -> list[str]:
    found = list(report.warnings)
    if report.leaky:
        found.append(f"Leaky out of fold: {listed(report.leaky, most=20)}.")
    if report.leaky_on_test:
        found.append(
            f"Leaky on the test clips, as some, their copies or clips of their groups were trained on: "
            f"{listed(report.leaky_on_test, most=20)}."
        )
    if report.outside:
        found.append(f"Data from outside the dataset are used by: {listed(report.outside, most=20)}.")
    if report.left_out:
        classes = count(len(report.left_out), "class", "classes")
        found.append(f"mAP and ROC AUC leave out {classes} without a clip: {listed(report.left_out)}.")
    return [f"{sentence[0].upper()}{sentence[1:].removesuffix('.')}." for sentence in found]


def _score(value: float | None, interval: tuple[float, float] | None, form: str = ".3f") -> str:
    return number(value, form) + ("" if interval is None else f" (95 % {bounds(interval, form)})")


def _leaky(report: Report, name: str) -> str:
    return " (leaky)" if name in report.leaky else ""

"""Sections: lwlrap of each class, what is taken for what, and the clips that are ranked worst."""

from features.errors import DataError
from orchestrator.pages.document import Block, Picture, Section, Sound, Table, Words
from orchestrator.pages.pictures import Dot, bars, dots
from orchestrator.pages.sounds import excerpt
from orchestrator.report.form import SIGNED, bounds, marked, number
from orchestrator.report.types import Details, Report
from orchestrator.run.bound import Run

__all__ = ["class_blocks", "classes_section", "confusion_blocks", "mistakes_section"]

MOST_BARS, MOST_SOUNDS = 15, 12


def classes_section(report: Report) -> Section:
    """The section of a report."""
    details = report.details
    if details is None:
        return Section("Classes", [Words("Nothing is scored yet.", "note")])
    blocks = class_blocks(details, details.of in report.leaky, report.best) + confusion_blocks(details)
    if details.worst_clips:
        clips = [
            [one.clip, ", ".join(one.labels), one.first, f"{one.score:.3f}", f"{one.precision:.3f}"]
            for one in details.worst_clips
        ]
        title = "curated clips that are ranked worst: hard ones, or labels that are wrong (see sonogrid review)"
        columns = ["clip", "labels", "ranked first", "its score", "precision"]
        blocks.append(Table(columns, clips, title, words=3))
    return Section("Classes", blocks)


def class_blocks(details: Details, leaky: bool, best: str | None) -> list[Block]:
    """lwlrap of each class with its interval, as a picture and a table.

    Args:
        details: the scores.
        leaky: whether they are leaky.
        best: the condition beside whose scores they stand, unless they are its own.
    """
    whose = "the blend, nested" if details.of == "blend" else details.of
    ordered = sorted(
        details.classes, key=lambda one: (one.oof_lwlrap is None, one.oof_lwlrap if one.oof_lwlrap is not None else 0)
    )
    rows = [
        Dot(one.name, one.oof_lwlrap, one.interval, leaky, one.test_lwlrap)
        for one in ordered
        if one.oof_lwlrap is not None
    ]
    compare = best is not None and details.of != best
    table = [
        [
            one.name,
            str(one.curated),
            str(one.noisy),
            number(one.oof_lwlrap),
            bounds(one.interval),
            *([number(one.best_oof_lwlrap), number(_difference(one.oof_lwlrap, one.best_oof_lwlrap), SIGNED)]
              if compare else []),
            number(one.test_lwlrap),
        ]
        for one in ordered
    ]  # fmt: skip
    over = [f"{best}", f"over {best}"] if compare else []
    columns = ["class", "curated clips", "noisy clips", "out-of-fold", "95 %", *over, "test"]
    tested = any(one.test_lwlrap is not None for one in details.classes)
    text = f"lwlrap of each class by {marked(whose, leaky)}, out of fold, the hardest first"
    picture = Picture(dots(rows, "lwlrap of the class", other="test clips" if tested else ""), f"{text}.")
    return [picture, Table(columns, table, text).filled()]


def confusion_blocks(details: Details) -> list[Block]:
    """The most frequent confusions, as a picture and a table; empty without any."""
    found = details.confusions
    if not found:
        return []
    shown = sorted(found, key=lambda one: -one.clips / one.of)[:MOST_BARS]
    names = [f"{one.label}: {one.instead} first" for one in shown]
    text = "Share of a label's clips of which a class that they do not have is ranked first."
    picture = Picture(bars(names, [one.clips / one.of for one in shown], "share of the label's clips"), text)
    pairs = [[one.label, one.instead, f"{one.clips} of {one.of}", f"{one.clips / one.of:.3f}"] for one in found]
    title = "most frequent confusions: clips with a label of which another class is ranked first"
    return [picture, Table(["label", "ranked first instead", "clips", "share"], pairs, title, words=2)]


def mistakes_section(details: Details, run: Run) -> Section:
    """The curated clips that are ranked worst, to see and to hear; words in place of one that can't be read."""
    frame = run.manifest.subset("curated").set_index("clip")
    blocks: list[Block] = [
        Words("Clips whose labels are ranked lowest: hard ones, or labels that are wrong (see sonogrid review).")
    ]
    for place, one in enumerate(details.worst_clips[:MOST_SOUNDS], 1):
        text = f"labelled {', '.join(one.labels)}; ranked first is {one.first}, at {one.score:.3f}"
        path = run.data_root / str(frame.loc[one.clip, "path"])
        try:
            blocks.append(Sound(f"{place}. {one.clip}", excerpt(path), text))
        except DataError as error:
            blocks.append(Words(f"{place}. {one.clip}: {error}", "note"))
    return Section("Worst clips", blocks)


def _difference(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other

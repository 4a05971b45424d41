"""Sections: lwlrap of each class, what is taken for what, and the clips that are ranked worst."""

from orchestrator.pages.document import Block, Picture, Section, Table, Words
from orchestrator.pages.pictures import Dot, dots
from orchestrator.report.form import SIGNED, bounds, marked, number
from orchestrator.report.types import Report

__all__ = ["classes_section"]


def classes_section(report: Report) -> Section:
    """The section."""
    details = report.details
    if details is None:
        return Section("Classes", [Words("Nothing is scored yet.", "note")])
    leaky = details.of in report.leaky
    whose = "the blend, nested" if details.of == "blend" else details.of
    ordered = sorted(
        details.classes, key=lambda one: (one.oof_lwlrap is None, one.oof_lwlrap if one.oof_lwlrap is not None else 0)
    )
    rows = [
        Dot(one.name, one.oof_lwlrap, one.interval, leaky, one.test_lwlrap)
        for one in ordered
        if one.oof_lwlrap is not None
    ]
    compare = details.of != report.best
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
    over = [f"{report.best}", f"over {report.best}"] if compare else []
    columns = ["class", "curated clips", "noisy clips", "out-of-fold", "95 %", *over, "test"]
    tested = any(one.test_lwlrap is not None for one in details.classes)
    text = f"lwlrap of each class by {marked(whose, leaky)}, out of fold, the hardest first"
    blocks: list[Block] = [
        Picture(dots(rows, "lwlrap of the class", other="test clips" if tested else ""), f"{text}."),
        Table(columns, table, text).filled(),
    ]
    if details.confusions:
        pairs = [[one.label, one.instead, f"{one.clips} of {one.of}"] for one in details.confusions]
        title = "most frequent confusions: clips with a label of which another class is ranked first"
        blocks.append(Table(["label", "ranked first instead", "clips"], pairs, title, words=2))
    if details.worst_clips:
        clips = [
            [one.clip, ", ".join(one.labels), one.first, f"{one.score:.3f}", f"{one.precision:.3f}"]
            for one in details.worst_clips
        ]
        title = "curated clips that are ranked worst: hard ones, or labels that are wrong (see sonogrid review)"
        columns = ["clip", "labels", "ranked first", "its score", "precision"]
        blocks.append(Table(columns, clips, title, words=3))
    return Section("Classes", blocks)


def _difference(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other

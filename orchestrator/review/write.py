"""The page of a label review, and the CSV to edit."""

import csv
import io
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from features.files import atomic
from orchestrator.pages.html import render
from orchestrator.pages.sounds import SECONDS, excerpt
from orchestrator.review.ranking import Suspect, rank
from orchestrator.review.sources import Judgement, judgements
from orchestrator.run.bound import Run
from orchestrator.run.places import require_new
from orchestrator.run.selection import read_asked

__all__ = ["COLUMNS", "PAGE", "TABLE", "Review", "review"]

PAGE, TABLE = "review.html", "labels.csv"
COLUMNS = ("subset", "fname", "labels", "suggested", "likely_wrong", "likely_missing", "quality")


@dataclass(frozen=True)
class Review:
    """What a review found, and where it is."""

    page: Path
    table: Path
    judged: dict[str, str]
    """Subset -> by whom its labels were judged, or why they were not."""
    suspects: tuple[Suspect, ...]
    """The clips on the page, the most suspicious one of each subset first."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        suspects = [{**asdict(one), "suggested": one.suggested} for one in self.suspects]
        return {"page": str(self.page), "table": str(self.table), "judged": self.judged, "suspects": suspects}


def review(run: Run, folder: Path, top: int) -> Review:
    """Rank the labels of a run's dataset, and write a page and a CSV of the most suspicious clips.

    Args:
        run: a run of which a condition is done.
        folder: where `review.html` and `labels.csv` are written; neither may exist.
        top: largest number of clips of each subset.

    Raises:
        InputError: a file exists, or nothing can be judged.
        DataError: a clip cannot be read.
    """
    for name in (PAGE, TABLE):  # the CSV may have been edited
        require_new("--to", folder / name)
    found = judgements(run)
    suspects: dict[str, list[Suspect]] = {
        one.subset: rank(run.manifest, one.subset, one.scores)[:top] for one in found if one.scores is not None
    }
    every = tuple(suspect for of_subset in suspects.values() for suspect in of_subset)
    _write(folder / TABLE, _table(every))
    _write(folder / PAGE, _page(run, folder / TABLE, found, suspects))
    return Review(folder / PAGE, folder / TABLE, {one.subset: one.words for one in found}, every)


def _write(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def _table(suspects: Sequence[Suspect]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in suspects:
        lists = (",".join(names) for names in (one.labels, one.suggested, one.wrong, one.missing))
        writer.writerow([one.subset, one.clip, *lists, f"{one.quality:.4f}"])
    return file.getvalue()


def _command(run: Run, table: Path) -> str:
    """What to type to launch with the edited CSV: as the run was launched, if that is recorded."""
    typed = read_asked(run.folder).command.partition("\n")[0]
    plain = f"sonogrid launch GRID --data {shlex.quote(str(run.data_root))} --out {shlex.quote(str(run.folder))}"
    return f"{typed.partition(' --relabel ')[0] or plain} --relabel {shlex.quote(str(table))}"


def _page(run: Run, table: Path, judged: Sequence[Judgement], suspects: dict[str, list[Suspect]]) -> str:
    parts = [
        {
            "subset": one.subset,
            "words": one.words,
            "clips": len(run.manifest.subset(one.subset)),
            "suspects": [(suspect, excerpt(run.data_root / suspect.path)) for suspect in suspects.get(one.subset, ())],
        }
        for one in judged
    ]
    return render(
        "review.html.j2", title=f"Labels of {run.data_root.name}", grid=run.recipe.name, parts=parts, name=TABLE,
        seconds=SECONDS, command=_command(run, table),
    )  # fmt: skip

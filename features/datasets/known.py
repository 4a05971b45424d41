"""Published datasets, recognised by their files: what of them is clean, noisy and test, and their official folds."""

from collections.abc import Callable
from pathlib import Path

from features.csv_table import CsvTable
from features.datasets.challenge import challenge_layout
from features.datasets.columns import group_column
from features.datasets.description import Dataset, Source
from features.errors import DataError

__all__ = ["known_dataset"]


def known_dataset(root: Path) -> tuple[Dataset, list[str]] | None:
    """The description of a published dataset that lies in a folder, or in a folder of that folder.

    Returns:
        The description, and what one may want to change in it; None if no dataset is recognised.
    """
    inner = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    for below in ("", *inner):
        for recognise in _RECOGNISERS:
            if dataset := recognise(root, f"{below}/" if below else ""):
                return dataset, [_ADVICE[dataset.about]] if dataset.about in _ADVICE else []
    return None


def _esc50(root: Path, at: str) -> Dataset | None:
    csv = f"{at}meta/esc50.csv"
    if not _has(root / csv, "filename", "fold", "category", "src_file"):
        return None
    clips = Source(
        audio=f"{at}audio", csv=csv, file="{filename}", labels="category", group="src_file", fold="fold"
    )  # fmt: skip
    return Dataset(about="ESC-50", curated=(clips,))


def _urbansound8k(root: Path, at: str) -> Dataset | None:
    csv = f"{at}metadata/UrbanSound8K.csv"
    if not _has(root / csv, "slice_file_name", "fsID", "fold", "class"):
        return None
    clips = Source(
        audio=f"{at}audio", csv=csv, file="fold{fold}/{slice_file_name}", labels="class", group="fsID", fold="fold"
    )
    return Dataset(about="UrbanSound8K", curated=(clips,))


def _fsd50k(root: Path, at: str) -> Dataset | None:
    truth = f"{at}FSD50K.ground_truth"
    if not _has(root / truth / "dev.csv", "fname", "labels"):
        return None

    def part(name: str) -> tuple[Source, ...]:
        audio = f"{at}FSD50K.{name}_audio"
        return (
            Source(audio=audio, csv=f"{truth}/{name}.csv", file="{fname}.wav", labels="labels", label_separator=","),
        )

    test = part("eval") if _has(root / truth / "eval.csv", "fname", "labels") else None
    classes = _vocabulary(root / truth / "vocabulary.csv")
    return Dataset(about="FSD50K", classes=classes, curated=part("dev"), test=test)


def _fsdkaggle2018(root: Path, at: str) -> Dataset | None:
    zenodo, name = f"{at}FSDKaggle2018.", "FSDKaggle2018"
    places = (
        (f"{zenodo}meta/train_post_competition.csv", f"{zenodo}audio_train",
         f"{zenodo}meta/test_post_competition_scoring_clips.csv", f"{zenodo}audio_test", "label"),
        (f"{at}train.csv", f"{at}audio_train", f"{at}sample_submission.csv", f"{at}audio_test", None),
    )  # fmt: skip
    for csv, audio, test_csv, test_audio, test_labels in places:
        if not _has(root / csv, "fname", "label", "manually_verified") or not (root / audio).is_dir():
            continue
        verified = {
            value: (
                Source(audio=audio, csv=csv, file="{fname}", labels="label", where={"manually_verified": (value,)}),
            )
            for value in _values(root / csv, "manually_verified")
        }
        test = None
        if _has(root / test_csv, "fname") and (root / test_audio).is_dir():
            test = (Source(audio=test_audio, csv=test_csv, file="{fname}", labels=test_labels),)
        if "1" in verified:
            return Dataset(about=name, curated=verified["1"], noisy=verified.get("0"), test=test)
    return None


def _challenge(root: Path, at: str) -> Dataset | None:
    """FSDKaggle2019, and every folder with its names."""
    layout = challenge_layout(root / at)
    if layout is None:
        return None
    parts: dict[str, tuple[Source, ...]] = {}
    for subset, part in layout.parts.items():
        csv, audio = (path.relative_to(root).as_posix() for path in (part.csv, part.folder))
        labels = "labels" if "labels" in part.header else None
        group = group_column(CsvTable.read(root / csv), ("fname", "labels")) if subset != "test" else None
        parts[subset] = (
            Source(
                audio=audio, csv=csv, file="{fname}", labels=labels, label_separator="," if labels else None,
                group=group,
            ),
        )  # fmt: skip
    used = sorted({label for row in layout.parts["curated"].rows for label in row.labels})
    name = "FSDKaggle2019, or a dataset with its names"
    return Dataset(
        about=name, classes=None if list(layout.classes) == used else layout.classes, curated=parts["curated"],
        noisy=parts.get("noisy"), test=parts.get("test"),
    )  # fmt: skip


_ADVICE = {
    "ESC-50": "for ESC-10 alone, add where: {esc10: 'True'} to curated in dataset.yaml",
    "FSD50K": "all clips of dev are trained on in folds: its column split (train, val) is not used",
}
_RECOGNISERS: tuple[Callable[[Path, str], Dataset | None], ...] = (
    _esc50, _urbansound8k, _fsd50k, _fsdkaggle2018, _challenge,
)  # fmt: skip


def _has(csv: Path, *columns: str) -> bool:
    """Whether a CSV is there and has these columns."""
    try:
        return csv.is_file() and set(columns) <= set(CsvTable.read(csv).header)
    except DataError:
        return False


def _values(csv: Path, column: str) -> set[str]:
    table = CsvTable.read(csv)
    place = table.header.index(column)
    return {fields[place].strip() for _, fields in table.rows if len(fields) == len(table.header)}


def _vocabulary(csv: Path) -> tuple[str, ...] | None:
    """Names of a list 'index,class,...' without a header; None unless their order differs from the alphabet's."""
    try:
        table = CsvTable.read(csv)
    except DataError:
        return None
    lines = [list(table.header), *(fields for _, fields in table.rows)]
    names = tuple(line[1].strip() for line in lines if len(line) > 1)
    whole = len(names) == len(lines) and len(set(names)) == len(names)
    return names if whole and list(names) != sorted(names) else None

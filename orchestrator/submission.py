"""What leaves sonogrid: the submission CSV, scores against test labels, tags of new files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.audio import read_mono
from features.csv_table import CsvTable
from features.errors import DataError, InputError, StoreError, printable
from features.files import atomic, read_json, write_json
from features.layout import split_labels
from features.shards import FeatureExtractor
from orchestrator.run import Run
from orchestrator.scores import blended_test, mean_predictions, parts_of_test
from trainers.lwlrap import lwlrap, lwlrap_per_class

__all__ = ["predict_files", "score", "write_submission"]

LABEL_COLUMNS = ("fname", "labels", "usage")
"""Of a CSV of test labels, in capitals or not."""


def write_submission(run: Run, ensemble: str | None = None) -> Path:
    """Write `submission.csv`: a row a test clip in the order of the dataset's CSV, a column a class.

    The scores are the blend's; those of an ensemble of the grid go to `submission-NAME.csv`.

    Raises:
        StoreError: the blend, or a prediction of the ensemble, is not done yet.
        InputError: the grid has no such ensemble, or the dataset no test clips.
    """
    clips = _test_clips(run)
    scores = blended_test(run) if ensemble is None else _ensemble_test(run, ensemble)
    path = run.folder / ("submission.csv" if ensemble is None else f"submission-{ensemble}.csv")
    write_scores(path, clips, run.manifest.classes, scores)
    return path


def _test_clips(run: Run) -> list[str]:
    clips: list[str] = run.manifest.subset("test")["clip"].tolist()
    if not clips:
        raise InputError(f"{run.data_root} has no test clips: list some in its CSV and launch the grid again")
    return clips


def _ensemble_test(run: Run, name: str) -> np.ndarray:
    """(T, C) scores of the test clips by an ensemble."""
    ensembles = run.recipe.ensembles
    if name not in ensembles:
        raise InputError(f"--ensemble {name}: the grid has no such ensemble; it has {', '.join(ensembles) or 'none'}")
    means = mean_predictions(run)
    if name not in means:
        lacking = next(condition for condition in ensembles[name].members if condition not in means)
        raise StoreError(f"{lacking} is not predicted yet; finish the grid with: sonogrid resume {run.folder}")
    return means[name].test


def write_scores(path: Path, clips: Sequence[str], classes: Sequence[str], scores: np.ndarray) -> None:
    """Write scores (N, C) as `fname` and a column a class."""
    frame = pd.DataFrame(scores, columns=list(classes))
    # A file's name need not be text: its bytes are kept, which pandas' own strings can't.
    frame.insert(0, "fname", pd.Series(list(clips), dtype=object))
    with atomic(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.7g", errors="surrogateescape")


def score(run: Run, labels_csv: Path) -> dict[str, Any]:
    """lwlrap of the blend, of each condition and of each ensemble on the test clips.

    `score.json` keeps the result, and the labels for the report.

    Args:
        run: a finished run.
        labels_csv: `fname,labels` and, optionally, `usage` (Public or Private); rows of other clips are refused.

    Raises:
        InputError: the CSV does not fit the test clips.
        StoreError: the blend is not done yet.
    """
    clips = _test_clips(run)
    classes = run.manifest.classes
    truth, usage = _read_labels(labels_csv, run)
    blended = blended_test(run)
    per_class, weight = lwlrap_per_class(truth, blended)
    scores = {name: lwlrap(truth, mean.test) for name, mean in mean_predictions(run).items()}
    result = {
        **parts_of_test(truth, blended, usage),
        "conditions": {name: scores.get(name) for name in run.recipe.conditions},
        "ensembles": {name: scores.get(name) for name in run.recipe.ensembles},
        "classes": {
            name: None if np.isnan(value) else float(value) for name, value in zip(classes, per_class, strict=True)
        },
        "pairs": {name: round(float(w * truth.sum())) for name, w in zip(classes, weight, strict=True)},
    }
    labels = [[name for name, true in zip(classes, row, strict=True) if true] for row in truth]
    given = {"clips": clips, "labels": labels, "usage": None if usage is None else usage.tolist()}
    write_json(run.folder / "score.json", {**result, "truth": given})
    return result


def _label_rows(path: Path) -> tuple[dict[str, dict[str, str]], bool, list[str]]:
    """Rows of a CSV of labels by clip, whether it has a column usage, and a sentence for each bad row."""
    if not path.exists():
        raise InputError(f"{path} does not exist; give the test labels with --labels")
    table = CsvTable.read(path)
    header = [name.lower() if name.lower() in LABEL_COLUMNS else name for name in table.header]
    if not {"fname", "labels"} <= set(header) or len(set(header)) < len(header):
        shown = printable(", ".join(table.header)[:80])
        raise InputError(f"{path} needs the columns fname and labels, each column once; it has {shown}")
    problems: list[str] = []
    rows: dict[str, dict[str, str]] = {}
    for line, fields in table.rows:
        if len(fields) != len(header):
            problems.append(
                f"{path} line {line} has {len(fields)} fields where the header has {len(header)}: quote labels "
                "that hold commas"
            )
            continue
        row = dict(zip(header, fields, strict=True))
        clip = row["fname"].strip()
        if clip in rows:
            problems.append(f"{path}: {clip} is listed twice; keep one row")
        if (part := row.get("usage", "").strip()) not in ("", "Public", "Private"):
            problems.append(f"{path} line {line} has usage '{part}'; write Public or Private, or nothing")
        rows[clip] = row
    return rows, "usage" in header, problems


def _read_labels(path: Path, run: Run) -> tuple[np.ndarray, np.ndarray | None]:
    """Labels (T, C) and, where the CSV has that column, usage (T,) of the test clips."""
    clips, classes = run.manifest.subset("test")["clip"].tolist(), run.manifest.classes
    rows, has_usage, problems = _label_rows(path)
    # Clips that were set aside have their labels, but no prediction.
    if not run.manifest.skipped:
        others = rows.keys() - set(clips)
        problems += [f"{path}: {clip} is not a test clip of this run; remove its row" for clip in sorted(others)]
    truth = np.zeros((len(clips), len(classes)), dtype=np.float32)
    column = {name: index for index, name in enumerate(classes)}
    for index, clip in enumerate(clips):
        if clip not in rows:
            problems.append(f"{path}: {clip} has no row; every test clip needs its labels")
            continue
        labels = split_labels(rows[clip]["labels"])
        if not labels:
            problems.append(f"{path}: {clip} has no label; fill it in")
        for label in labels:
            if label in column:
                truth[index, column[label]] = 1.0
            else:
                problems.append(f"{path}: {clip} has label '{label}', which is not a class of this run")
    if problems:
        raise DataError(problems)
    usage = np.array([rows[clip]["usage"].strip() for clip in clips]) if has_usage else None
    return truth, usage


def predict_files(run: Run, files: Sequence[Path]) -> np.ndarray:
    """Scores of new audio files by the blend: every member with a weight, mean of the folds.

    Args:
        run: a finished run.
        files: audio files of any rate, width and number of channels.

    Returns:
        (files, C) float32 scores.

    Raises:
        DataError: files that can't be read, all of them.
        StoreError: the blend is not done yet.
    """
    import torch

    from features.audio import probe, without_notes
    from orchestrator.jobs import load_networks
    from trainers.clips import ClipBank, MemoryClips
    from trainers.predict import predict

    blended_test(run)  # refuses an unfinished run
    problems: list[str] = []
    for path in files:
        try:
            with without_notes():
                probe(path)
        except DataError as error:
            problems += [problem.replace("remove its row", "leave it out") for problem in error.problems]
    if problems:
        raise DataError(problems)
    assert run.graph.blend is not None
    blend = read_json(run.store.results(run.graph.nodes[run.graph.blend]) / "blend.json")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    total = np.zeros((len(files), len(run.manifest.classes)), dtype=np.float64)
    for name in run.recipe.blended:
        condition = run.recipe.conditions[name]
        pads, heads = condition.predict.pads, condition.predict.heads
        weights = np.zeros((condition.train.cycles, len(heads), len(pads)))
        for member, weight in zip(blend["members"], blend["weights"], strict=True):
            if member["condition"] == name:
                weights[member["cycle"] - 1, heads.index(member["head"]), pads.index(member["pad"])] = weight
        if not weights.any():
            continue
        used_pads = np.flatnonzero(weights.any(axis=(0, 1)))
        extractor = FeatureExtractor(condition.features)
        arrays = [extractor.compute(read_mono(path, condition.features.sample_rate_hz)) for path in files]
        bank = ClipBank(MemoryClips(arrays), device)
        used = np.flatnonzero(weights.any(axis=(1, 2)))
        for fold in range(run.recipe.data.folds):
            folder = run.store.results(run.graph.nodes[run.graph.train[name, fold]])
            networks = load_networks(folder, condition, len(run.manifest.classes), device)
            chosen = [networks[cycle] for cycle in used]
            scores = predict(  # (cycles, heads, pads, N, C)
                chosen, bank, np.arange(len(files)), tuple(pads[index] for index in used_pads), heads=heads,
                padding=condition.train.padding,
            )  # fmt: skip
            total += np.tensordot(weights[used][:, :, used_pads], scores, axes=3) / run.recipe.data.folds
    return total.astype(np.float32)

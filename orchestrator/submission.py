"""What leaves sonogrid: the submission CSV, scores against test labels, tags of new files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.audio import read_mono
from features.errors import DataError, InputError
from features.files import atomic, read_json, write_json
from features.shards import FeatureExtractor
from orchestrator.members import stitch
from orchestrator.report import blended_test, predictions_of
from orchestrator.run import Run
from trainers.lwlrap import lwlrap, lwlrap_per_class

__all__ = ["predict_files", "score", "write_submission"]


def write_submission(run: Run) -> Path:
    """Write `submission.csv`: a row a test clip in the order of the dataset's CSV, a column a class.

    Raises:
        StoreError: the blend is not done yet.
        InputError: the dataset has no test clips.
    """
    clips = run.manifest.subset("test")["clip"].tolist()
    scores = blended_test(run)
    path = run.folder / "submission.csv"
    write_scores(path, clips, run.manifest.classes, scores)
    return path


def write_scores(path: Path, clips: Sequence[str], classes: Sequence[str], scores: np.ndarray) -> None:
    """Write scores (N, C) as `fname` and a column a class."""
    frame = pd.DataFrame(scores, columns=list(classes))
    frame.insert(0, "fname", list(clips))
    with atomic(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.7g")


def score(run: Run, labels_csv: Path) -> dict[str, Any]:
    """lwlrap of the blend and of each condition on the test clips; kept in `score.json` for the report.

    Args:
        run: a finished run.
        labels_csv: `fname,labels` and, optionally, `usage` (Public or Private); rows of other clips are refused.

    Raises:
        InputError: the CSV does not fit the test clips.
        StoreError: the blend is not done yet.
    """
    clips = run.manifest.subset("test")["clip"].tolist()
    truth, usage = _read_labels(labels_csv, clips, run.manifest.classes)
    blended = blended_test(run)
    per_class, weight = lwlrap_per_class(truth, blended)
    conditions = {}
    for name in run.recipe.conditions:
        folders = predictions_of(run, name)
        conditions[name] = (
            None if folders is None else lwlrap(truth, stitch({name: folders}, run.manifest).test.mean(axis=0))
        )
    result = {
        "lwlrap": lwlrap(truth, blended),
        "public": _part(truth, blended, usage, "Public"),
        "private": _part(truth, blended, usage, "Private"),
        "conditions": conditions,
        "classes": {
            name: None if np.isnan(value) else float(value)
            for name, value in zip(run.manifest.classes, per_class, strict=True)
        },
        "pairs": {name: round(float(w * truth.sum())) for name, w in zip(run.manifest.classes, weight, strict=True)},
    }
    write_json(run.folder / "score.json", result)
    return result


def _part(truth: np.ndarray, scores: np.ndarray, usage: np.ndarray | None, part: str) -> float | None:
    if usage is None or not (usage == part).any():
        return None
    return lwlrap(truth[usage == part], scores[usage == part])


def _read_labels(path: Path, clips: list[str], classes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray | None]:
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give the test labels with --labels") from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path} can't be read as CSV: {error}") from None
    if not {"fname", "labels"} <= set(frame.columns):
        raise InputError(f"{path} needs the columns fname and labels; it has {', '.join(frame.columns)}")
    problems = [
        f"{path}: {name} is listed twice; keep one row" for name in frame.loc[frame["fname"].duplicated(), "fname"]
    ]
    rows = {row.fname: row for row in frame.itertuples()}
    truth = np.zeros((len(clips), len(classes)), dtype=np.float32)
    column = {name: index for index, name in enumerate(classes)}
    problems += [f"{path}: {clip} has no row; every test clip needs its labels" for clip in clips if clip not in rows]
    for index, clip in enumerate(clips):
        for label in (part.strip() for part in str(rows[clip].labels).split(",")) if clip in rows else ():
            if label in column:
                truth[index, column[label]] = 1.0
            elif label:
                problems.append(f"{path}: {clip} has label '{label}', which is not a class of this run")
    problems += (
        []
        if problems
        else [
            f"{path}: {clip} has no label; fill it in" for clip, row in zip(clips, truth, strict=True) if not row.any()
        ]
    )
    if problems:
        raise DataError(problems)
    usage = np.array([rows[clip].usage for clip in clips]) if "usage" in frame.columns else None
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

    from features.audio import probe
    from orchestrator.jobs import load_networks
    from trainers.clips import ClipBank, MemoryClips
    from trainers.predict import predict

    blended_test(run)  # refuses an unfinished run
    problems: list[str] = []
    for path in files:
        try:
            probe(path)
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    assert run.graph.blend is not None
    blend = read_json(run.store.folder(run.graph.nodes[run.graph.blend]) / "blend.json")
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
        extractor = FeatureExtractor(condition.features)
        arrays = [extractor.compute(read_mono(path, condition.features.sample_rate_hz)) for path in files]
        bank = ClipBank(MemoryClips(arrays), device)
        used = np.flatnonzero(weights.any(axis=(1, 2)))
        for fold in range(run.recipe.data.folds):
            folder = run.store.folder(run.graph.nodes[run.graph.train[name, fold]])
            networks = load_networks(folder, condition, len(run.manifest.classes), device)
            chosen = [networks[cycle] for cycle in used]
            rows, padding = np.arange(len(files)), condition.train.padding
            scores = predict(chosen, bank, rows, pads, heads=heads, padding=padding)  # (cycles, heads, pads, N, C)
            total += np.tensordot(weights[used], scores, axes=3) / run.recipe.data.folds
    return total.astype(np.float32)

"""CSV files of scores: the submission of a run, in the form that Kaggle takes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from features.errors import InputError, StoreError
from features.files import atomic
from orchestrator.report.scores import blended_test, mean_predictions, require_test_clips
from orchestrator.run.bound import Run

__all__ = ["write_scores", "write_submission"]


def write_submission(run: Run, ensemble: str | None = None) -> Path:
    """Write `submission.csv`: one row per test clip in the order of the dataset's CSV, one column per class.

    The scores are the blend's; those of an ensemble of the grid go to `submission-NAME.csv`.

    Raises:
        StoreError: the blend, or a prediction of the ensemble, is not done yet.
        InputError: the grid has no such ensemble, or the dataset has no test clips.
    """
    clips = require_test_clips(run)
    scores = blended_test(run) if ensemble is None else _ensemble_test(run, ensemble)
    path = run.folder / ("submission.csv" if ensemble is None else f"submission-{ensemble}.csv")
    write_scores(path, clips, run.manifest.classes, scores)
    return path


def _ensemble_test(run: Run, name: str) -> np.ndarray:
    """(T, C) scores of the test clips by an ensemble."""
    ensembles = run.recipe.ensembles
    if name not in ensembles:
        raise InputError(f"--ensemble {name}: the grid has no such ensemble; it has {', '.join(ensembles) or 'none'}")
    means = mean_predictions(run)
    if name not in means:
        missing = next(condition for condition in ensembles[name].members if condition not in means)
        raise StoreError(f"{missing} is not predicted yet; finish the grid with: sonogrid resume {run.folder}")
    return means[name].test


def write_scores(path: Path, clips: Sequence[str], classes: Sequence[str], scores: np.ndarray) -> None:
    """Write scores (N, C) as a CSV with the column `fname` and one column per class."""
    frame = pd.DataFrame(scores, columns=list(classes))
    # A file name need not be valid text. An object column keeps its bytes; pandas' own strings cannot.
    frame.insert(0, "fname", pd.Series(list(clips), dtype=object))
    with atomic(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.7g", errors="surrogateescape")

"""CSV files of scores."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError, StoreError
from orchestrator.report.scores import blended_test, mean_predictions
from orchestrator.report.submission import write_scores, write_submission
from orchestrator.run.bound import Run


def test_the_submission_has_the_form_of_the_sample(copy: Run, small_data: Path) -> None:
    frame = pd.read_csv(write_submission(copy))
    wanted = pd.read_csv(small_data / "sample_submission.csv")
    assert list(frame.columns) == list(wanted.columns)
    assert frame["fname"].tolist() == wanted["fname"].tolist()
    assert frame.iloc[:, 1:].to_numpy() == pytest.approx(blended_test(copy), abs=1e-6)


def test_an_ensemble_has_a_file_of_its_own(copy: Run) -> None:
    path = write_submission(copy, "A+D")
    assert path.name == "submission-A+D.csv"
    assert pd.read_csv(path).iloc[:, 1:].to_numpy() == pytest.approx(mean_predictions(copy)["A+D"].test, abs=1e-6)
    with pytest.raises(InputError, match="no such ensemble; it has A-all, A\\+D"):
        write_submission(copy, "sub")


def test_an_unfinished_ensemble_names_what_is_missing(copy: Run) -> None:
    copy.store.forget(copy.graph.nodes[copy.graph.predict["D", 0]])
    with pytest.raises(StoreError, match="D is not predicted yet"):
        write_submission(copy, "A+D")


def test_names_that_are_not_text_keep_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    write_scores(path, [b"\xff.wav".decode("utf-8", "surrogateescape"), "b,c.wav"], ["Bark"], np.array([[0.5], [1]]))
    assert path.read_bytes() == b'fname,Bark\n\xff.wav,0.5\n"b,c.wav",1\n'

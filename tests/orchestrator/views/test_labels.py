"""`sonogrid score`: a CSV of test labels, and what is wrong with it."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from features.errors import DataError, InputError
from features.files import read_json
from orchestrator.run.bound import Run
from orchestrator.views.labels import score_labels
from orchestrator.views.report import build_report
from orchestrator.views.scores import blended_test, known_labels, mean_predictions
from trainers.lwlrap import lwlrap
from trainers.metrics import metrics_of


def test_everything_that_predicts_is_scored(copy: Run, small_data: Path) -> None:
    scores = score_labels(copy, small_data / "test_labels.csv")
    known = known_labels(copy)
    assert known is not None
    assert scores.lwlrap == lwlrap(known[0], blended_test(copy))
    means = mean_predictions(copy)
    assert scores.conditions == {name: lwlrap(known[0], means[name].test) for name in copy.recipe.conditions}
    assert scores.metrics == metrics_of(known[0], blended_test(copy))
    assert scores.condition_metrics["A"] == metrics_of(known[0], means["A"].test)
    assert set(scores.ensembles) == {"A-all", "A+D"}
    assert sum(scores.pairs.values()) == int(known[0].sum())
    kept = read_json(copy.folder / "score.json")
    assert {key: value for key, value in kept.items() if key != "truth"} == scores.as_dict()


def test_report_and_score_know_what_the_last_launch_set_aside(copy: Run, small_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text((small_data / "test_labels.csv").read_text().rstrip("\n") + "\nsilent.wav,Tone\n")
    with pytest.raises(DataError, match=r"silent\.wav is not a test clip of this run"):
        score_labels(copy, path)
    for skipped in (("test/silent.wav is empty",), ()):
        replace(copy, manifest=replace(copy.manifest, skipped=skipped)).save()
        run = Run.open(copy.folder)
        assert build_report(run).skipped == skipped
        if skipped:
            score_labels(run, path)


def test_columns_may_be_upper_case_and_usage_splits_the_clips(copy: Run, small_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    frame = pd.read_csv(small_data / "test_labels.csv")[["fname", "labels"]]
    frame["usage"] = ["Public", *["Private"] * (len(frame) - 1)]
    frame.rename(columns=str.upper).to_csv(path, index=False)
    scores = score_labels(copy, path)
    assert scores.public is not None
    assert scores.private is not None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\n1,2\n", "needs the columns fname and labels"),
        ("fname,labels,labels\n", "each column once"),
        ("fname,labels\nx.wav,Bark,Meow\n", "has 3 fields where the header has 2"),
        ("fname,labels\nx.wav,Bark\nx.wav,Bark\n", "x.wav is listed twice"),
        ("fname,labels\nother.wav,Bark\n", "other.wav is not a test clip"),
        ("fname,labels\n", "every test clip needs its labels"),
        ("fname,labels,usage\nx.wav,Bark,Secret\n", "usage 'Secret'"),
    ],
)
def test_a_bad_csv_is_refused(inline_run: Run, tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(content)
    with pytest.raises((DataError, InputError)) as caught:
        score_labels(inline_run, path)
    problems = getattr(caught.value, "problems", [str(caught.value)])
    assert any(words in problem for problem in problems)


def test_a_missing_csv_is_refused(inline_run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist; give the test labels with --labels"):
        score_labels(inline_run, tmp_path / "none.csv")

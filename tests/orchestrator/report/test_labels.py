"""`sonogrid score`: a CSV of test labels, and what is wrong with it."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from features.errors import DataError, InputError
from features.files import read_json
from orchestrator.report.build import build_report
from orchestrator.report.labels import score_labels
from orchestrator.report.scores import blended_test, known_labels, mean_predictions
from orchestrator.run.bound import Run
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


def test_the_datasets_own_labels_score_its_test_clips(copy: Run, small_data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no labels of its test clips: give them with --labels CSV"):
        score_labels(copy)
    given = score_labels(copy, small_data / "test_labels.csv")
    data = tmp_path / "data"
    data.mkdir()
    for name in ("train_curated", "test"):
        (data / name).symlink_to(small_data / name)
    for name in ("train_curated.csv", "test_labels.csv"):
        (data / name).write_text((small_data / name).read_text())
    source = "csv: {0}.csv, file: '{{fname}}', labels: labels, label_separator: ','"
    (data / "dataset.yaml").write_text(
        f"curated: {{audio: train_curated, {source.format('train_curated')}}}\n"
        f"test: {{audio: test, {source.format('test_labels')}}}\n"
    )
    run = replace(copy, data_root=data)
    assert score_labels(run) == given
    lines = (data / "test_labels.csv").read_text().splitlines()
    usage = ["usage", "Public", *["Private"] * (len(lines) - 2)]
    (data / "test_labels.csv").write_text("".join(f"{a},{b}\n" for a, b in zip(lines, usage, strict=True)))
    assert None not in (score_labels(run).public, score_labels(run).private)
    clip = lines[1].split(",")[0]
    (data / "test_labels.csv").write_text("\n".join([lines[0], f"{clip},Other", *lines[2:]]) + "\n")
    with pytest.raises(DataError, match=f"test clip {clip} has Other, which is not a class of this run"):
        score_labels(run)

"""The tagger scores files as the run's own jobs did."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import soundfile

from features.errors import DataError, InputError, StoreError
from orchestrator.report.scores import blended_test
from orchestrator.run.bound import Run
from orchestrator.store.marks import DoneMark
from orchestrator.tagger.tagger import Tagger, ranked


@pytest.fixture(scope="module")
def tagger(inline_run: Run) -> Tagger:
    return Tagger.load(inline_run.folder)


def test_scores_are_those_of_the_run(tagger: Tagger, inline_run: Run) -> None:
    clips = inline_run.manifest.subset("test")
    scores = tagger.scores([inline_run.data_root / path for path in clips["path"]])
    assert scores.dtype == np.float32
    assert scores.shape == (len(clips), len(tagger.classes))
    np.testing.assert_allclose(scores, blended_test(inline_run), atol=2e-6)


@pytest.mark.parametrize("pad_to", ["own", "longest"])
def test_a_file_has_the_same_scores_alone_and_among_others(
    tagger: Tagger, inline_run: Run, small_data: Path, pad_to: Literal["own", "longest"]
) -> None:
    """Also with the batches of the released code: a file of a user has no fixed company."""
    if pad_to == "longest":
        update = {"pad_to": pad_to, "patience": 1.0}
        conditions = [replace(each, read=each.read.model_copy(update=update)) for each in tagger._conditions]
        tagger = Tagger(tagger.classes, conditions, tagger.device, lambda: tagger.calibration)
    files = sorted(small_data.glob("train_*/*.wav"))[:20] + sorted(small_data.glob("test/*.wav"))
    together = tagger.scores(files)
    for place in (0, 7, len(files) - 1):
        np.testing.assert_allclose(tagger.scores([files[place]])[0], together[place], atol=2e-6)


def test_clips_are_padded_as_their_condition_says(
    tagger: Tagger, inline_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.open(inline_run.folder)
    conditions = {
        name: condition.model_copy(update={"train": condition.train.model_copy(update={"padding": "repeat"})})
        for name, condition in run.recipe.conditions.items()
    }
    repeating = replace(run, recipe=run.recipe.model_copy(update={"conditions": conditions}))
    vars(repeating)["graph"] = run.graph
    monkeypatch.setattr(Run, "open", lambda folder: repeating)
    paths = [run.data_root / path for path in run.manifest.subset("test")["path"]]
    assert np.abs(Tagger.load(run.folder).scores(paths) - tagger.scores(paths)).max() > 1e-4


def test_tags_are_the_best_classes(tagger: Tagger, inline_run: Run) -> None:
    path = inline_run.data_root / inline_run.manifest.subset("test")["path"].iloc[0]
    scores = tagger.scores([str(path)])[0]
    tags = tagger.tag(path, top=2)
    assert [label for label, _ in tags] == [tagger.classes[index] for index in (-scores).argsort(kind="stable")[:2]]
    assert tags[0][1] == scores.max()
    assert tagger.scores([]).shape == (0, len(tagger.classes))


def test_files_that_are_not_audio_are_all_named(tagger: Tagger, tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("not audio")
    with pytest.raises(DataError) as error:
        tagger.scores([tmp_path / "notes.wav", tmp_path / "missing.wav"])
    assert len(error.value.problems) == 2
    assert all("leave it out" in problem for problem in error.value.problems)


def test_a_run_without_a_blend_has_no_tagger(copy: Run) -> None:
    assert copy.graph.blend is not None
    name = copy.store.name(copy.graph.nodes[copy.graph.blend])
    copy.store.drop_marks(name, DoneMark)
    with pytest.raises(StoreError, match="the blend is not done yet"):
        Tagger.load(copy.folder)


def test_equal_scores_stay_in_the_order_of_classes() -> None:
    assert ranked(("a", "b", "c"), np.array([0.25, 0.5, 0.5], np.float32)) == [("b", 0.5), ("c", 0.5), ("a", 0.25)]


def test_bytes_and_samples_have_the_scores_of_their_file(tagger: Tagger, small_data: Path) -> None:
    path = sorted(small_data.glob("test/*.wav"))[0]
    samples, rate = soundfile.read(path, dtype="int16")
    wanted = tagger.scores([path])
    np.testing.assert_array_equal(tagger.scores([path.read_bytes()]), wanted)
    np.testing.assert_allclose(tagger.scores([samples], rate), wanted, atol=2e-6)
    assert tagger.tag(path, top=99, threshold=float(wanted.max())) == tagger.tag(path, top=1)
    assert tagger.tag(path, threshold=1.0) == []


def test_thresholds_and_probabilities_are_those_of_the_calibration(tagger: Tagger, small_data: Path) -> None:
    path = sorted(small_data.glob("test/*.wav"))[0]
    scores = tagger.scores([path])
    np.testing.assert_array_equal(tagger.probabilities([path]), tagger.calibration.probabilities(scores))
    assert list(tagger.thresholds) == list(tagger.classes)
    wanted = {name for name, score in zip(tagger.classes, scores[0], strict=True) if score >= tagger.thresholds[name]}
    assert {name for name, _ in tagger.tag(path, top=99, threshold="auto")} == wanted


def test_a_stream_has_an_error_in_place_of_a_bad_file(
    tagger: Tagger, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.tagger.tagger.MOST_CLIPS", 4)  # several batches
    (tmp_path / "bad.wav").write_text("text")
    files = sorted(small_data.rglob("*.wav"))[:9]
    mixed = [*files[:3], tmp_path / "bad.wav", *files[3:], tmp_path / "bad.wav"]
    found = list(tagger.stream(mixed))
    assert [isinstance(one, DataError) for one in found] == [path.name == "bad.wav" for path in mixed]
    scores = np.array([one for one in found if not isinstance(one, DataError)])
    np.testing.assert_allclose(scores, tagger.scores(files), atol=2e-6)
    assert list(tagger.stream([])) == []


@pytest.mark.parametrize(("window_s", "hop_s"), [(0.5, None), (0.5, 0.2), (0.3, 0.7)])
def test_segments_score_as_the_cut_files_would(
    window_s: float, hop_s: float | None, tagger: Tagger, tmp_path: Path
) -> None:
    rate = 22_050
    soundfile.write(tmp_path / "long.flac", np.random.default_rng(0).uniform(-0.5, 0.5, round(1.7 * rate)), rate)
    segments = list(tagger.segments(tmp_path / "long.flac", window_s, hop_s))
    step = hop_s or window_s
    assert [segment.start_s for segment in segments] == pytest.approx([step * i for i in range(len(segments))])
    assert segments[-1].end_s == pytest.approx(1.7) or (hop_s or 0) > window_s
    for segment in segments:
        first, last = round(segment.start_s * rate), round(segment.end_s * rate)
        cut = soundfile.read(tmp_path / "long.flac", start=first, stop=last, dtype="int16")[0]
        np.testing.assert_allclose(segment.scores, tagger.scores([cut], rate)[0], atol=2e-6)


def test_windows_of_no_length_are_refused(tagger: Tagger, tmp_path: Path) -> None:
    for window_s, hop_s in ((0.0, None), (1.0, 0.0), (601.0, None), (float("nan"), None)):
        with pytest.raises(InputError, match=r"give 0\.05 to 600"):
            list(tagger.segments(tmp_path / "x.wav", window_s, hop_s))
    with pytest.raises(DataError, match="is missing"):
        list(tagger.segments(tmp_path / "x.wav"))


def test_a_tagger_shows_what_it_is(tagger: Tagger) -> None:
    assert repr(tagger).startswith(f"<Tagger: {len(tagger.classes)} classes, ")

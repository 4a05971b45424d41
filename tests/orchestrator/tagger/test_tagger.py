"""The tagger scores files as the run's own jobs did."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from features.errors import DataError, StoreError
from orchestrator.run.bound import Run
from orchestrator.store.marks import DoneMark
from orchestrator.tagger.tagger import Tagger, ranked
from orchestrator.views.scores import blended_test


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
        tagger = Tagger(tagger.classes, conditions, tagger.device)
    files = sorted(small_data.glob("train_*/*.wav"))[:20] + sorted(small_data.glob("test/*.wav"))
    together = tagger.scores(files)
    for place in (0, 7, len(files) - 1):
        np.testing.assert_allclose(tagger.scores([files[place]])[0], together[place], atol=2e-6)


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


def test_a_tagger_shows_what_it_is(tagger: Tagger) -> None:
    assert repr(tagger).startswith(f"<Tagger: {len(tagger.classes)} classes, ")

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from features.folds import kfold
from features.manifest import build_manifest
from features.settings import DataSettings
from tests.fixtures.manifests import problems

Writer = Callable[..., np.ndarray]


def test_groups_stay_on_one_side(tiny: Path) -> None:
    rows = "".join(f"a{index}.wav,{'AB'[index % 2]},g{index // 2}\n" for index in range(10))
    (tiny / "train_curated.csv").write_text("fname,labels,source\n" + rows)
    for stratify in (False, True):
        curated = build_manifest(tiny, DataSettings(group_by="source", stratify=stratify)).subset("curated")
        assert list(curated["group"]) == [f"g{index // 2}" for index in range(10)]
        assert (curated.groupby("group")["fold"].nunique() == 1).all()
        assert set(curated["fold"]) == set(range(5))
    assert "did you mean 'source'" in problems(tiny, DataSettings(group_by="sources"), skip_bad=True)[0]
    (tiny / "train_curated.csv").write_text("fname,labels,source\n" + rows.replace("g0", ""))
    assert "has no 'source' for a0.wav" in problems(tiny, DataSettings(group_by="source"))[0]


def test_folds_need_enough_groups_and_clips(tiny: Path, audio_writer: Writer) -> None:
    assert "10 usable clips, and 11 folds need at least 11" in problems(tiny, DataSettings(folds=11))[0]
    assert "2 groups of 'labels', and 3 folds" in problems(tiny, DataSettings(folds=3, group_by="labels"))[0]
    audio_writer(tiny / "train_noisy" / "n.wav")
    (tiny / "train_noisy.csv").write_text("fname,labels\nn.wav,A\n")
    found = problems(tiny, skip_bad=True)
    assert len(found) == 1
    assert "train_noisy.csv has 1 usable clip, and 5 folds need at least 2" in found[0]


def test_groups_hold_across_curated_and_noisy_clips(tiny: Path, audio_writer: Writer) -> None:
    """Otherwise noisy clips of the speakers that a fold scores are trained on."""
    for index in range(20):
        audio_writer(tiny / "train_noisy" / f"n{index}.wav", seed=100 + index)
    curated = "".join(f"a{index}.wav,A,s{index // 2}\n" for index in range(10))
    noisy = "".join(f"n{index}.wav,B,s{index // 2}\n" for index in range(20))  # s5 and later are noisy alone
    (tiny / "train_curated.csv").write_text("fname,labels,speaker\n" + curated)
    (tiny / "train_noisy.csv").write_text("fname,labels,speaker\n" + noisy)
    before = build_manifest(tiny, DataSettings(group_by="speaker"))
    clips = before.clips[before.clips["subset"] != "test"]
    assert (clips.groupby("group")["fold"].nunique() == 1).all()
    assert set(before.subset("curated")["fold"]) == set(range(5))
    assert not any("speaker" in note for note in before.notes)
    (tiny / "train_noisy.csv").write_text("fname,labels\n" + "".join(f"n{index}.wav,B\n" for index in range(20)))
    alone = build_manifest(tiny, DataSettings(group_by="speaker"))
    assert "train_noisy.csv has no column 'speaker': its clips are trained on although" in "".join(alone.notes)
    assert alone.subset("curated")["fold"].tolist() == before.subset("curated")["fold"].tolist()


def test_copies_of_a_recording_are_in_one_fold(tiny: Path, audio_writer: Writer) -> None:
    for index in range(6):
        audio_writer(tiny / "train_noisy" / f"n{index}.wav", seed=100 + index)
    shutil.copy(tiny / "train_curated" / "a3.wav", tiny / "train_noisy" / "n4.wav")
    shutil.copy(tiny / "train_curated" / "a3.wav", tiny / "train_curated" / "a7.wav")
    (tiny / "train_noisy.csv").write_text("fname,labels\n" + "".join(f"n{index}.wav,B\n" for index in range(6)))
    plain = kfold(10, 5, 42)
    for seed in range(3):
        clips = build_manifest(tiny, DataSettings(fold_seed=seed)).clips
        assert (clips.groupby("sha256")["fold"].nunique() == 1).all()
    manifest = build_manifest(tiny, DataSettings())
    assert "= train_noisy/n4.wav: one fold has all copies; keep one" in manifest.notes[0]
    folds = manifest.subset("curated")["fold"].to_numpy()
    others = [index for index in range(10) if index != 7]
    np.testing.assert_array_equal(folds[others], plain[others])
    assert folds[7] == plain[3]


def test_copies_that_leave_a_fold_empty_are_refused(tiny: Path) -> None:
    for index in range(1, 8):
        shutil.copy(tiny / "train_curated" / "a0.wav", tiny / "train_curated" / f"a{index}.wav")
    assert "copies of recordings stay together: at least 5 are needed" in problems(tiny)[0]


def test_groups_that_are_trained_on_and_tested_are_noted(tiny: Path, audio_writer: Writer) -> None:
    (tiny / "vocabulary.csv").unlink()
    audio_writer(tiny / "test" / "t.wav", seed=99)
    rows = "".join(f"a{index}.wav,{'AB'[index % 2]},{index // 2}\n" for index in range(10))
    (tiny / "train_curated.csv").write_text("fname,labels,A\n" + rows)
    (tiny / "sample_submission.csv").write_text("fname,A,B\nt.wav,3,0\n")
    manifest = build_manifest(tiny, DataSettings(group_by="A"))
    assert "1 group of 'A' has clips to train on and test clips, such as 3: test scores may be" in manifest.notes[-1]

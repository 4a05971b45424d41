"""Published datasets in small, as their archives unpack: what `init` makes of them, and what `check` then reads."""

from pathlib import Path

import pytest

from features.datasets.description import Dataset
from features.datasets.find import find_layout
from features.datasets.init import init
from features.datasets.known import known_dataset
from features.manifest import Manifest, build_manifest
from features.settings import DataSettings
from features.synthetic import generate
from tests.features.datasets.conftest import Clip, Text


def read(root: Path, folds: int = 2) -> Manifest:
    """The manifest of a folder after `init`, which must find nothing odd."""
    made = init(root)
    assert made.written
    assert made.problems == ()
    return build_manifest(root, DataSettings(folds=folds))


def numbers(manifest: Manifest) -> dict[str, int]:
    return {name: len(manifest.subset(name)) for name in ("curated", "noisy", "test")}


def esc50(clip: Clip, text: Text) -> None:
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for index in range(10):
        name = f"{index % 5 + 1}-{100 + index}-A-{index % 2}.wav"
        clip(f"ESC-50-master/audio/{name}")
        esc10 = "True" if index < 5 else "False"
        rows.append(f"{name},{index % 5 + 1},{index % 2},{'dog' if index % 2 else 'clapping hands'},{esc10},{index},A")
    text("ESC-50-master/meta/esc50.csv", "\n".join(rows) + "\n")


def test_esc50_keeps_its_folds_and_groups(root: Path, clip: Clip, text: Text) -> None:
    esc50(clip, text)
    manifest = read(root, folds=5)
    assert manifest.classes == ("clapping hands", "dog")
    assert manifest.clips["path"][0] == "ESC-50-master/audio/1-100-A-0.wav"
    for row in manifest.clips.itertuples():
        assert row.fold == int(row.clip[0]) - 1
    layout = find_layout(root)
    assert layout.group_by == "group"
    assert {row.columns["group"] for row in layout.parts["curated"].rows} == {str(index) for index in range(10)}


def test_esc10_is_a_line_of_its_dataset_yaml(root: Path, clip: Clip, text: Text) -> None:
    esc50(clip, text)
    init(root)
    path = root / "dataset.yaml"
    path.write_text(path.read_text() + "  where: {esc10: 'True'}\n")
    assert numbers(build_manifest(root, DataSettings(folds=5))) == {"curated": 5, "noisy": 0, "test": 0}


def test_urbansound8k(root: Path, clip: Clip, text: Text) -> None:
    rows = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    for index in range(20):
        name = f"{index // 2}-3-0-{index}.wav"
        clip(f"UrbanSound8K/audio/fold{index // 2 + 1}/{name}")
        rows.append(f"{name},{index // 2},0.0,0.1,1,{index // 2 + 1},{index % 2},{('dog_bark', 'siren')[index % 2]}")
    text("UrbanSound8K/metadata/UrbanSound8K.csv", "\n".join(rows) + "\n")
    manifest = read(root, folds=10)
    assert numbers(manifest) == {"curated": 20, "noisy": 0, "test": 0}
    assert manifest.clips["fold"].tolist() == [int(name[4 : name.index("/")]) - 1 for name in manifest.clips["clip"]]
    assert manifest.clips.groupby("group")["fold"].nunique().max() == 1
    again = build_manifest(root, DataSettings(folds=5))
    assert again.notes == (
        f"the 10 official folds of {root}/UrbanSound8K/metadata/UrbanSound8K.csv are put together as 5 folds",
    )


def test_fsd50k_has_dev_and_eval_clips(root: Path, clip: Clip, text: Text) -> None:
    names = ("Bark", "Animal")
    for part, more in (("dev", ",split"), ("eval", "")):
        rows = [f"fname,labels,mids{more}"]
        for index in range(6):
            name = f"{9 if part == 'eval' else 1}{index}"
            clip(f"FSD50K.{part}_audio/{name}.wav")
            rows.append(f'{name},"{",".join(names[: 1 + index % 2])}","/m/1"{",train" if more else ""}')
        text(f"FSD50K.ground_truth/{part}.csv", "\n".join(rows) + "\n")
    text("FSD50K.ground_truth/vocabulary.csv", "0,Bark,/m/1\n1,Animal,/m/2\n")
    manifest = read(root)
    assert manifest.classes == names
    assert numbers(manifest) == {"curated": 6, "noisy": 0, "test": 6}
    assert manifest.subset("curated")["labels"].tolist() == [list(names[: 1 + i % 2]) for i in range(6)]
    assert manifest.subset("test")["labels"].tolist() == [[]] * 6
    assert find_layout(root).parts["test"].rows[1].labels == names


@pytest.mark.parametrize("form", ["zenodo", "kaggle"])
def test_fsdkaggle2018_parts_what_was_verified(form: str, root: Path, clip: Clip, text: Text) -> None:
    train, test = ("FSDKaggle2018.audio_train", "FSDKaggle2018.audio_test")
    csv = "FSDKaggle2018.meta/train_post_competition.csv"
    test_csv = "FSDKaggle2018.meta/test_post_competition_scoring_clips.csv"
    if form == "kaggle":
        train, test, csv, test_csv = "audio_train", "audio_test", "train.csv", "sample_submission.csv"
    rows = ["fname,label,manually_verified"]
    for index in range(8):
        clip(f"{train}/{index}.wav")
        rows.append(f"{index}.wav,{('Cello', 'Gong')[index % 2]},{int(index < 4)}")
    text(csv, "\n".join(rows) + "\n")
    clip(f"{test}/t.wav")
    text(test_csv, "fname,label\nt.wav," + ("Gong" if form == "zenodo" else "Laughter Hi-Hat Flute") + "\n")
    manifest = read(root)
    assert numbers(manifest) == {"curated": 4, "noisy": 4, "test": 1}
    assert find_layout(root).parts["test"].rows[0].labels == (("Gong",) if form == "zenodo" else ())


@pytest.mark.parametrize("form", ["kaggle", "zenodo"])
def test_the_challenge_reads_the_same_with_a_dataset_yaml(form: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    generate(root, seed=7, curated=8, noisy=6, test=4)
    if form == "zenodo":
        meta = root / "FSDKaggle2019.meta"
        meta.mkdir()
        for part in ("train_curated", "train_noisy", "test"):
            (root / part).rename(root / f"FSDKaggle2019.audio_{part}")
            csv = root / ("test_labels.csv" if part == "test" else f"{part}.csv")
            csv.rename(meta / f"{part}_post_competition.csv")
        (root / "sample_submission.csv").unlink()
        classes = ("Siren", "Tone", "Chirp_down", "Chirp_up", "Clicks", "Noise_bursts")
        (meta / "vocabulary.csv").write_text("".join(f"{i},{name}\n" for i, name in enumerate(classes)))
    settings = DataSettings(folds=2)
    before = build_manifest(root, settings)
    assert read(root).content_hash() == before.content_hash()
    assert bool(find_layout(root).parts["test"].rows[0].labels) == (form == "zenodo")


def test_other_folders_are_not_known(root: Path, clip: Clip, text: Text) -> None:
    clip("audio/a.wav")
    text("meta/esc50.csv", "filename,category\na.wav,dog\n")
    text("train.csv", "fname,label\na.wav,dog\n")
    assert known_dataset(root) is None


def test_descriptions_survive_being_written(root: Path, clip: Clip, text: Text) -> None:
    esc50(clip, text)
    init(root)
    known = known_dataset(root)
    assert known is not None
    assert Dataset.read(root / "dataset.yaml") == known[0]

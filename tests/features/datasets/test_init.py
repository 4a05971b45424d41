from pathlib import Path

import pytest

from features.datasets.find import find_layout
from features.datasets.init import init
from features.errors import DataError, InputError
from tests.features.datasets.conftest import Clip, Text


@pytest.fixture
def folders(root: Path, clip: Clip) -> Path:
    """Four clips, a folder per class."""
    for name in ("dog/1.wav", "dog/2.wav", "cat/3.wav", "cat/4.wav"):
        clip(name)
    return root


def test_it_says_what_is_there_and_writes_it_down(folders: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folders.rglob("*.wav")}
    made = init(folders)
    assert made.found == (f"{folders}: a folder per class; 2 classes: cat, dog", "curated: 4 clips, a folder per class")
    assert (made.written, made.notes, made.problems) == (True, (), ())
    assert made.path.read_text().splitlines()[1:] == ["about: a folder per class", "curated:", "  audio: ."]
    assert {path: path.stat().st_mtime_ns for path in folders.rglob("*.wav")} == before
    assert [path.name for path in folders.iterdir() if path.is_file()] == ["dataset.yaml"]
    assert made.as_dict()["dataset"]["curated"][0]["audio"] == "."
    assert made.clips == {"curated": 4}


def test_a_dataset_yaml_is_not_replaced_silently(folders: Path, clip: Clip, text: Text) -> None:
    assert init(folders).written
    assert not init(folders).written
    text("dataset.yaml", "classes: [dog, cat]\ncurated: {}\n")
    with pytest.raises(InputError, match="is there already and differs in classes from what is found now: keep it, or"):
        init(folders)
    assert find_layout(folders).classes == ("dog", "cat")
    text("dataset.yaml", "curated: 3\n")
    with pytest.raises(InputError, match="it was not replaced: correct it, or replace it with --force"):
        init(folders)
    assert init(folders, force=True).written
    assert find_layout(folders).classes == ("cat", "dog")


def test_a_dataset_yaml_that_is_a_link_stays(folders: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("")
    (folders / "dataset.yaml").symlink_to(target)
    with pytest.raises(InputError, match="is not a regular file"):
        init(folders, force=True)
    assert target.read_text() == ""


def test_missing_unlisted_and_wrong_rows_are_counted(root: Path, clip: Clip, text: Text) -> None:
    for name in "abcdef":
        clip(f"{name}.wav")
    text("l.csv", "f,label\na.wav,x\nb.wav,y\nc.wav,x\nd.wav,y\n../e.wav,x\ngone.wav,y\nlost.wav,x\n")
    (root / "b.wav").write_text("text")
    (root / "c.wav").write_bytes(b"")
    made = init(root)
    assert made.found[1] == "curated: 6 clips, l.csv; labels in column label"
    assert made.notes == (
        f"2 files of 6 that {root}/l.csv lists for curated are missing: gone.wav, lost.wav",
        "2 files of 6 for curated cannot be read: b.wav, c.wav ('sonogrid check' says why)",
        f"{root} has 2 audio files that no list names; ignored: e.wav, f.wav",
    )
    assert len(made.problems) == 1
    assert "line 6 names '../e.wav', which leaves the folder data" in made.problems[0]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ([], "holds no audio files"),
        (["a.zip"], "holds no audio files: unpack its zip files first"),
        (["a.m4a", "b.mp4"], "holds only .m4a, .mp4: convert them to WAV or FLAC"),
        (["a.wav", "b.wav"], "holds 2 audio files, but no list whose column names them"),
        (["dog/a.wav"], "holds 1 audio file, but no list"),
    ],
)
def test_what_is_no_dataset_is_refused_and_nothing_is_written(
    files: list[str], sentence: str, root: Path, clip: Clip, text: Text
) -> None:
    for name in files:
        (clip if name.endswith(".wav") else lambda name: text(name, ""))(name)
    with pytest.raises(DataError, match=sentence):
        init(root)
    assert not (root / "dataset.yaml").exists()


def test_a_folder_is_wanted(root: Path) -> None:
    with pytest.raises(InputError, match="is not a folder; name the folder that holds the audio"):
        init(root / "nowhere")

from pathlib import Path

import pytest

from features.datasets.tree import walk
from features.errors import DataError
from tests.features.datasets.conftest import Clip, Text


def test_audio_is_known_by_its_ending_and_hidden_files_are_left_out(root: Path, clip: Clip, text: Text) -> None:
    for name in ("b/2.WAV", "a/1.flac", "top.wav"):
        clip(name)
    for name in ("list.csv", "b/x.m4a", "b/y.MP4", "b/.z.wav", "__MACOSX/b/2.wav", ".git/3.wav"):
        text(name, "")
    tree = walk(root)
    assert tree.audio == ("a/1.flac", "b/2.WAV", "top.wav")
    assert tree.others == ("b/x.m4a", "b/y.MP4", "list.csv")
    assert tree.unreadable() == {".m4a": 1, ".mp4": 1}
    assert walk(root, [root / "b"]).audio == ("a/1.flac", "top.wav")


def test_links_to_folders_are_named_and_not_followed(root: Path, clip: Clip, tmp_path: Path) -> None:
    clip("a/1.wav")
    (root / "loop").symlink_to(root)
    (root / "out").symlink_to(tmp_path)
    tree = walk(root)
    assert (tree.audio, tree.links) == (("a/1.wav",), ("loop", "out"))


def test_too_many_files_are_refused(root: Path, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("features.datasets.tree.MOST_ROWS", 1)
    clip("1.wav")
    clip("2.wav")
    with pytest.raises(DataError, match="more than 1 files"):
        walk(root)

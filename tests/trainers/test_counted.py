"""Counts that are kept in a file."""

import json
import sys
from pathlib import Path

import pytest

from trainers import counted as module
from trainers.counted import counted
from trainers.settings import ResNetSettings

TINY = ResNetSettings(depth=10, width=4, head_units=8)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "sonogrid" / "counts.json"


def begin_process() -> None:
    """Forget what this process has counted and read."""
    module._known.cache_clear()


def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trainers.counts", None)  # importing it raises


def test_a_count_is_made_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crop = counted("crop", TINY, 5, 32, 16)
    head = counted("head", TINY, 5, 16)
    assert crop != counted("crop", TINY, 5, 64, 16)
    without_torch(monkeypatch)
    assert counted("crop", TINY, 5, 32, 16) == crop
    begin_process()
    assert counted("crop", TINY, 5, 32, 16) == crop
    assert counted("head", TINY, 5, 16) == head
    with pytest.raises(ImportError):
        counted("crop", TINY, 6, 32, 16)
    with pytest.raises(ImportError):
        counted("crop", TINY.model_copy(update={"width": 5}), 5, 32, 16)
    assert [path.name for path in file.parent.iterdir()] == ["counts.json"], "no temporary file is left"


def test_what_another_process_wrote_meanwhile_is_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted("shortest", TINY, 16)
    other = json.loads(file.read_text())
    other["counts"]["of another process"] = [7]
    file.write_text(json.dumps(other))
    counted("head", TINY, 5, 16)
    assert json.loads(file.read_text())["counts"]["of another process"] == [7]


@pytest.mark.parametrize("text", ["", "[]", '{"made_by": "x", "counts": []}', '{"made_by": 1}', "damaged"])
def test_a_damaged_file_is_replaced(file: Path, text: str) -> None:
    right = counted("shortest", TINY, 16)
    good = file.read_text()
    file.write_text(text)
    begin_process()
    assert counted("shortest", TINY, 16) == right
    assert file.read_text() == good
    for bad in ([], ["1"], [True], 3):
        found = json.loads(good)
        found["counts"] = dict.fromkeys(found["counts"], bad)
        file.write_text(json.dumps(found))
        begin_process()
        assert counted("shortest", TINY, 16) == right


def test_counts_of_other_code_are_not_used(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = counted("shortest", TINY, 16)
    found = json.loads(file.read_text())
    found["counts"] = {key: [99] for key in found["counts"]}
    file.write_text(json.dumps(found))
    begin_process()
    assert counted("shortest", TINY, 16) == (99,)
    monkeypatch.setattr(module, "_made_by", lambda: "another version")
    begin_process()
    assert counted("shortest", TINY, 16) == right


def test_a_folder_that_cannot_be_written_does_not_matter(file: Path) -> None:
    file.parent.write_text("a file where the folder should be")
    assert counted("shortest", TINY, 16) == counted("shortest", TINY, 16)


def test_the_place_is_that_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = tmp_path / ".cache" / "sonogrid" / "counts.json"
    for named in ("", "relative/folder"):
        monkeypatch.setenv("XDG_CACHE_HOME", named)
        assert module._place() == expected
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert module._place() == expected

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert module._place() is None
    begin_process()
    assert counted("shortest", TINY, 16)

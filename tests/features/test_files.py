"""Files are whole or not there, and hashes do not depend on the order of keys."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from features import files
from features.errors import StoreError
from features.files import (
    atomic,
    canonical_json,
    create,
    hash_of,
    load_npy,
    read_json,
    save_npy,
    sha256_file,
    write_json,
)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    with atomic(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.suffix == ".txt"
    assert path.read_text() == "whole"
    with pytest.raises(UnicodeEncodeError), atomic(path) as temporary:
        temporary.write_text("half\ud800", encoding="utf-8")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_hashes_of_equal_values_are_equal(tmp_path: Path) -> None:
    assert canonical_json({"b": [1], "a": "ü"}) == '{"a":"ü","b":[1]}'
    assert hash_of({"a": 1, "b": 2}) == hash_of({"b": 2, "a": 1})
    assert hash_of([1]) != hash_of([2])
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256_file(tmp_path / "f").startswith("ba7816bf8f01cfea")


def test_json_round_trip_and_its_faults(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": [1, "ü"]})
    assert read_json(tmp_path / "a.json") == {"x": [1, "ü"]}
    with pytest.raises(StoreError, match="is missing"):
        read_json(tmp_path / "b.json")
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(StoreError, match="is damaged: it is not JSON"):
        read_json(tmp_path / "c.json")
    (tmp_path / "d.json").mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        read_json(tmp_path / "d.json")


def test_arrays_round_trip_and_nothing_is_unpickled(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    save_npy(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(load_npy(tmp_path / "a.npy"), array)
    mapped = load_npy(tmp_path / "a.npy", mmap=True)
    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "short.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-4])
    for name, words in (("objects", "damaged"), ("short", "damaged"), ("none", "missing")):
        with pytest.raises(StoreError, match=words):
            load_npy(tmp_path / f"{name}.npy")


@pytest.mark.parametrize("way", ["link", "rename", "exclusively"])
def test_of_many_that_create_a_file_one_succeeds(tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "link" if way != "link" else "", "rename" if way == "exclusively" else "")
    for number in range(20):
        with ThreadPoolExecutor(8) as pool:
            made = [*pool.map(lambda who, n=number: create(tmp_path / "in" / f"{n}", b"%d" % who), range(8))]
        assert made.count(True) == 1
        assert (tmp_path / "in" / f"{number}").read_bytes() == b"%d" % made.index(True)
    assert len([*(tmp_path / "in").iterdir()]) == 20, "no temporary file is left"


def without(monkeypatch: pytest.MonkeyPatch, *ways: str) -> None:
    """A file system that can't make files in some ways."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    if "link" in ways:
        monkeypatch.setattr(os, "link", refuse)
    if "rename" in ways:
        monkeypatch.setattr(files, "_rename_to_new", lambda *_: None)


def test_without_hard_links_a_file_appears_with_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "link")
    path = tmp_path / "claim.json"
    monkeypatch.setattr(files, "_create_exclusively", lambda *_: pytest.fail("others would see an empty file"))
    assert create(path, b"{}")
    assert not create(path, b"[]")
    assert path.read_bytes() == b"{}"
    with pytest.raises(FileNotFoundError):
        files._rename_to_new(tmp_path / "missing", tmp_path / "new")
    assert [*tmp_path.iterdir()] == [path]


def test_a_folder_that_is_removed_at_this_moment_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`mkdir` finds it, and when it looks whether that is a folder, it is gone."""

    def mkdir(path: Path, **_: object) -> None:
        raise FileExistsError(errno.EEXIST, "File exists", str(path))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "gone" / "file"):
        pass
    with pytest.raises(FileNotFoundError):
        create(tmp_path / "gone" / "file", b"")
    monkeypatch.undo()
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        create(tmp_path / "file" / "below", b"")

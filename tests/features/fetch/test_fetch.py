"""From a server to a dataset that `init` and `check` take, with every break on the way."""

import fcntl
import hashlib
import json
import os
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import sonogrid
from features.errors import DataError, FetchError, InputError
from features.fetch import fetch as module
from features.fetch.fetch import fetch
from features.fetch.sources import DATASETS
from orchestrator.cli.main import main
from tests.features.fetch.conftest import Told
from tests.fixtures.file_server import FileServer
from tests.fixtures.zips import cut, zipped

ESC50 = "/karolpiczak/ESC-50/archive/33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6.zip"
API = "/api/records/3612637"


@pytest.fixture(scope="module")
def published(demo: Path) -> dict[str, bytes]:
    """The archives of FSDKaggle2019 by name, with generated audio; the noisy clips' in seven pieces."""
    data = demo
    lists = {"train_curated": "train_curated", "train_noisy": "train_noisy", "test": "test_labels"}
    meta = {
        f"FSDKaggle2019.meta/{part}_post_competition.csv": (data / f"{name}.csv").read_bytes()
        for part, name in lists.items()
    }
    header = (data / "sample_submission.csv").read_text().splitlines()[0].split(",")[1:]
    meta["FSDKaggle2019.meta/vocabulary.csv"] = "".join(f"{i},{name}\n" for i, name in enumerate(header)).encode()
    found = {
        "FSDKaggle2019.doc.zip": zipped({"FSDKaggle2019.doc/README.md": b"about", "__MACOSX/._x": b""}),
        "FSDKaggle2019.meta.zip": zipped(dict(meta)),
    }
    for part in lists:
        folder = f"FSDKaggle2019.audio_{part}"
        audio = zipped({f"{folder}/{path.name}": path.read_bytes() for path in (data / part).iterdir()})
        if part != "train_noisy":
            found[f"{folder}.zip"] = audio
            continue
        pieces = cut(audio, len(audio) // 7 + 1)
        names = [*(f"{folder}.z{number:02}" for number in range(1, 7)), f"{folder}.zip"]
        found |= dict(zip(names, pieces, strict=True))
    return found


@pytest.fixture
def zenodo(server: FileServer, published: dict[str, bytes]) -> FileServer:
    listed = [
        {"key": name, "size": len(data), "checksum": f"md5:{hashlib.md5(data).hexdigest()}"}
        for name, data in published.items()
    ]
    server.files = {f"{API}/files/{name}/content": data for name, data in published.items()}
    server.files[API] = json.dumps({"files": listed}).encode()
    return server


def files_of(server: FileServer) -> list[str]:
    return [asked.path.removeprefix(f"{API}/files/").removesuffix("/content") for asked in server.asked]


def test_the_challenges_data(zenodo: FileServer, tmp_path: Path, told: Told) -> None:
    data = tmp_path / "data"
    fetched = fetch("FSDKaggle2019", data, told, server=zenodo.url, patience=told.patience)
    assert {path.name for path in data.iterdir()} == {*fetched.folders} == {
        "FSDKaggle2019.doc", "FSDKaggle2019.meta", "FSDKaggle2019.audio_train_curated", "FSDKaggle2019.audio_test",
        "FSDKaggle2019.audio_train_noisy",
    }  # fmt: skip
    assert told.sentences[0] == "FSDKaggle2019 from https://zenodo.org/records/3612637: 11 files, 0.0 GB"
    summary = sonogrid.check(data)
    clips = {name: subset.clips for name, subset in summary.subsets.items()}
    assert clips == {"curated": 14, "noisy": 12, "test": 4}
    assert sonogrid.init(data).written
    assert sonogrid.check(data).as_dict() == summary.as_dict()
    zenodo.asked.clear()
    fetch("fsdkaggle2019", data, told, server=zenodo.url, patience=told.patience)
    assert not zenodo.asked
    assert told.sentences[-1] == f"{data} has FSDKaggle2019 already"


def test_a_call_that_was_broken_off_is_continued(zenodo: FileServer, tmp_path: Path, told: Told) -> None:
    gone = f"{API}/files/FSDKaggle2019.audio_train_noisy.z03/content"
    content = zenodo.files.pop(gone)
    with pytest.raises(FetchError, match="z03/content answers 404 Not Found"):
        fetch("fsdkaggle2019", tmp_path, told, server=zenodo.url, patience=told.patience)
    kept = {path.name for path in (tmp_path / ".fetch").iterdir()}
    assert kept >= {"FSDKaggle2019.audio_train_noisy.z01", "FSDKaggle2019.audio_train_noisy.z02"}
    zenodo.files[gone] = content
    zenodo.asked.clear()
    fetch("fsdkaggle2019", tmp_path, told, server=zenodo.url, patience=told.patience)
    noisy = "FSDKaggle2019.audio_train_noisy"
    assert files_of(zenodo) == [API, *(f"{noisy}.z{part:02}" for part in range(3, 7)), f"{noisy}.zip"]
    assert not (tmp_path / ".fetch").exists()
    assert len(list((tmp_path / noisy).iterdir())) == 12


@pytest.mark.parametrize("below", ["", "ESC-50-33c8/"])
def test_esc50(below: str, demo: Path, server: FileServer, tmp_path: Path, told: Told) -> None:
    clips = sorted((demo / "train_curated").iterdir())
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    rows += [f"{clip.name},{i % 5 + 1},0,{'dog' if i % 2 else 'cat'},True,{i},A" for i, clip in enumerate(clips)]
    members = {f"{below}audio/{clip.name}": clip.read_bytes() for clip in clips}
    server.files[ESC50] = zipped({**members, f"{below}meta/esc50.csv": "\n".join(rows).encode()})
    server.length = server.ranges = False
    server.break_after = [50_000]
    data = tmp_path / "data"
    fetched = fetch("esc50", data, told, server=server.url, patience=told.patience)
    assert fetched.licence.startswith("CC BY-NC")
    assert [path.name for path in data.iterdir()] == ["ESC-50"]
    assert sonogrid.init(data).dataset.about == "ESC-50"
    assert sonogrid.check(data).subsets["curated"].clips == 14


def test_an_archive_without_a_checksum_that_is_damaged(server: FileServer, tmp_path: Path, told: Told) -> None:
    server.files[ESC50] = b"<html>busy</html>"
    with pytest.raises(FetchError) as caught:
        fetch("esc50", tmp_path, told, server=server.url, patience=told.patience)
    assert str(caught.value) == (
        "33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6.zip is no whole zip archive (File is not a zip file); the archive "
        "was removed: run the same command again"
    )
    assert {path.name for path in (tmp_path / ".fetch").iterdir()} == {"lock"}


def test_a_published_archive_that_cannot_be_trusted(zenodo: FileServer, tmp_path: Path, told: Told) -> None:
    bad = zipped({"../../out.md": b"x"})
    zenodo.files[f"{API}/files/FSDKaggle2019.doc.zip/content"] = bad
    record = json.loads(zenodo.files[API])
    for file in record["files"]:
        if file["key"] == "FSDKaggle2019.doc.zip":
            file |= {"size": len(bad), "checksum": f"md5:{hashlib.md5(bad).hexdigest()}"}
    zenodo.files[API] = json.dumps(record).encode()
    with pytest.raises(FetchError, match=r"leads out of the folder: it is not unpacked, although its MD5 is the publ"):
        fetch("fsdkaggle2019", tmp_path / "data", told, server=zenodo.url, patience=told.patience)
    assert not list(tmp_path.rglob("out.md"))


def test_a_file_that_the_record_no_longer_has(zenodo: FileServer, tmp_path: Path, told: Told) -> None:
    record = json.loads(zenodo.files[API])
    zenodo.files[API] = json.dumps({"files": record["files"][1:]}).encode()
    with pytest.raises(FetchError) as caught:
        fetch("fsdkaggle2019", tmp_path, told, server=zenodo.url, patience=told.patience)
    assert str(caught.value) == (
        "https://zenodo.org/records/3612637 has no file FSDKaggle2019.doc.zip any more: look whether the dataset was "
        "changed"
    )


@pytest.mark.parametrize("step", ["downloading", "unpacking"])
def test_a_disk_that_is_too_small_is_said_before(
    step: str, zenodo: FileServer, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    answers = {"downloading": iter([1_000]), "unpacking": iter([10**9, 1])}[step]
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage(next(answers)))
    with pytest.raises(DataError) as caught:
        fetch("fsdkaggle2019", tmp_path, told, server=zenodo.url, patience=told.patience)
    assert str(caught.value).startswith(f"{tmp_path} has 0.0 GB free and {step} needs 0.0 GB: free some space")
    assert (step == "unpacking") == (tmp_path / ".fetch" / "FSDKaggle2019.doc.zip").exists()


def test_two_processes_do_not_fetch_into_one_folder(tmp_path: Path, told: Told) -> None:
    (tmp_path / ".fetch").mkdir()
    with (tmp_path / ".fetch" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match=r"^another process fetches into .*: wait for it or end it$"):
            fetch("esc50", tmp_path, told, server="http://127.0.0.1:9", patience=told.patience)


@pytest.mark.parametrize("spoil", [lambda data: data.touch(), lambda data: (data.mkdir(), (data / "ESC-50").touch())])
def test_a_folder_that_cannot_be_used(spoil: Callable[[Path], object], tmp_path: Path, told: Told) -> None:
    spoil(tmp_path / "data")
    with pytest.raises(InputError, match="is no folder: "):
        fetch("esc50", tmp_path / "data", told, server="http://127.0.0.1:9", patience=told.patience)


def test_every_dataset_has_folders_of_its_own() -> None:
    for dataset in DATASETS.values():
        folders = [package.folder for package in dataset.packages]
        assert len({*folders}) == len(folders)
        assert os.sep not in "".join(folders)


def test_the_verb_says_what_to_type_next(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(DATASETS, "esc50", replace(DATASETS["esc50"], server=server.url))
    data = tmp_path / "ESC-50"
    assert main(["fetch", "esc-50", str(data)]) == 1
    assert capsys.readouterr().err == (
        f"sonogrid: {server.url}{ESC50} answers 404 Not Found: look whether the dataset has moved\n"
    )
    server.files[ESC50] = zipped({"ESC-50-33c8/meta/esc50.csv": b"x", "ESC-50-33c8/audio/a.wav": b"y"})
    assert main(["fetch", "esc-50", str(data)]) == 0
    said = capsys.readouterr().out
    assert "ESC-50 from https://github.com/karolpiczak/ESC-50: 1 file\n" in said
    assert said.endswith(
        f"next:\n  sonogrid init {data}\n  sonogrid check {data}\n"
        f"  sonogrid launch default --data {data} --out runs/ESC-50\n"
    )
    assert main(["fetch", "esc51", str(data)]) == 2
    assert "did you mean 'esc50'?" in capsys.readouterr().err

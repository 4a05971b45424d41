import json
from pathlib import Path

import pytest

from features.errors import FetchError, InputError
from features.fetch.sources import DATASETS, find_dataset
from tests.features.fetch.conftest import Told
from tests.fixtures.file_server import FileServer

RECORD = "/api/records/3612637"


def test_zenodo_says_which_files_and_checksums(server: FileServer, tmp_path: Path, told: Told) -> None:
    files = [{"key": "a.zip", "size": 7, "checksum": "md5:" + "0f" * 16, "links": {}}]
    server.files[RECORD] = json.dumps({"id": 3612637, "files": files}).encode()
    (tmp_path / "record.json").write_text("of an earlier call")
    (remote,) = DATASETS["fsdkaggle2019"].remotes(server.url, tmp_path, told, told.patience).values()
    assert (remote.name, remote.size, remote.md5) == ("a.zip", 7, "0f" * 16)
    assert remote.url == f"{server.url}{RECORD}/files/a.zip/content"


@pytest.mark.parametrize(
    "answer", ["no JSON", "[]", '{"files": 3}', '{"files": [{"key": "a", "size": 1, "checksum": "sha1:00"}]}']
)
def test_another_answer_is_refused(answer: str, server: FileServer, tmp_path: Path, told: Told) -> None:
    server.files[RECORD] = answer.encode()
    with pytest.raises(FetchError, match="is no list of files as Zenodo publishes it"):
        DATASETS["fsdkaggle2019"].remotes(server.url, tmp_path, told, told.patience)


def test_github_packs_a_commit(tmp_path: Path, told: Told) -> None:
    (remote,) = DATASETS["esc50"].remotes("https://github.com", tmp_path, told, told.patience).values()
    assert remote.url.startswith("https://github.com/karolpiczak/ESC-50/archive/33c8ce9e")
    assert (remote.size, remote.md5) == (None, None)


@pytest.mark.parametrize("typed", ["ESC-50", "esc50", "esc_50"])
def test_a_name_is_found_as_it_is_written(typed: str) -> None:
    assert find_dataset(typed) is DATASETS["esc50"]


def test_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError) as caught:
        find_dataset("fsdkaggle2018")
    assert str(caught.value) == (
        "'fsdkaggle2018' can't be fetched; did you mean 'fsdkaggle2019'? choose one of fsdkaggle2019, esc50"
    )

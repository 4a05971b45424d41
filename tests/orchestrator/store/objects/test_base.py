import errno
from io import BytesIO
from pathlib import Path

import pytest

from features.errors import StoreError
from orchestrator.store.objects.base import CHUNK_BYTES, checked, copy, is_key, os_errors


@pytest.mark.parametrize(("name", "is_one"), [("a", True), ("a/b.c", True), ("", False), ("a//b", False)])
def test_keys_have_no_empty_part(name: str, is_one: bool) -> None:
    assert is_key(name) is is_one


@pytest.mark.parametrize("name", ["/a", "../up", ".hidden", "a/.b", "a/../b", "a/"])
def test_keys_lead_nowhere_else(name: str) -> None:
    with pytest.raises(ValueError, match="is not a key"):
        checked(name)


def test_streams_are_copied_whole() -> None:
    content = bytes(range(256)) * (CHUNK_BYTES // 128)
    target = BytesIO()
    copy(BytesIO(content), target)
    assert target.getvalue() == content


def test_errors_of_the_file_system_are_sentences_and_missing_files_stay_missing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"data: the disk is full: free some space"), os_errors("data"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(FileNotFoundError), os_errors(tmp_path):
        (tmp_path / "nothing").read_bytes()

import errno
import os
from io import BytesIO
from pathlib import Path

import pytest

from features.errors import StoreAwayError, StoreError
from orchestrator.store.objects.base import CHUNK_BYTES, away_errors, checked, copy, is_key, os_errors


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


def test_an_error_without_a_number_is_told_by_its_words() -> None:
    with pytest.raises(StoreError, match=r"data: odd: check that disk, then launch again"), os_errors("data"):
        raise OSError("odd")


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.EIO, "data: the disk cannot be read or written; check it, then launch again"),
        (errno.ESTALE, "data: Stale file handle; check that disk, then launch again"),
    ],
)
def test_a_disk_that_may_be_back_is_away_with_its_advice(number: int, sentence: str) -> None:
    with pytest.raises(StoreAwayError) as caught, away_errors("data"):
        raise OSError(number, os.strerror(number))
    assert str(caught.value) == sentence

"""Every fault of a server on the way to a file, each with the sentence that a user sees."""

import hashlib
import os
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import requests

from features.errors import ADVICE, FetchError
from features.fetch.download import Remote, download
from tests.features.fetch.conftest import Told
from tests.fixtures.file_server import FileServer

CONTENT = os.urandom(250_000)
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


@pytest.fixture
def remote(server: FileServer) -> Remote:
    server.files["/a.zip"] = CONTENT
    return Remote("a.zip", f"{server.url}/a.zip", len(CONTENT), MD5)


def fails(remote: Remote, folder: Path, told: Told) -> str:
    with pytest.raises(FetchError) as caught:
        download(remote, folder, told, told.patience)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_arrives(remote: Remote, server: FileServer, tmp_path: Path, told: Told) -> None:
    assert download(remote, tmp_path, told, told.patience).read_bytes() == CONTENT
    assert told.bytes_of == {"a.zip": len(CONTENT)}
    assert not told.sentences
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    download(remote, tmp_path, told, told.patience)
    assert len(server.asked) == 1, "a file that was checked is not asked for again"


def test_a_connection_that_breaks_is_continued(remote: Remote, server: FileServer, tmp_path: Path, told: Told) -> None:
    server.break_after = [100_000, 70_000]
    assert download(remote, tmp_path, told, told.patience).read_bytes() == CONTENT
    starts = [asked.start for asked in server.asked]
    assert starts[0] == 0
    assert 30_000 < starts[1] <= 100_000, "all but the last block is kept"
    assert starts[1] < starts[2]
    host = server.url.removeprefix("http://")
    assert told.sentences[0] == f"a.zip: {host} broke off after {starts[1]:,} bytes; trying again in 1 s"
    assert told.pauses_s == [1, 1], "each attempt brought something"


def test_a_later_call_continues(remote: Remote, server: FileServer, tmp_path: Path, told: Told) -> None:
    server.break_after = [150_000, *[0] * 6]
    sentence = fails(remote, tmp_path, told)
    kept = (tmp_path / "a.zip.part").stat().st_size
    assert kept > 80_000
    host = server.url.removeprefix("http://")
    assert sentence == (
        f"a.zip: {host} broke off after {kept:,} bytes, 6 times in a row; {kept:,} bytes are kept: run the same "
        "command again to continue"
    )
    assert told.pauses_s == [1, 1, 2, 4, 8, 16]
    assert download(remote, tmp_path, told, told.patience).read_bytes() == CONTENT
    assert server.asked[-1].start == kept


def test_a_server_that_says_nothing_more_is_left(
    remote: Remote, server: FileServer, tmp_path: Path, told: Told
) -> None:
    server.stall_after = [100_000]
    assert download(remote, tmp_path, told, told.patience).read_bytes() == CONTENT
    assert "has sent nothing for 0.5 s; trying again" in told.sentences[0]
    assert server.asked[1].start > 30_000


def test_a_slow_server_is_waited_for(remote: Remote, server: FileServer, tmp_path: Path, told: Told) -> None:
    server.pause_s = 0.03  # 25 blocks: longer than the silence that is allowed
    assert download(remote, tmp_path, told, told.patience).read_bytes() == CONTENT
    assert not told.sentences


def test_wrong_bytes_are_not_taken(remote: Remote, server: FileServer, tmp_path: Path, told: Told) -> None:
    server.files["/a.zip"] = bytes(len(CONTENT))
    found = hashlib.md5(bytes(len(CONTENT)), usedforsecurity=False).hexdigest()
    assert fails(remote, tmp_path, told) == (
        f"{remote.url} sent a file with the MD5 {found}, but {MD5} is published: it was removed; try again later, or "
        "look whether the dataset was changed"
    )
    assert not list(tmp_path.iterdir())


def test_a_mixture_of_two_versions_is_fetched_once_more(
    remote: Remote, server: FileServer, tmp_path: Path, told: Told
) -> None:
    (tmp_path / "a.zip.part").write_bytes(bytes(100_000))
    assert download(remote, tmp_path, told, told.patience).read_bytes() == CONTENT
    assert [asked.start for asked in server.asked] == [100_000, 0]
    assert told.sentences == ["a.zip is not what was published, as parts of it came at different times: once more"]


def test_a_server_without_ranges_begins_again(remote: Remote, server: FileServer, tmp_path: Path, told: Told) -> None:
    server.ranges = False
    server.break_after = [200_000]
    assert download(remote, tmp_path, told, told.patience).read_bytes() == CONTENT
    assert server.asked[1].has_range
    host = server.url.removeprefix("http://")
    assert told.sentences[1:] == [f"a.zip: {host} can't continue a file, so it starts from the beginning"]


def test_without_ranges_breaks_end_in_the_end(remote: Remote, server: FileServer, tmp_path: Path, told: Told) -> None:
    server.ranges = False
    server.break_after = [100_000] * 9
    assert "6 times in a row" in fails(remote, tmp_path, told)


def test_a_part_that_was_not_asked_for_is_refused(
    remote: Remote, server: FileServer, tmp_path: Path, told: Told
) -> None:
    server.break_after = [100_000]
    server.shift = 5
    assert download(remote, tmp_path, told, told.patience).read_bytes() == CONTENT
    assert "sends another part of the file than was asked for; trying again" in told.sentences[1]


@pytest.mark.parametrize("here", [len(CONTENT), len(CONTENT) + 7])
def test_a_file_that_is_whole_or_too_long_already(
    here: int, remote: Remote, server: FileServer, tmp_path: Path, told: Told
) -> None:
    (tmp_path / "a.zip.part").write_bytes((CONTENT + bytes(7))[:here])
    assert download(remote, tmp_path, told, told.patience).read_bytes() == CONTENT
    assert len(server.asked) == (here > len(CONTENT))


def test_more_bytes_than_published_are_not_taken(
    remote: Remote, server: FileServer, tmp_path: Path, told: Told
) -> None:
    server.files["/a.zip"] = CONTENT * 3
    assert fails(remote, tmp_path, told) == (
        f"{remote.url} sends more than the 250,000 bytes that are published: it was removed"
    )
    assert not list(tmp_path.iterdir())


def test_redirects_are_followed(remote: Remote, server: FileServer, tmp_path: Path, told: Told) -> None:
    server.moved = {"/a.zip": f"{server.url}/elsewhere/a.zip"}
    server.files["/elsewhere/a.zip"] = CONTENT
    server.break_after = [100_000]
    assert download(remote, tmp_path, told, told.patience).read_bytes() == CONTENT
    assert [asked.path for asked in server.asked] == ["/a.zip", "/elsewhere/a.zip"] * 2
    assert server.asked[3].start > 0, "the range is asked for there too"


def test_redirects_in_a_circle_end(remote: Remote, server: FileServer, tmp_path: Path, told: Told) -> None:
    server.moved = {"/a.zip": "/b.zip", "/b.zip": "/a.zip"}
    assert fails(remote, tmp_path, told) == (
        f"{remote.url} redirects again and again: look whether the dataset has moved"
    )


def test_encryption_is_not_given_up(
    remote: Remote, server: FileServer, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = requests.Session.get
    monkeypatch.setattr(requests.Session, "get", lambda self, _, **more: real(self, remote.url, **more))
    there = Remote("a.zip", "https://example.org/a.zip", remote.size, remote.md5)
    assert fails(there, tmp_path, told) == (
        "https://example.org/a.zip redirects to a connection without encryption: it is not followed"
    )


def test_a_file_that_is_gone(remote: Remote, server: FileServer, tmp_path: Path, told: Told) -> None:
    server.files.clear()
    assert fails(remote, tmp_path, told) == f"{remote.url} answers 404 Not Found: look whether the dataset has moved"
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_says_how_long_to_wait(
    status: int, remote: Remote, server: FileServer, tmp_path: Path, told: Told
) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    server.refuse = [(status, {"Retry-After": "37"}), (status, {"Retry-After": later}), (status, {})]
    assert download(remote, tmp_path, told, told.patience).read_bytes() == CONTENT
    assert told.pauses_s[0] == 37
    assert 80 < told.pauses_s[1] <= 90
    assert told.pauses_s[2] == 4
    name = {429: "Too Many Requests", 503: "Service Unavailable"}[status]
    assert told.sentences[0].endswith(f"answers {status} {name}; trying again in 37 s")


def test_a_server_that_asks_for_an_hour_is_not_waited_for(
    remote: Remote, server: FileServer, tmp_path: Path, told: Told
) -> None:
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:5_000])
    server.refuse = [(429, {"Retry-After": "3600"})]
    host = server.url.removeprefix("http://")
    assert fails(remote, tmp_path, told) == (
        f"a.zip: {host} answers 429 Too Many Requests and asks to wait 60 minutes; 5,000 bytes are kept: run the same "
        "command again to continue then"
    )
    assert (tmp_path / "a.zip.part").stat().st_size == 5_000


def test_no_server(tmp_path: Path, told: Told) -> None:
    sentence = fails(Remote("a.zip", "http://127.0.0.1:9/a.zip", 5, MD5), tmp_path, told)
    assert sentence == (
        "a.zip: 127.0.0.1:9 can't be reached (Failed to establish a new connection: [Errno 111] Connection refused), 6 "
        "times in a row; 0 bytes are kept: run the same command again to continue"
    )


def test_chunks_without_a_length(remote: Remote, server: FileServer, tmp_path: Path, told: Told) -> None:
    server.length = False
    server.break_after = [100_000]
    unknown = Remote("a.zip", remote.url)
    assert download(unknown, tmp_path, told, told.patience).read_bytes() == CONTENT
    assert "broke off after" in told.sentences[0]


def test_a_full_disk(remote: Remote, server: FileServer, tmp_path: Path, told: Told) -> None:
    part = tmp_path / "a.zip.part"
    part.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        download(remote, tmp_path, told, told.patience)
    assert caught.value.errno in ADVICE
    part.unlink()
    assert download(remote, tmp_path, told, told.patience).read_bytes() == CONTENT

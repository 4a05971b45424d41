"""One file from a server: continued where an earlier call stopped, retried after breaks, checked by its MD5.

`requests` speaks HTTP; the rest is here because no library continues a file: pooch begins again after each break.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from features.errors import FetchError
from features.words import short

__all__ = ["Patience", "Remote", "Silent", "Teller", "download"]

BLOCK = 1 << 16
BUSY = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, *range(500, 600)}
"""Answers after which the same request may succeed later."""
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(frozen=True)
class Remote:
    """A file on a server."""

    name: str
    url: str
    size: int | None = None
    """Bytes; None if the server's owner does not publish it."""
    md5: str | None = None
    """Hexadecimal; None likewise."""


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for."""

    tries: int = 6
    """Attempts in a row that bring nothing new."""
    connect_s: float = 15.0
    silence_s: float = 60.0
    """Seconds without a byte after which a connection is given up."""
    pause_s: float = 1.0
    """Before the second attempt; doubled for each further one."""
    longest_s: float = 600.0
    """Longest pause that a server may ask for."""
    sleep: Callable[[float], None] = time.sleep


class Teller(Protocol):
    """Shows what happens."""

    def say(self, sentence: str) -> None:
        """Something that the user should know."""

    def arrived(self, name: str, done: int, total: int | None) -> None:
        """So many bytes of a file are here."""


class Silent:
    """Shows nothing."""

    def say(self, sentence: str) -> None:
        """Nothing."""

    def arrived(self, name: str, done: int, total: int | None) -> None:
        """Nothing."""


class _BrokenError(Exception):
    """The transfer ended early and may continue; the message is why."""

    def __init__(self, why: str, wait_s: float | None = None) -> None:
        self.wait_s = wait_s
        """Seconds that the server asks to wait."""
        super().__init__(why)


def download(remote: Remote, folder: Path, teller: Teller, patience: Patience) -> Path:
    """Bring a file into a folder. What has arrived of it lies in NAME.part, from which a later call continues.

    Returns:
        The checked file. One that is there already was checked by an earlier call.

    Raises:
        FetchError: the server does not have it, is out of reach, or sends something else; what is usable is kept.
        OSError: the disk is full, for instance; what has arrived is kept.
    """
    path = folder / remote.name
    if path.exists():
        return path
    part = folder / f"{remote.name}.part"
    with requests.Session() as session:
        transfer = _Transfer(remote, part, session, teller, patience)
        transfer.finish()
        if not _is_right(remote, part) and transfer.was_continued:
            teller.say(f"{remote.name} is not what was published, as parts of it came at different times: once more")
            part.unlink()
            transfer.finish()
    if not _is_right(remote, part):
        found = _md5(part)
        part.unlink()
        raise FetchError(
            f"{remote.url} sent a file with the MD5 {found}, but {remote.md5} is published: it was removed; try again "
            "later, or look whether the dataset was changed"
        )
    part.replace(path)
    return path


class _Transfer:
    """Brings one file, over as many connections as it takes."""

    def __init__(
        self, remote: Remote, part: Path, session: requests.Session, teller: Teller, patience: Patience
    ) -> None:
        self.remote, self.part, self.session = remote, part, session
        self.teller, self.patience = teller, patience
        self.host = urlsplit(remote.url).netloc
        self.was_continued = False

    def finish(self) -> None:
        """Ask until the file is whole."""
        furthest, fruitless = self._here(), 0
        while True:
            try:
                self._receive()
                return
            except _BrokenError as broken:
                here = self._here()
                fruitless = 0 if here > furthest else fruitless + 1
                furthest = max(here, furthest)
                self._wait(broken, fruitless)

    def _here(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _wait(self, broken: _BrokenError, fruitless: int) -> None:
        """Pause before the next attempt, unless there have been enough."""
        patience, name = self.patience, self.remote.name
        kept = f"{self._here():,} bytes are kept: run the same command again to continue"
        if broken.wait_s is not None and broken.wait_s > patience.longest_s:
            raise FetchError(f"{name}: {broken} and asks to wait {broken.wait_s / 60:,.0f} minutes; {kept} then")
        if fruitless >= patience.tries:
            raise FetchError(f"{name}: {broken}, {fruitless} times in a row; {kept}")
        pause = patience.pause_s * 2 ** max(0, fruitless - 1) if broken.wait_s is None else broken.wait_s
        self.teller.say(f"{name}: {broken}; trying again in {pause:g} s")
        patience.sleep(pause)

    def _receive(self) -> None:
        """Ask for what is missing, and write what comes."""
        remote, here = self.remote, self._here()
        if here and here == remote.size:
            return
        if here and (remote.size is None or here < remote.size):
            self.was_continued = True
        elif here:  # longer than the file: of another version
            self.part.unlink()
            here = 0
        with self._answer(here) as answer:
            status = answer.status_code
            if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and here:
                self.part.unlink()
                raise _BrokenError(f"{self.host} has not even the {here:,} bytes that are here already")
            if status == HTTPStatus.PARTIAL_CONTENT:
                self._require_start(answer, here)
            elif status != HTTPStatus.OK:
                raise FetchError(f"{remote.url} answers {_words_of(answer)}: look whether the dataset has moved")
            elif here:
                self.teller.say(f"{remote.name}: {self.host} can't continue a file, so it starts from the beginning")
                self.part.unlink()
                here = 0
            self._write(answer, here)

    def _answer(self, here: int) -> requests.Response:
        """The server's answer to a request for the file from a byte on, without its body."""
        # Compressed, a file could not be continued at a byte.
        headers = {"Accept-Encoding": "identity", "User-Agent": "sonogrid"}
        if here:
            headers["Range"] = f"bytes={here}-"
        url, timeouts = self.remote.url, (self.patience.connect_s, self.patience.silence_s)
        try:
            answer = self.session.get(url, headers=headers, stream=True, timeout=timeouts)
        except requests.TooManyRedirects:
            raise FetchError(f"{url} redirects again and again: look whether the dataset has moved") from None
        except requests.exceptions.SSLError as error:
            raise FetchError(f"{self.host} has no valid certificate ({short(str(error))})") from None
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
            raise FetchError(f"{url} leads to an address that can't be used ({short(str(error))})") from None
        except requests.Timeout:
            raise _BrokenError(f"{self.host} does not answer") from None
        except requests.RequestException as error:
            raise _BrokenError(f"{self.host} can't be reached ({short(_root(error))})") from None
        if url.startswith("https:") and any(not at.url.startswith("https:") for at in (*answer.history, answer)):
            answer.close()
            raise FetchError(f"{url} redirects to a connection without encryption: it is not followed")
        if answer.status_code in BUSY:
            answer.close()
            raise _BrokenError(f"{self.host} answers {_words_of(answer)}", _retry_after(answer))
        return answer

    def _require_start(self, answer: requests.Response, here: int) -> None:
        found = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        size = self.remote.size
        if found is None or int(found[1]) != here or (size and found[3] != "*" and int(found[3]) != size):
            self.part.unlink(missing_ok=True)
            raise _BrokenError(f"{self.host} sends another part of the file than was asked for")

    def _write(self, answer: requests.Response, here: int) -> None:
        size = self.remote.size
        try:
            with self.part.open("ab") as file:
                for block in answer.raw.stream(BLOCK, decode_content=False):
                    file.write(block)
                    here += len(block)
                    self.teller.arrived(self.remote.name, here, size)
                    if size is not None and here > size:
                        break
                file.flush()
                os.fsync(file.fileno())
        except ReadTimeoutError:
            raise _BrokenError(f"{self.host} has sent nothing for {self.patience.silence_s:g} s") from None
        except HTTPError:
            raise _BrokenError(f"{self.host} broke off after {self._here():,} bytes") from None
        if size is not None and here > size:
            self.part.unlink()
            raise FetchError(f"{self.remote.url} sends more than the {size:,} bytes that are published: it was removed")
        if size is not None and here < size:
            raise _BrokenError(f"{self.host} broke off after {here:,} bytes")


def _is_right(remote: Remote, part: Path) -> bool:
    return remote.md5 is None or _md5(part) == remote.md5


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _words_of(answer: requests.Response) -> str:
    return short(f"{answer.status_code} {answer.reason}".strip())


def _retry_after(answer: requests.Response) -> float | None:
    """Seconds that a server asks to wait: a number, or a date (RFC 9110, section 10.2.3)."""
    given = answer.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}", given):
        return float(given)
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - time.time())
    except ValueError:
        return None


def _root(error: BaseException) -> str:
    """The innermost cause of an error, without the addresses of objects."""
    while isinstance(error.args[0] if error.args else None, BaseException) or hasattr(error, "reason"):
        inner: Any = getattr(error, "reason", None) or error.args[0]
        if not isinstance(inner, BaseException):
            break
        error = inner
    return re.sub(r"^<.*?>: |^.*?\): ", "", str(error)) or type(error).__name__

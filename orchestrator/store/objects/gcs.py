"""A store on Google Cloud Storage: pyarrow reads and writes; one HTTP request adds its conditional writes.

A read is of one version of the object, an upload appears when its stream is closed. Google's client inside pyarrow
retries transient failures for `PATIENCE_S`.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from typing_extensions import override

from features.errors import InputError, StoreAwayError, StoreError
from features.files import atomic
from orchestrator.store.objects.base import CHUNK_BYTES, ObjectStore, checked, copy, is_key, os_errors

__all__ = ["GcsObjectStore"]

PATIENCE_S = 60.0
PASSING = (408, 429, 500, 502, 503, 504)
"""Answers of a service that may be well later."""
AWAY_CODES = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "RESOURCE_EXHAUSTED", "ABORTED", "UNKNOWN")
"""The same in the words of Google's client."""
EMULATOR = "STORAGE_EMULATOR_HOST"
"""The variable by which Google's clients are sent to an emulator, without credentials."""


class GcsObjectStore(ObjectStore):
    """Objects of a bucket whose names begin with a prefix."""

    def __init__(self, bucket: str, prefix: str) -> None:
        from pyarrow.fs import GcsFileSystem

        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.url = f"gs://{bucket}/{prefix}".rstrip("/")
        self._emulator = os.environ.get(EMULATOR)
        settings: dict[str, Any] = {"retry_time_limit": timedelta(seconds=PATIENCE_S)}
        if self._emulator:
            address = urlsplit(self._emulator)
            settings |= {"anonymous": True, "scheme": address.scheme, "endpoint_override": address.netloc}
        self._fs: Any = GcsFileSystem(**settings)

    def _path(self, key: str) -> str:
        return f"{self.bucket}/{self.prefix}{checked(key)}"

    @override
    def read(self, key: str) -> bytes:
        with self._errors(key), self._fs.open_input_stream(self._path(key)) as source:
            content: bytes = source.read()
        return content

    @override
    def write(self, key: str, data: bytes) -> None:
        with self._writing(key), self._fs.open_output_stream(self._path(key)) as target:
            target.write(data)

    @override
    def create(self, key: str, data: bytes) -> bool:
        """pyarrow can't ask for generation 0, which is 'none yet', so this is a request of our own."""
        import requests

        # Looked up first: an emulator may ignore the condition.
        if self._exists(key):
            return False
        host = self._emulator or "https://storage.googleapis.com"
        try:
            answer = self._session.post(
                f"{host}/upload/storage/v1/b/{self.bucket}/o",
                params={"uploadType": "media", "name": self.prefix + key, "ifGenerationMatch": "0"},
                data=data,
                headers={"Content-Type": "application/octet-stream"},
                timeout=PATIENCE_S,
            )
        except requests.RequestException as error:
            raise StoreAwayError(
                f"{self.where(key)}: no answer from the store ({type(error).__name__})",
                "check the network, then launch again",
            ) from None
        if answer.status_code == 412:
            # An answer may have got lost, and the repeated request found what the first one wrote.
            return bool(answer.raw.retries.history) and self.read(key) == data
        if not answer.ok:
            why = f"{self.where(key)}: the store answers {answer.status_code} {answer.reason}"
            if answer.status_code in PASSING:
                raise StoreAwayError(why, "launch again when the service is well")
            raise StoreError(f"{why}; check the bucket's name and your access to it")
        return True

    @cached_property
    def _session(self) -> Any:
        """Sends requests with the credentials of the environment and repeats what fails in passing."""
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util.retry import Retry

        if self._emulator:
            session = requests.Session()
        else:
            try:
                import google.auth
                from google.auth.transport.requests import AuthorizedSession

                scopes = ["https://www.googleapis.com/auth/devstorage.read_write"]
                session = AuthorizedSession(google.auth.default(scopes=scopes)[0])  # type: ignore[no-untyped-call]
            except ImportError:
                raise InputError("gs:// needs google-auth; install it with: pip install 'sonogrid[cluster]'") from None
            except google.auth.exceptions.DefaultCredentialsError:
                raise StoreError(f"{self.url}: no credentials; set GOOGLE_APPLICATION_CREDENTIALS") from None
        retry = Retry(
            total=5, backoff_factor=0.5, backoff_jitter=0.5, status_forcelist=PASSING, allowed_methods=None,
            raise_on_status=False,
        )  # fmt: skip
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry))
        return session

    def _exists(self, key: str) -> bool:
        from pyarrow.fs import FileType

        with self._errors(key):
            return bool(self._fs.get_file_info(self._path(key)).type == FileType.File)

    @override
    def get(self, key: str, path: Path) -> None:
        with (
            os_errors(path),
            atomic(path) as temporary,
            temporary.open("wb") as file,
            self._errors(key),
            self._fs.open_input_stream(self._path(key)) as source,
        ):
            copy(source, file)

    @override
    def put(self, path: Path, key: str) -> None:
        # A stream of pyarrow publishes what it has got even when its writer fails: to a hidden name first.
        folder, _, name = self._path(key).rpartition("/")
        hidden = f"{folder}/.{name}.{uuid.uuid4().hex[:8]}.tmp"
        with os_errors(path), path.open("rb") as file, self._writing(key):
            try:
                with self._fs.open_output_stream(hidden, buffer_size=CHUNK_BYTES) as target:
                    copy(file, target)
                self._fs.copy_file(hidden, self._path(key))
            finally:
                if self._fs.get_file_info(hidden).is_file:
                    self._fs.delete_file(hidden)

    @override
    def list(self, folder: str = "") -> dict[str, int]:
        from pyarrow.fs import FileSelector

        top = self._path(folder) if folder else f"{self.bucket}/{self.prefix}".rstrip("/")
        with self._errors(folder):
            found = self._fs.get_file_info(FileSelector(top, recursive=True, allow_not_found=True))
        start = len(f"{self.bucket}/{self.prefix}")
        sizes = {info.path[start:]: int(info.size) for info in found if info.is_file}
        return {key: sizes[key] for key in sorted(sizes) if is_key(key)}

    @override
    def delete(self, key: str) -> None:
        with self._errors(key):
            try:
                self._fs.delete_file(self._path(key))
            except FileNotFoundError:
                return

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """Turn pyarrow's errors into those of `ObjectStore`."""
        where = self.where(key) if key else self.url
        try:
            yield
        except FileNotFoundError:
            raise FileNotFoundError(where) from None
        except OSError as error:
            # 'google::cloud::Status(CODE: message error_info={...})'
            cause = " ".join(str(error).split()).partition(" error_info")[0].removeprefix("google::cloud::Status(")
            advice = "check the bucket, your access to it and the network, then launch again"
            if cause.startswith(AWAY_CODES):
                raise StoreAwayError(f"{where}: {cause}", advice) from None
            raise StoreError(f"{where}: {cause}; {advice}") from None

    @contextmanager
    def _writing(self, key: str) -> Iterator[None]:
        try:
            with self._errors(key):
                yield
        except FileNotFoundError:
            raise StoreError(
                f"{self.where(key)}: there is no bucket {self.bucket}; make it or correct its name"
            ) from None

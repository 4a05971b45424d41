"""A store on S3 or a service that speaks its protocol.

Why boto3 and not `pyarrow.fs.S3FileSystem`: seen with pyarrow 25, a read across an overwrite returns the beginning of
the new object at the length of the old one, a writer that fails half-way publishes what it wrote, and a removed object
leaves an empty one named like its folder. It knows no conditional write either. In boto3 a read is one request, a
failed upload is aborted, and `IfNoneMatch` is there.
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from typing_extensions import override

from features.errors import InputError, StoreAwayError, StoreError
from features.files import atomic
from orchestrator.redact import redact
from orchestrator.store.objects.base import ObjectStore, checked, copy, is_key, os_errors

__all__ = ["S3ObjectStore"]

ATTEMPTS = 6
"""Of a call, the first included. Pauses between them are random and at most 1, 2, 4, 8 and 16 s."""
CONNECT_TIMEOUT_S = 10.0
SILENCE_TIMEOUT_S = 60.0
"""Longest time without any data; a slow transfer is not a time-out."""

REMEDIES = {
    "NoSuchBucket": "make the bucket or correct its name",
    "AccessDenied": "grant your key access",
    "403": "grant your key access",
    "InvalidAccessKeyId": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key that is valid",
    "SignatureDoesNotMatch": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key that is valid",
    "ExpiredToken": "get new credentials",
}


@cache
def _descriptions() -> Any:
    """Botocore's loader of the descriptions of services, which keeps what it has read."""
    from botocore.loaders import create_loader

    return create_loader(os.environ.get("AWS_DATA_PATH"))


class S3ObjectStore(ObjectStore):
    """Objects of a bucket whose names begin with a prefix."""

    def __init__(self, bucket: str, prefix: str) -> None:
        try:
            import boto3
            from botocore.config import Config
            from botocore.session import get_session
        except ImportError:
            raise InputError("s3:// needs boto3; install it with: pip install 'sonogrid[cluster]'") from None
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None
        config = Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=SILENCE_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            # Other services often have one host name for all buckets, and refuse checksums they don't know.
            s3={"addressing_style": "path" if endpoint else "auto"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        try:
            # A session of its own: making a client from the default one is not safe between threads. What they share
            # are the descriptions of the service, a megabyte of JSON. Other AWS tools read AWS_REGION, boto3 does not.
            core = get_session()
            descriptions = _descriptions()
            core.register_component("data_loader", descriptions)
            session = boto3.session.Session(region_name=os.environ.get("AWS_REGION"), botocore_session=core)
            descriptions.search_paths[:] = dict.fromkeys(descriptions.search_paths)  # each session adds boto3's again
            self._client: Any = session.client("s3", endpoint_url=endpoint, config=config)
        except ValueError as error:
            raise InputError(f"{self.url}: {error}; correct AWS_ENDPOINT_URL") from None

    def _name(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.prefix + checked(key)}

    @override
    def read(self, key: str) -> bytes:
        content = BytesIO()
        self._download(key, content)
        return content.getvalue()

    @override
    def write(self, key: str, data: bytes) -> None:
        with self._errors(key):
            self._client.put_object(**self._name(key), Body=data)

    @override
    def create(self, key: str, data: bytes) -> bool:
        from botocore.exceptions import ClientError

        condition = {"IfNoneMatch": "*"}
        for attempt in range(ATTEMPTS):
            # Looked up first, so that a service that ignores the condition doesn't replace an old object.
            if self._exists(key):
                return attempt > 0 and self.read(key) == data
            try:
                with self._errors(key, handled=("PreconditionFailed", "ConditionalRequestConflict", "NotImplemented")):
                    self._client.put_object(**self._name(key), Body=data, **condition)
                return True
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code == "PreconditionFailed":
                    repeated = error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0
                    return repeated and self.read(key) == data
                if code == "NotImplemented":
                    condition = {}
                _pause(attempt)
        raise StoreError(f"{self.where(key)}: other writers keep winning; launch again")

    def _exists(self, key: str) -> bool:
        with self._errors(key):
            try:
                self._client.head_object(**self._name(key))
            except self._client.exceptions.ClientError as error:
                if error.response["Error"]["Code"] in ("404", "NoSuchKey", "NotFound"):
                    return False
                raise
        return True

    @override
    def get(self, key: str, path: Path) -> None:
        with os_errors(path), atomic(path) as temporary, temporary.open("wb") as file:
            self._download(key, file)

    @override
    def put(self, path: Path, key: str) -> None:
        with os_errors(path), path.open("rb") as file, self._errors(key):
            self._client.upload_fileobj(file, **self._name(key))

    @override
    def list(self, folder: str = "") -> dict[str, int]:
        prefix = self.prefix + (f"{checked(folder)}/" if folder else "")
        found = {}
        with self._errors(folder):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                for entry in page.get("Contents", []):
                    key = entry["Key"].removeprefix(self.prefix)
                    # Names of other tools: folders made in a browser, hidden files.
                    if is_key(key):
                        found[key] = int(entry["Size"])
        return dict(sorted(found.items()))

    @override
    def delete(self, key: str) -> None:
        with self._errors(key):
            self._client.delete_object(**self._name(key))

    def _download(self, key: str, file: IO[bytes]) -> None:
        """Write an object to an empty file; after a lost connection it continues in the same object where it stopped.

        The client repeats requests by itself. It can't repeat what breaks while the answer's body is read.
        """
        from botocore.exceptions import HTTPClientError, IncompleteReadError

        version: dict[str, str] = {}
        with self._errors(key):
            for attempt in range(ATTEMPTS):
                rest = {**version, "Range": f"bytes={file.tell()}-"} if file.tell() else {}
                try:
                    answer = self._client.get_object(**self._name(key), **rest)
                except self._client.exceptions.ClientError as error:
                    if error.response["Error"]["Code"] not in ("PreconditionFailed", "412") or attempt == ATTEMPTS - 1:
                        raise
                    file.seek(0)  # replaced meanwhile: the new object from its beginning
                    file.truncate()
                    continue
                version = {"IfMatch": answer["ETag"]}
                try:
                    with closing(answer["Body"]) as body:  # its own `with` gives the stream inside, with other errors
                        copy(body, file)
                    return
                except (HTTPClientError, IncompleteReadError):
                    if attempt == ATTEMPTS - 1:
                        raise
                    _pause(attempt)

    @contextmanager
    def _errors(self, key: str, handled: tuple[str, ...] = ()) -> Iterator[None]:
        """Turn boto3's errors into those of `ObjectStore`, but for codes that the caller handles."""
        from botocore import exceptions as boto

        where = self.where(key) if key else self.url
        try:
            yield
        except boto.ClientError as error:
            code = str(error.response["Error"]["Code"])
            if code in handled:
                raise
            if code in ("NoSuchKey", "404"):
                raise FileNotFoundError(where) from None
            status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
            message = redact(error.response["Error"].get("Message") or code)
            passing = status >= 500 or status in (408, 429)
            why = f"{where}: the store answers {status} {code} ({message.rstrip('.')})"
            if passing:
                raise StoreAwayError(why, "launch again when the service is well") from None
            raise StoreError(f"{why}; {REMEDIES.get(code, 'check the settings of the bucket')}") from None
        except (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError) as error:
            raise StoreAwayError(
                f"{where}: no whole answer from the store in {ATTEMPTS} attempts ({type(error).__name__})",
                "check the network and AWS_ENDPOINT_URL, then launch again",
            ) from None
        except boto.BotoCoreError as error:
            cause = " ".join(redact(str(error)).rstrip(".").split())
            raise StoreError(f"{where}: {cause}; set AWS_ACCESS_KEY_ID and the like, or AWS_PROFILE") from None


def _pause(attempt: int) -> None:
    """Wait a random time that may be twice as long after each attempt."""
    time.sleep(random.uniform(0, min(16.0, 0.25 * 2**attempt)))

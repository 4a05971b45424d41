"""Opens the storage that a URL names."""

import re
from pathlib import Path

from features.errors import InputError
from orchestrator.store.objects.base import ObjectStore
from orchestrator.store.objects.local import LocalObjectStore

__all__ = ["open_object_store"]


def open_object_store(root: str | Path) -> ObjectStore:
    """Open a local folder, `s3://bucket/prefix` or `gs://bucket/prefix`; nothing is made or asked yet.

    S3 is configured as for every AWS tool: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_PROFILE`, `AWS_REGION`,
    and `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` for a service other than Amazon's.

    Raises:
        InputError: another scheme, no bucket, credentials in the URL, or boto3 is missing.
    """
    text = str(root)
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", text):
        return LocalObjectStore(Path(text))
    scheme, _, rest = text.partition(":")
    rest = rest.removeprefix("//")
    if scheme not in ("s3", "gs") or f"{scheme}://{rest}" != text:
        raise InputError(
            f"{scheme}:/... can't be a store; give a local folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX"
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]+(/[A-Za-z0-9._=-]+)*/?", rest):
        raise InputError(
            f"the {scheme}:// store must be {scheme}://BUCKET/PREFIX with letters, digits and ._=- only; "
            "credentials belong in the environment"
        )
    bucket, _, prefix = rest.partition("/")
    if scheme == "gs":
        from orchestrator.store.objects.gcs import GcsObjectStore

        return GcsObjectStore(bucket, prefix.strip("/"))
    from orchestrator.store.objects.s3 import S3ObjectStore

    return S3ObjectStore(bucket, prefix.strip("/"))

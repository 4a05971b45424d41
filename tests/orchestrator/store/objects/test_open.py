from pathlib import Path

import pytest

from features.errors import InputError
from orchestrator.store.objects.local import LocalObjectStore
from orchestrator.store.objects.open import open_object_store
from orchestrator.store.objects.s3 import S3ObjectStore


def test_paths_and_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert isinstance(open_object_store(tmp_path), LocalObjectStore)
    found = open_object_store("s3://bucket/a/b/")
    assert isinstance(found, S3ObjectStore)
    assert (found.bucket, found.prefix, found.url) == ("bucket", "a/b/", "s3://bucket/a/b")


@pytest.mark.parametrize("url", ["ftp://host/a", "s3:/bucket/a", "http://user:secret@host/a"])
def test_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(InputError, match="can't be a store") as raised:
        open_object_store(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["s3://", "s3://key:secret@bucket/a", "gs://bucket/a?b"])
def test_names_hold_no_credentials(url: str) -> None:
    with pytest.raises(InputError, match="credentials belong in the environment") as raised:
        open_object_store(url)
    assert "secret" not in str(raised.value)

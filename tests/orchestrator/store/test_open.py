from pathlib import Path

import pytest

from features.errors import InputError
from orchestrator.store import NodeStore
from orchestrator.store.local import LocalNodeStore
from orchestrator.store.open import default_store, open_store
from orchestrator.store.remote import RemoteNodeStore


def test_a_path_is_a_folder_and_a_url_an_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SONOGRID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    local: NodeStore = open_store(tmp_path / "store")
    assert isinstance(local, LocalNodeStore)
    assert local.url == str(tmp_path / "store")
    remote = open_store("s3://bucket/prefix", listed=False)
    assert isinstance(remote, RemoteNodeStore)
    assert remote.url == "s3://bucket/prefix"
    assert remote.root.is_relative_to(tmp_path / "cache")


def test_other_urls_are_refused() -> None:
    with pytest.raises(InputError, match="can't be a store"):
        open_store("ftp://host/folder")


def test_a_run_has_its_store_inside(tmp_path: Path) -> None:
    assert default_store(tmp_path / "run") == str(tmp_path / "run" / "store")

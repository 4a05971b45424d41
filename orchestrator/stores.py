"""Opens the store that a folder's path or a URL names."""

from pathlib import Path

from orchestrator.remote_store import RemoteStore
from orchestrator.store import Store

__all__ = ["open_store"]


def open_store(root: str | Path, *, listed: bool = True) -> Store:
    """The store in a local folder, or under `s3://bucket/prefix` or `gs://bucket/prefix`.

    A worker, which knows its nodes by name, needs no list of all nodes: `listed=False`.

    Raises:
        InputError: the root can't be a store.
    """
    if "://" in str(root):
        return RemoteStore(str(root), listed=listed)
    return Store(Path(root), listed=listed)

"""Where a run's store is, and opening it."""

from pathlib import Path

from orchestrator.store.base import NodeStore
from orchestrator.store.local import LocalNodeStore
from orchestrator.store.remote import CACHE_BYTES, RemoteNodeStore

__all__ = ["default_store", "open_store"]


def open_store(root: str | Path, *, listed: bool = True, cache_bytes: int = CACHE_BYTES) -> NodeStore:
    """The store in a local folder, or under `s3://bucket/prefix` or `gs://bucket/prefix`.

    Args:
        root: folder or URL.
        listed: read the list of all nodes; a worker, which knows its nodes by name, needs none.
        cache_bytes: limit for the finished nodes of an object store on this host's disk.

    Raises:
        InputError: the root can't be a store.
    """
    if "://" in str(root):
        return RemoteNodeStore(str(root), listed=listed, cache_bytes=cache_bytes)
    return LocalNodeStore(Path(root), listed=listed)


def default_store(run: Path) -> str:
    """Where the nodes of a run lie unless another store is named."""
    return str((run / "store").resolve())

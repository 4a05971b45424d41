"""Where a run's store is, and opening it."""

from pathlib import Path

from orchestrator.store.base import NodeStore
from orchestrator.store.local import LocalNodeStore
from orchestrator.store.remote import RemoteNodeStore

__all__ = ["default_store", "open_store"]


def open_store(root: str | Path, *, listed: bool = True) -> NodeStore:
    """The store in a local folder, or under `s3://bucket/prefix` or `gs://bucket/prefix`.

    A worker, which knows its nodes by name, needs no list of all nodes: `listed=False`.

    Raises:
        InputError: the root can't be a store.
    """
    if "://" in str(root):
        return RemoteNodeStore(str(root), listed=listed)
    return LocalNodeStore(Path(root), listed=listed)


def default_store(run: Path) -> str:
    """Where the nodes of a run lie unless another store is named."""
    return str((run / "store").resolve())

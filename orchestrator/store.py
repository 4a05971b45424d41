"""The store: a folder of finished and unfinished nodes, the only truth about a grid.

A node's folder is `<name>-<first 12 digits of its signature>`. `done.json` is written last, by rename: without it a
node is not done. `failed.json` holds the cause of the last failure; `running.json` is there while a job works.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from features.errors import StoreError
from features.files import read_json, sha256_file, write_json
from orchestrator.graph import Node

__all__ = ["State", "Store"]

PREFIX = 12
MARKS = frozenset({"done.json", "failed.json", "running.json", "stop", "placement.json"})


@dataclass(frozen=True)
class State:
    """What the store knows of a node."""

    state: Literal["new", "partial", "failed", "done"]
    cause: str | None = None


class Store:
    """Folders of nodes under one root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._names: dict[str, str] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the list of folders anew."""
        if self.root.is_dir():
            self._names = {entry.name[-PREFIX:]: entry.name for entry in os.scandir(self.root) if entry.is_dir()}

    def folder(self, node: Node) -> Path:
        """The node's folder, whatever name it was made under; made or not."""
        key = node.signature[:PREFIX]
        return self.root / self._names.get(key, f"{node.name}-{key}")

    def folders(self, nodes: Iterable[Node]) -> list[Path]:
        """Folders of several nodes."""
        return [self.folder(node) for node in nodes]

    def state(self, node: Node) -> State:
        """New, partial, failed or done; from the marks in the node's folder."""
        folder = self.folder(node)
        done = folder / "done.json"
        if done.exists():
            if read_json(done).get("signature") != node.signature:
                raise StoreError(f"{folder} belongs to another node; remove it and launch again")
            return State("done")
        failed = folder / "failed.json"
        if failed.exists():
            return State("failed", str(read_json(failed).get("cause", "unknown")))
        return State("partial" if folder.is_dir() and any(folder.iterdir()) else "new")

    def done(self, node: Node) -> dict[str, Any]:
        """The done-mark of a finished node.

        Raises:
            StoreError: the node is not done.
        """
        mark: dict[str, Any] = read_json(self.folder(node) / "done.json")
        return mark


def mark_done(folder: Path, mark: dict[str, Any]) -> None:
    """Finish a node: checksums of all its files go into `done.json`, which is written last."""
    files = sorted(p for p in folder.iterdir() if p.name not in MARKS and not p.name.startswith("."))
    checksums = {p.name: {"sha256": sha256_file(p), "bytes": p.stat().st_size} for p in files}
    write_json(folder / "done.json", {**mark, "files": checksums})
    for name in MARKS - {"done.json"}:
        (folder / name).unlink(missing_ok=True)


def mark_failed(folder: Path, mark: dict[str, Any]) -> None:
    """Leave the cause of a failure."""
    write_json(folder / "failed.json", mark)
    (folder / "running.json").unlink(missing_ok=True)

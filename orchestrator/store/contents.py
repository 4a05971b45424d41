"""What lies in a store that is a folder: each node's state, size, and the runs whose attempts it had."""

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.store.layout import Layout, attempt_folder, claim_file
from orchestrator.store.marks import Failure
from orchestrator.store.node import Kind

__all__ = ["Content", "contents", "remove"]

GONE = ".gone."
"""How the name of a folder begins that is being removed."""
KINDS: tuple[Kind, ...] = ("shard", "train", "predict", "pseudo", "blend")


@dataclass(frozen=True)
class Content:
    """The folder of a node, or of what jobs read and none computes: manifests, encoders."""

    name: str
    state: str
    """done, failed or unfinished."""
    runs: frozenset[str]
    """Ids of the runs that have claimed it (`Claim.run_id`)."""
    n_bytes: int
    changed: float
    """When a file of it was last written, Unix time."""

    @property
    def kind(self) -> str:
        """shard, train, predict, pseudo, blend, or other."""
        first = self.name.partition("-")[0].partition(".")[0]
        return first if first in KINDS else "other"


def contents(root: Path) -> Iterator[Content]:
    """All nodes of a store. What has no mark of a node is left out; what another process removes meanwhile, too."""
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        with suppress(FileNotFoundError):
            names = {entry.name for entry in folder.iterdir()}
            layout = Layout.of(names)
            if layout.claims or layout.is_done or "attempt.json" in names:
                yield _content(folder, layout)


def remove(root: Path, content: Content) -> None:
    """Remove a node: first its name, so that nobody finds a part of it."""
    target = root / f"{GONE}{uuid.uuid4().hex}"
    with suppress(FileNotFoundError):
        (root / content.name).rename(target)
    for left in root.glob(f"{GONE}*"):
        shutil.rmtree(left, ignore_errors=True)


def _content(folder: Path, layout: Layout) -> Content:
    state = "unfinished"
    if layout.is_done:
        state = "done"
    elif layout.attempts and (folder / attempt_folder(layout.attempts[0]) / Failure.FILE).exists():
        state = "failed"
    runs = set()
    for number in layout.claims:
        with suppress(OSError, ValueError, AttributeError):  # damaged: nothing says whose it is
            runs.add(str(json.loads((folder / claim_file(number)).read_text(encoding="utf-8")).get("run_id", "")))
    found = [path.stat() for path in folder.rglob("*") if path.is_file()]
    n_bytes = sum(status.st_size for status in found)
    return Content(folder.name, state, frozenset(runs), n_bytes, max((s.st_mtime for s in found), default=0.0))

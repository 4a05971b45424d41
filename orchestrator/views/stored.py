"""`sonogrid runs`: the RUNs of a folder, and what a store holds."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from features.errors import InputError, SonogridError
from orchestrator.run.record import existing_run_json, store_of
from orchestrator.store.contents import Content, contents

__all__ = ["KnownRun", "Stored", "read_stored", "store_root", "tables"]


@dataclass(frozen=True)
class KnownRun:
    """A RUN folder."""

    folder: str
    grid: str
    done: int
    """Nodes that are done."""
    nodes: int
    store: str


@dataclass(frozen=True)
class Stored:
    """What a place holds."""

    runs: tuple[KnownRun, ...]
    store: str | None
    """The store whose nodes are listed; None for a folder of RUNs."""
    contents: tuple[Content, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        nodes = [{**asdict(one), "runs": sorted(one.runs)} for one in self.contents]
        return {"runs": [asdict(run) for run in self.runs], "store": self.store, "nodes": nodes}


def store_root(folder: Path, raw: dict[str, Any]) -> Path:
    """The folder of a run's store.

    Raises:
        InputError: it is an object store.
    """
    root = store_of(folder, raw)
    if "://" in root:
        raise InputError(f"{folder} has its store in {root}: only stores in a folder can be listed and cleaned")
    return Path(root).resolve()


def read_stored(place: Path) -> Stored:
    """The RUNs below a folder, or those that are known to use a store, and its nodes.

    Args:
        place: a store, a RUN, or a folder of RUNs.

    Raises:
        InputError: it is none of these.
    """
    if not place.is_dir():
        raise InputError(f"{place} is no folder: name a store, a RUN, or a folder of RUNs")
    if (place / "run.json").exists():
        root = store_root(place, existing_run_json(place))
        nodes = tuple(contents(root))
        return Stored((_known(place, {root: nodes}),), str(root), nodes)
    nodes = tuple(contents(place))
    if nodes:
        here = place.resolve()
        owner = here.parent
        runs: tuple[KnownRun, ...] = (_known(owner, {here: nodes}),) if (owner / "run.json").exists() else ()
        return Stored(runs, str(here), nodes)
    known: dict[Path, tuple[Content, ...]] = {}
    runs = tuple(
        run for child in sorted(place.iterdir()) if (child / "run.json").exists() for run in _readable(child, known)
    )
    if not runs:
        raise InputError(f"{place} holds neither nodes nor RUNs: name a store, a RUN, or a folder of RUNs")
    return Stored(runs, None)


def tables(stored: Stored) -> list[Table]:
    """The RUNs, and the nodes by kind."""
    found = []
    if stored.runs:
        table = Table("RUN", "grid", "nodes done", "store", title="runs", title_justify="left")
        for run in stored.runs:
            table.add_row(run.folder, run.grid, f"{run.done} of {run.nodes}", run.store)
        found.append(table)
    if stored.store is not None:
        table = Table("kind", "done", "failed", "unfinished", "size", title=stored.store, title_justify="left")
        for kind, nodes in _by_kind(stored.contents).items():
            counts = [str(sum(node.state == state for node in nodes)) for state in ("done", "failed", "unfinished")]
            table.add_row(kind, *counts, size_of(nodes))
        found.append(table)
        table = Table("run id", "nodes computed", "size", title="by run", title_justify="left")
        words = {run.partition(".")[0] for node in stored.contents for run in node.runs}
        for word in sorted(words):
            own = [node for node in stored.contents if any(run.partition(".")[0] == word for run in node.runs)]
            table.add_row(word[:12], str(len(own)), size_of(own))
        found.append(table)
    return found


def size_of(nodes: Iterable[Content]) -> str:
    """The size of nodes, in words."""
    size = float(sum(node.n_bytes for node in nodes))
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


def _by_kind(nodes: Sequence[Content]) -> dict[str, list[Content]]:
    by_kind: dict[str, list[Content]] = defaultdict(list)
    for node in nodes:
        by_kind[node.kind].append(node)
    return by_kind


def _known(folder: Path, known: dict[Path, tuple[Content, ...]]) -> KnownRun:
    raw = existing_run_json(folder)
    url = store_of(folder, raw)
    signatures = {node["signature"][:12] for node in raw["nodes"].values()}
    done = 0
    if "://" not in url:
        root = Path(url).resolve()
        known.setdefault(root, tuple(contents(root)))
        done = sum(node.state == "done" and node.name.rpartition("-")[2] in signatures for node in known[root])
    return KnownRun(str(folder), raw["grid"], done, len(signatures), url)


def _readable(folder: Path, known: dict[Path, tuple[Content, ...]]) -> list[KnownRun]:
    """The RUN in a folder; a damaged one, or one of another version, is named as such."""
    try:
        return [_known(folder, known)]
    except SonogridError as error:
        return [KnownRun(str(folder), f"can't be read: {error}", 0, 0, "-")]

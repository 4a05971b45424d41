"""`sonogrid clean`: removes from a store what none of its runs needs.

A store does not list the runs that use it. So the runs are named, and what a run that is not named has computed stays.
The owner's lock of every named run is held meanwhile: a run that is alive is refused. What was written within the last
hour stays as well, since a process that a dead driver left behind may still be at it.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.errors import InputError
from features.files import hash_of
from orchestrator.jobs.encoders import given_files
from orchestrator.run.bound import read_binding
from orchestrator.run.owner import own
from orchestrator.run.record import existing_run_json
from orchestrator.store.contents import Content, contents, remove
from orchestrator.views.stored import store_root

__all__ = ["Cleaning", "clean"]

RECENT_S = 3600.0


@dataclass(frozen=True)
class Cleaning:
    """What was removed from a store, or would be."""

    store: Path
    runs: tuple[Path, ...]
    """The runs that are known to use it."""
    removed: tuple[Content, ...]
    of_others: tuple[Content, ...]
    """Not needed by these runs, and computed by runs that were not named."""
    recent: tuple[Content, ...]
    """Not needed, and written within the last hour."""
    dry: bool
    """Whether nothing was removed."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        lists = {"removed": self.removed, "of_others": self.of_others, "recent": self.recent}
        names = {key: [{"name": one.name, "n_bytes": one.n_bytes} for one in found] for key, found in lists.items()}
        return {"store": str(self.store), "runs": [str(run) for run in self.runs], "dry_run": self.dry, **names}


def clean(place: Path, runs: Sequence[Path], *, dry: bool) -> Cleaning:
    """Remove the nodes that no run needs: those that no `run.json` names.

    Args:
        place: a RUN, or a store in a folder; RUN/store belongs to RUN.
        runs: further runs that use the store.
        dry: only say what would be removed.

    Raises:
        InputError: no run is known, a run has another store, is alive, or is of another version of sonogrid.
        StoreError: a `run.json` is damaged.
    """
    folders = [place] if (place / "run.json").exists() else []
    root = store_root(place, existing_run_json(place)) if folders else place.resolve()
    if not root.is_dir():
        raise InputError(f"{root} is no folder: name a store or a RUN")
    if not folders and (root.parent / "run.json").exists():
        folders = [root.parent]
    folders += [folder for folder in runs if folder.resolve() not in {known.resolve() for known in folders}]
    if not folders:
        raise InputError(f"{place}: name every run that uses this store with --run; what none of them needs is removed")
    with ExitStack() as owning:
        if not dry:
            for folder in folders:
                existing_run_json(folder)  # before a lock is made in a folder that is no run
                owning.enter_context(own(folder))
        needed: set[str] = set()
        ids: set[str] = set()
        for folder in folders:
            needed |= _needed(folder, root)
            ids |= _ids(folder)
        unneeded = [one for one in contents(root) if not {one.name, one.name.rpartition("-")[2]} & needed]
        now = time.time()
        others = [
            one for one in unneeded if not {part for run in one.runs for part in _parts(run)} or _foreign(one, ids)
        ]
        recent = [one for one in unneeded if one not in others and now - one.changed < RECENT_S]
        removed = [one for one in unneeded if one not in others and one not in recent]
        if not dry:
            for one in removed:
                remove(root, one)
    return Cleaning(root, tuple(folders), tuple(removed), tuple(others), tuple(recent), dry)


def _needed(folder: Path, root: Path) -> set[str]:
    """First digits of the signatures of a run's nodes, and names of what its jobs read besides."""
    raw = existing_run_json(folder)
    if (own_root := store_root(folder, raw)) != root:
        raise InputError(f"{folder} has its results in {own_root}, not in {root}: leave it out")
    recipe = read_binding(folder)[0]
    given = {name for one in recipe.conditions.values() for name, _, _ in given_files(one.features)}
    return {node["signature"][:12] for node in raw["nodes"].values()} | {raw["manifest"]} | given


def _ids(folder: Path) -> set[str]:
    """The words by which claims know a run: a random one, and the hash of its path (`Run.identity`)."""
    word = existing_run_json(folder).get("id", "")
    return {word, hash_of(str(folder.resolve()))[:12]} - {""}


def _parts(run: str) -> set[str]:
    return set(run.split(".")) - {""}


def _foreign(one: Content, ids: set[str]) -> bool:
    """Whether a run that was not named has claimed a node."""
    return any(not _parts(run) & ids for run in one.runs)

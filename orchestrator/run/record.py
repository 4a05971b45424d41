"""`RUN/run.json`: the grid, data folder, store and nodes of the last launch.

Read-only commands (`status`, `logs`) need only this and the store: no Recipe, no data, no torch.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from features.errors import InputError, StoreError
from features.files import read_json, write_json
from orchestrator.store.interfaces import ReaderStore
from orchestrator.store.node import Kind, Node
from orchestrator.store.open import open_store
from orchestrator.without_gc import uncollected

__all__ = ["RecordedRun", "existing_run_json", "read_run_json", "recorded_id", "store_of", "write_run_json"]

RUN_FILE_VERSION = 3
PathText = Annotated[str, Field(min_length=1, pattern=r"^[^\x00]*$")]
Signature = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _NodeRecord(BaseModel):
    model_config = ConfigDict(strict=True)
    kind: Kind
    signature: Signature
    payload: dict[str, Any]
    inputs: dict[str, list[Signature] | int]
    """Signatures by role, or their place in `groups`."""


class _TimeLimit(BaseModel):
    """What was chosen to fit into a time."""

    model_config = ConfigDict(strict=True)
    grid: Signature
    """Hash of the whole grid."""
    limit_s: float
    conditions: list[str]
    share: float
    """Of the epochs."""
    predicted_s: float


class _Relabel(BaseModel):
    model_config = ConfigDict(strict=True)
    source: str
    labels: dict[Literal["curated", "noisy"], dict[str, list[str]]]


class _Asked(BaseModel):
    """What the last launch was asked for."""

    model_config = ConfigDict(strict=True)
    only: list[str] = []
    """Conditions; empty: all."""
    folds: list[int] = []
    """Empty: all."""
    skip_bad: bool = False
    time_limit: _TimeLimit | None = None
    relabel: _Relabel | None = None
    """Labels that replaced those of the dataset's lists (`features.relabel`); older versions had none."""
    command: str = ""
    """The command line of the launch, and those of later ones that changed settings; older versions wrote none."""
    execution: dict[str, Any] = {}
    """Fields of `Execution` that are not the default."""
    mlflow: str | None = None
    """Where MLflow keeps its runs; None: the URI holds a password, or an older version wrote none."""


class _RunFile(BaseModel):
    """The form of run.json; its recipe is checked by `Recipe` itself."""

    model_config = ConfigDict(strict=True)
    id: str | None = Field(None, pattern=r"^[0-9a-f]{32}$")
    """A random word for the run; older versions wrote none."""
    asked: _Asked = _Asked()
    """Older versions wrote none: everything."""
    grid: str
    recipe: dict[str, Any]
    data_root: PathText
    store: PathText
    manifest: str = Field(pattern=r"^manifest-[0-9a-f]{12}$")
    """In the store, and nowhere else."""
    groups: list[list[Signature]] = []
    """Inputs that many nodes share: the shards of a subset."""
    nodes: dict[str, _NodeRecord]

    @model_validator(mode="after")
    def _groups_are_there(self) -> Self:
        for name, node in self.nodes.items():
            for group in node.inputs.values():
                if isinstance(group, int) and not 0 <= group < len(self.groups):
                    raise ValueError(f"the inputs of {name[:80]} are in no group")
        return self


@dataclass(frozen=True)
class RecordedRun:
    """A run as its last launch recorded it."""

    folder: Path
    store: ReaderStore
    nodes: dict[str, Node]
    """By name, parents before children."""

    @classmethod
    @uncollected
    def open(cls, folder: Path) -> "RecordedRun":
        """The run in a folder.

        Raises:
            InputError: there is no run, or it is of another version of sonogrid.
            StoreError: run.json is damaged, or its store is gone.
        """
        raw = existing_run_json(folder)
        store = open_store(store_of(folder, raw))
        store.results_of(raw["manifest"])  # a store that is gone would look like one of which nothing is done
        nodes = {
            name: Node(name, record["kind"], record["payload"], record["inputs"], record["signature"])
            for name, record in raw["nodes"].items()
        }
        return cls(folder, store, nodes)


def store_of(folder: Path, raw: Mapping[str, Any]) -> str:
    """Where the store of a run lies. One inside RUN is named relative to it, so that the folder can be moved."""
    store = str(raw["store"])
    return store if "://" in store else str((folder / store).resolve())


def write_run_json(folder: Path, facts: Mapping[str, Any], nodes: Iterable[Node]) -> None:
    """Write `run.json`: facts of the run, in the form of `_RunFile`, and its nodes."""
    groups: dict[tuple[str, ...], int] = {}
    records = {
        node.name: {
            "kind": node.kind,
            "signature": node.signature,
            "payload": node.payload,
            # Listed at each of thousands of nodes, hundreds of shards would fill the disk.
            "inputs": {
                role: groups.setdefault(group, len(groups)) if len(group) > 1 else group
                for role, group in node.inputs.items()
            },
        }
        for node in nodes
    }
    write_json(folder / "run.json", {"schema": RUN_FILE_VERSION, **facts, "groups": list(groups), "nodes": records})


@uncollected
def read_run_json(folder: Path) -> dict[str, Any] | None:
    """The content of RUN/run.json, its nodes with all their inputs; None if there is none.

    Raises:
        InputError: another version of sonogrid wrote it.
        StoreError: it is damaged.
    """
    path = folder / "run.json"
    if not path.exists():
        return None
    raw = read_json(path)
    if not isinstance(raw, Mapping):
        raise StoreError(f"{path} is damaged: it holds no run; launch the grid into a new folder")
    if raw.get("schema") != RUN_FILE_VERSION:
        raise InputError(f"{path} was written by another version of sonogrid; use a new RUN folder")
    try:
        _RunFile.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        what = f"{'.'.join(str(part) for part in first['loc'])[:200]}: {first['msg'].lower()}"
        raise StoreError(f"{path} is damaged: {what}; launch the grid into a new folder") from None
    groups = [tuple(group) for group in raw["groups"]]
    for node in raw["nodes"].values():
        node["inputs"] = {role: groups[g] if isinstance(g, int) else tuple(g) for role, g in node["inputs"].items()}
    return dict(raw)


@uncollected
def recorded_id(folder: Path) -> str | None:
    """The random word of a run; None if none is recorded yet.

    Raises:
        StoreError: run.json is damaged.
    """
    path = folder / "run.json"
    recorded = read_json(path) if path.exists() else {}
    word = recorded.get("id") if isinstance(recorded, dict) else None
    return word if isinstance(word, str) and re.fullmatch(r"[0-9a-f]{32}", word) else None


def existing_run_json(folder: Path) -> dict[str, Any]:
    """`read_run_json` of a folder that has to hold a run."""
    raw = read_run_json(folder)
    if raw is None:
        raise InputError(
            f"{folder} holds no run: there is no run.json; check the path, or start a run with: sonogrid launch GRID "
            f"--data DATA --out {folder}"
        )
    return raw

"""A RUN folder: `run.json` (grid, Recipe, data folder, store, signatures of the nodes) and the reports made from it."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from features.errors import GridError, InputError, StoreError
from features.files import hash_of, read_json, write_json
from features.manifest import Manifest
from orchestrator.collector import uncollected
from orchestrator.graph import Graph, Node, build_graph
from orchestrator.jobs import JobSpec
from orchestrator.leaks import labels_seen
from orchestrator.recipe import Execution, Recipe, default_store
from orchestrator.store import DAMAGED, DONE, Store
from orchestrator.stores import open_store

__all__ = ["Run", "check_recipe_fits", "read_binding", "read_run_json"]

SCHEMA = 2
PathText = Annotated[str, Field(min_length=1, pattern=r"^[^\x00]*$")]
Signature = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _NodeRecord(BaseModel):
    model_config = ConfigDict(strict=True)
    signature: Signature
    payload: dict[str, Any]
    inputs: dict[str, list[Signature] | int]
    """Signatures by role, or their place in `groups`."""


class _RunFile(BaseModel):
    """The form of run.json; its Recipe is judged by `Recipe` itself."""

    model_config = ConfigDict(strict=True)
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
class Run:
    """A grid on a dataset, with the store where its nodes lie."""

    folder: Path
    recipe: Recipe
    data_root: Path
    store: Store
    manifest: Manifest

    @cached_property
    def graph(self) -> Graph:
        """All nodes of the grid."""
        return build_graph(self.recipe, self.manifest)

    @cached_property
    def labels_seen(self) -> dict[str, frozenset[int]]:
        """For every node, the folds whose curated labels are in it."""
        return labels_seen(self.graph, self.recipe.data.folds)

    @property
    def identity(self) -> str:
        """A word for this run in a store that several share."""
        return hash_of(str(self.folder.resolve()))[:12]

    @cached_property
    def manifest_name(self) -> str:
        """Name of the manifest's folder in the store."""
        return f"manifest-{self.manifest.content_hash()[:12]}"

    @classmethod
    @uncollected
    def open(cls, folder: Path) -> "Run":
        """Open the run in a folder.

        Raises:
            InputError: there is no run, or it is of another version of sonogrid.
            StoreError: its manifest is missing or damaged.
        """
        raw = _existing(folder)
        recipe, data_root, root = _binding(folder, raw)
        store = open_store(root)
        return cls(folder, recipe, data_root, store, Manifest.read(store.results_of(raw["manifest"])))

    def save(self) -> None:
        """Write the manifest to the store and `run.json` to the folder."""
        try:
            self.store.results_of(self.manifest_name)
        except StoreError:  # not there yet, or damaged
            self.store.drop_mark(self.manifest_name, DONE, DAMAGED)
            with tempfile.TemporaryDirectory() as folder:
                mark = {"name": "manifest", "signature": self.manifest.content_hash()}
                self.store.finish(self.manifest_name, mark, self.manifest.write(Path(folder)))
        own = self.store.url == default_store(self.folder)
        groups = _Groups()
        nodes = {
            node.name: {"signature": node.signature, "payload": node.payload, "inputs": groups.shorten(node.inputs)}
            for node in self.graph.nodes.values()
        }
        write_json(
            self.folder / "run.json",
            {
                "schema": SCHEMA,
                "grid": self.recipe.name,
                "recipe": self.recipe.model_dump(mode="json"),
                "data_root": str(self.data_root),
                "store": "store" if own else self.store.url,
                "manifest": self.manifest_name,
                "groups": list(groups.numbers),
                "nodes": nodes,
            },
        )

    def job_spec(self, node: Node, execution: Execution, owner: str = "") -> JobSpec:
        """All that a worker needs to run a node, which is claimed for a new attempt."""
        nodes = self.graph.nodes
        shard_settings = None
        extra: dict[str, Any] = {}
        if node.kind == "shard":
            settings = (condition.features for condition in self.recipe.conditions.values())
            wanted = node.payload["features"]
            shard_settings = next(s for s in settings if s.model_dump(mode="json", exclude={"shard_mb"}) == wanted)
        elif node.kind == "pseudo":
            extra["temperature"] = node.payload["temperature"]
        elif node.kind == "predict":
            extra["labels_seen"] = sorted(self.labels_seen[node.signature])
        elif node.kind == "blend":
            extra["paper_weights"] = node.payload["paper_weights"]
        return JobSpec(
            name=node.name,
            kind=node.kind,
            signature=node.signature,
            store=self.store.url,
            node=self.store.name(node),
            attempt=self.store.claim(node, owner),
            inputs={role: tuple(self.store.name(nodes[s]) for s in group) for role, group in node.inputs.items()},
            input_signatures=node.inputs,
            manifest=self.manifest_name,
            data_root=self.data_root,
            cpus=node.cpus,
            gpus=(execution.share_of(node.condition)[0] or 0.0) if node.trains else 0.0,
            resident_bytes=int(execution.resident_gb * 1e9),
            checkpoint_steps=execution.checkpoint_steps,
            stall_s=execution.stall_s,
            held_out=node.held_out,
            unrescued=self.store.name_of(node.unrescued) if node.unrescued else None,
            condition=self.recipe.conditions[node.condition] if node.condition is not None else None,
            shard=node.shard,
            settings=self.recipe.blend if node.kind == "blend" else shard_settings,
            extra=extra,
        )


class _Groups:
    """Numbers for groups of inputs: written out at each of thousands of nodes, hundreds of shards fill the disk."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[str, ...], int] = {}

    def shorten(self, inputs: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...] | int]:
        """The inputs of a node, with a number for a group of several."""
        return {
            role: self.numbers.setdefault(group, len(self.numbers)) if len(group) > 1 else group
            for role, group in inputs.items()
        }


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
    if raw.get("schema") != SCHEMA:
        raise InputError(f"{path} was written by another version of sonogrid; use a new RUN folder")
    try:
        _RunFile.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        what = f"{'.'.join(str(part) for part in first['loc'])[:200]}: {first['msg'].lower()}"
        raise StoreError(f"{path} is damaged: {what}; launch the grid into a new folder") from None
    for node in raw["nodes"].values():
        node["inputs"] = {role: raw["groups"][g] if isinstance(g, int) else g for role, g in node["inputs"].items()}
    return dict(raw)


def _existing(folder: Path) -> dict[str, Any]:
    raw = read_run_json(folder)
    if raw is None:
        raise InputError(
            f"{folder} holds no run: there is no run.json; start one with: sonogrid launch GRID --data DATA"
        )
    return raw


def read_binding(folder: Path) -> tuple[Recipe, Path, str]:
    """Recipe, data folder and store of the run in a folder.

    Raises:
        InputError: there is no run, or it is of another version of sonogrid.
    """
    return _binding(folder, _existing(folder))


def _binding(folder: Path, raw: Mapping[str, Any]) -> tuple[Recipe, Path, str]:
    try:
        recipe = Recipe.model_validate_json(json.dumps(raw["recipe"]))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field, reason = ".".join(("recipe", *map(str, first["loc"]))), first["msg"].removeprefix("Value error, ")
        raise InputError(f"{folder / 'run.json'}: {field} is not valid ({reason}); launch the grid again") from None
    # A store inside the run is named relative to it, so that the folder can be moved.
    store = raw["store"] if "://" in raw["store"] else str((folder / raw["store"]).resolve())
    return recipe, Path(raw["data_root"]), store


def check_recipe_fits(recipe: Recipe, manifest: Manifest) -> None:
    """Refuse conditions that the dataset can't serve.

    Raises:
        GridError: a condition needs noisy clips and there are none.
    """
    if len(manifest.subset("noisy")):
        return
    for name, condition in recipe.conditions.items():
        needing = [field for field in ("multitask", "pseudo", "semi") if getattr(condition.train, field)]
        if needing:
            raise GridError(f"conditions.{name}.{needing[0]} needs noisy clips, but the dataset has no train_noisy.csv")

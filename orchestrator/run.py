"""A RUN folder: `run.json` (grid, Recipe, data folder, store, signatures of the nodes) and the reports made from it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features.errors import GridError, InputError, StoreError
from features.files import hash_of, read_json, write_json
from features.manifest import Manifest
from orchestrator.graph import Graph, Node, build_graph
from orchestrator.jobs import JobSpec
from orchestrator.leaks import labels_seen
from orchestrator.recipe import Execution, Recipe, default_store
from orchestrator.store import Store, mark_done, results

__all__ = ["Run", "check_recipe_fits", "read_binding", "read_run_json"]

SCHEMA = 2
PathText = Annotated[str, Field(min_length=1, pattern=r"^[^\x00]*$")]
Signature = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _NodeRecord(BaseModel):
    model_config = ConfigDict(strict=True)
    signature: Signature
    payload: dict[str, Any]
    inputs: dict[str, list[Signature]]


class _RunFile(BaseModel):
    """The form of run.json; its Recipe is judged by `Recipe` itself."""

    model_config = ConfigDict(strict=True)
    grid: str
    recipe: dict[str, Any]
    data_root: PathText
    store: PathText
    manifest: str = Field(pattern=r"^manifest-[0-9a-f]{12}$")
    """In the store, and nowhere else."""
    nodes: dict[str, _NodeRecord]


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

    @property
    def manifest_folder(self) -> Path:
        """Where the manifest lies in the store."""
        return self.store.root / f"manifest-{self.manifest.content_hash()[:12]}"

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """Open the run in a folder.

        Raises:
            InputError: there is no run, or it is of another version of sonogrid.
            StoreError: its manifest is missing or damaged.
        """
        recipe, data_root, root = read_binding(folder)
        raw = read_run_json(folder)
        assert raw is not None
        store = Store(root)
        return cls(folder, recipe, data_root, store, Manifest.read(results(store.root / raw["manifest"])))

    def save(self) -> None:
        """Write the manifest to the store and `run.json` to the folder."""
        try:
            results(self.manifest_folder)
        except StoreError:  # not there yet, or damaged
            self.manifest_folder.mkdir(parents=True, exist_ok=True)
            files = self.manifest.write(self.manifest_folder)
            mark_done(self.manifest_folder, {"name": "manifest", "signature": self.manifest.content_hash()}, files)
        own = self.store.root == default_store(self.folder).resolve()
        write_json(
            self.folder / "run.json",
            {
                "schema": SCHEMA,
                "grid": self.recipe.name,
                "recipe": self.recipe.model_dump(mode="json"),
                "data_root": str(self.data_root),
                # A store inside the run is named relative to it, so that the folder can be moved.
                "store": "store" if own else str(self.store.root),
                "manifest": self.manifest_folder.name,
                "nodes": {
                    node.name: {"signature": node.signature, "payload": node.payload, "inputs": node.inputs}
                    for node in self.graph.nodes.values()
                },
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
            folder=self.store.folder(node),
            attempt=self.store.claim(node, owner),
            inputs={role: tuple(self.store.folder(nodes[s]) for s in group) for role, group in node.inputs.items()},
            input_signatures=node.inputs,
            manifest=self.manifest_folder,
            data_root=self.data_root,
            cpus=node.cpus,
            gpus=(execution.share_of(node.condition)[0] or 0.0) if node.trains else 0.0,
            resident_bytes=int(execution.resident_gb * 1e9),
            checkpoint_steps=execution.checkpoint_steps,
            stall_s=execution.stall_s,
            held_out=node.held_out,
            unrescued=self.store.root / self.store.name_of(node.unrescued) if node.unrescued else None,
            condition=self.recipe.conditions[node.condition] if node.condition is not None else None,
            shard=node.shard,
            settings=self.recipe.blend if node.kind == "blend" else shard_settings,
            extra=extra,
        )


def read_run_json(folder: Path) -> dict[str, Any] | None:
    """The content of RUN/run.json; None if there is none.

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
    return dict(raw)


def read_binding(folder: Path) -> tuple[Recipe, Path, Path]:
    """Recipe, data folder and store of the run in a folder.

    Raises:
        InputError: there is no run, or it is of another version of sonogrid.
    """
    raw = read_run_json(folder)
    if raw is None:
        raise InputError(
            f"{folder} holds no run: there is no run.json; start one with: sonogrid launch GRID --data DATA"
        )
    try:
        recipe = Recipe.model_validate_json(json.dumps(raw["recipe"]))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field, reason = ".".join(("recipe", *map(str, first["loc"]))), first["msg"].removeprefix("Value error, ")
        raise InputError(f"{folder / 'run.json'}: {field} is not valid ({reason}); launch the grid again") from None
    return recipe, Path(raw["data_root"]), (folder / raw["store"]).resolve()


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

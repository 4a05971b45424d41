"""A run: a grid bound to a dataset and a store, in a RUN folder with its `run.json` and the reports made from it."""

import json
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from features.errors import DamagedInputError, InputError, SupersededError
from features.files import hash_of
from features.manifest import Manifest
from orchestrator.grids.recipe import Recipe
from orchestrator.jobs.encoders import copy_given, given_files, seen_lines
from orchestrator.jobs.execution import JobExecution
from orchestrator.jobs.registry import work_of
from orchestrator.jobs.spec import Binding, JobSpec
from orchestrator.planning.graph import Graph, build_graph
from orchestrator.planning.leaks import Overlaps, find_overlaps, labels_seen, leaky_conditions
from orchestrator.planning.recorded import recorded_graph
from orchestrator.planning.seen import SeenClips, clips_seen
from orchestrator.run.record import existing_run_json, read_run_json, recorded_id, store_of, write_run_json
from orchestrator.store.interfaces import DriverStore
from orchestrator.store.marks import DoneMark
from orchestrator.store.node import Node
from orchestrator.store.open import default_store, open_store
from orchestrator.without_gc import uncollected

__all__ = ["Run", "read_binding"]


@dataclass(frozen=True)
class Run:
    """A grid on a dataset, with the store where its nodes lie."""

    folder: Path
    recipe: Recipe
    data_root: Path
    store: DriverStore
    manifest: Manifest
    recorded: Mapping[str, Mapping[str, Any]] | None = field(default=None, compare=False, repr=False)
    """Nodes of run.json, for a run that is opened to be read."""
    owner: int = 0
    """Number of the owner that this process is (`orchestrator.run.owner`); 0 if it only reads."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What of the grid the dataset can't serve, one sentence each; empty for a run that is opened to be read."""

    @cached_property
    def graph(self) -> Graph:
        """All nodes of the grid; of a run that is read, as they were launched, even by an older version."""
        graph = build_graph(self.recipe, self.manifest)
        if self.recorded is None or {str(node["signature"]) for node in self.recorded.values()} == graph.nodes.keys():
            return graph
        return recorded_graph(self.recipe, self.recorded) or graph

    @cached_property
    def labels_seen(self) -> dict[str, frozenset[int]]:
        """For every node, the folds whose curated labels are in it."""
        return labels_seen(self.graph, self.recipe.data.folds, self.overlaps)

    @cached_property
    def overlaps(self) -> Overlaps:
        """Copies and groups that several parts of the dataset share."""
        return find_overlaps(self.manifest)

    @cached_property
    def clips_seen(self) -> dict[str, SeenClips]:
        """For each condition, the clips that an encoder behind it has seen; conditions without any are left out."""
        return clips_seen(self.recipe, self.manifest, partial(seen_lines, self.store))

    @cached_property
    def leaky(self) -> list[str]:
        """Conditions whose scores are not honest, and 'blend' if one is a member."""
        return leaky_conditions(self.recipe, self.graph, self.clips_seen, self.overlaps)

    @cached_property
    def identity(self) -> str:
        """A word for this run in a store that several share: a random one of run.json, and a hash of its path.

        Two hosts may have a run at the same path, and a folder may have been copied.
        """
        word = recorded_id(self.folder) or uuid.uuid4().hex
        return f"{word}.{hash_of(str(self.folder.resolve()))[:12]}"

    @cached_property
    def manifest_name(self) -> str:
        """Name of the manifest's folder in the store."""
        return f"manifest-{self.manifest.full_hash()[:12]}"

    @classmethod
    @uncollected
    def open(cls, folder: Path) -> "Run":
        """Open the run in a folder.

        Raises:
            InputError: there is no run, or it is of another version of sonogrid.
            StoreError: its manifest is missing or damaged.
        """
        raw = existing_run_json(folder)
        recipe, data_root, root = _binding(folder, raw)
        store = open_store(root)
        return cls(
            folder, recipe, data_root, store, Manifest.read(store.results_of(raw["manifest"])), recorded=raw["nodes"]
        )  # fmt: skip

    def owned_by(self, number: int) -> "Run":
        """The same run, for the process that is its owner with this number."""
        run = replace(self, owner=number)
        vars(run)["graph"] = self.graph  # not built a second time
        return run

    def save(self, asked: Mapping[str, Any] | None = None) -> None:
        """Write the manifest to the store and `run.json` to the folder.

        Args:
            asked: the part of the grid that the launch was asked for; None: as `run.json` has it.
        """
        if asked is None:
            asked = (read_run_json(self.folder) or {}).get("asked", {})
        self.put_given()
        own = self.store.url == default_store(self.folder)
        facts = {
            "id": self.identity.partition(".")[0],
            "asked": asked,
            "grid": self.recipe.name,
            "recipe": self.recipe.model_dump(mode="json"),
            "data_root": str(self.data_root),
            "store": "store" if own else self.store.url,
            "manifest": self.manifest_name,
        }
        write_run_json(self.folder, facts, self.graph.nodes.values())

    def put_given(self) -> None:
        """Have in the store what jobs read and no job computes: the manifest and the files that the grid names."""
        self._put(self.manifest_name, DoneMark("manifest", self.manifest.content_hash()), self.manifest.write)
        every = {file for condition in self.recipe.conditions.values() for file in given_files(condition.features)}
        for name, source, sha256 in sorted(every):
            self._put(name, DoneMark(name.partition("-")[0], sha256), partial(copy_given, source, sha256))

    def _put(self, name: str, mark: DoneMark, write: Callable[[Path], list[Path]]) -> None:
        """Have what many jobs read in the store."""
        while True:
            with suppress(DamagedInputError):  # not there yet, or damaged
                if not self.store.is_void(name):
                    self.store.results_of(name)
                    return
            self._write(name, mark, write)

    def _write(self, name: str, mark: DoneMark, write: Callable[[Path], list[Path]]) -> None:
        claim = self.store.claim_anyway(name, self.identity, self.owner)
        folder = self.store.begin(name, claim.attempt)
        try:
            self.store.finish(name, claim, mark, write(folder))
        except (FileNotFoundError, SupersededError):  # another run has finished the same one, and swept our folder
            self.store.sweep(name)
        finally:
            self.store.end(folder)

    def claim(self, node: Node, execution: JobExecution) -> JobSpec:
        """Claim a node of this run in the store for a new attempt; returns all that a worker needs to make it.

        Raises:
            BusyError: another run works on the node.
        """
        nodes = self.graph.nodes
        return JobSpec(
            name=node.name,
            signature=node.signature,
            store=self.store.url,
            node=self.store.name(node),
            claim=self.store.claim(node, self.identity, self.owner),
            manifest=self.manifest_name,
            inputs={role: tuple(self.store.name(nodes[s]) for s in group) for role, group in node.inputs.items()},
            input_signatures=node.inputs,
            work=work_of(node, self._binding),
            execution=execution,
        )

    @cached_property
    def _binding(self) -> Binding:
        return Binding(self.recipe, self.data_root, self.store.name_of, lambda signature: self.labels_seen[signature])


def read_binding(folder: Path) -> tuple[Recipe, Path, str]:
    """Recipe, data folder and store of the run in a folder.

    Raises:
        InputError: there is no run, or it is of another version of sonogrid.
    """
    return _binding(folder, existing_run_json(folder))


def _binding(folder: Path, raw: Mapping[str, Any]) -> tuple[Recipe, Path, str]:
    try:
        recipe = Recipe.model_validate_json(json.dumps(raw["recipe"]))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field, reason = ".".join(("recipe", *map(str, first["loc"]))), first["msg"].removeprefix("Value error, ")
        raise InputError(f"{folder / 'run.json'}: {field} is not valid ({reason}); launch the grid again") from None
    return recipe, Path(raw["data_root"]), store_of(folder, raw)

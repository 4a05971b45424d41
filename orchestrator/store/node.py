"""A node of the graph: a piece of work with a signature.

A signature is the SHA-256 of the node's kind, its stage's schema number, its fully resolved part of the Recipe, the
content of the data it reads, and its inputs' signatures. Names of conditions, paths and machines are not in it: equal
work is one node.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from features.files import canonical_json, hash_of

if TYPE_CHECKING:  # for annotations alone: nodes are read by commands that start fast
    from features.shard_plan import ShardPlan

__all__ = ["STAGE_VERSIONS", "Kind", "Node", "short_inputs", "signature_of", "split_name"]

Kind = Literal["shard", "train", "predict", "pseudo", "distill", "blend"]

# Raised when a stage's code changes what it computes or the files it writes: old nodes are then not reused.
STAGE_VERSIONS: dict[Kind, int] = {"shard": 1, "train": 4, "predict": 4, "pseudo": 2, "distill": 1, "blend": 3}


@dataclass(frozen=True)
class Node:
    """A piece of work. Only `kind`, `payload` and `inputs` enter the signature."""

    name: str
    """For people: 'train-A-0'."""
    kind: Kind
    payload: dict[str, Any]
    inputs: dict[str, tuple[str, ...]]
    """Signatures by role."""
    signature: str
    condition: str | None = None
    held_out: tuple[int, ...] = ()
    """Folds that a training job, or the one whose predictions these are, did not see: one, or a pair."""
    round: int | None = None
    """Round of pseudo labels that a training job belongs to, if another one follows."""
    shard: "ShardPlan | None" = field(default=None, repr=False)
    cost: float = 1.0
    """Rough seconds; orders the queue, nothing else."""
    cpus: float = 1.0
    trains: bool = False
    """Needs the GPU share of a training job."""
    unrescued: str | None = None
    """Signature of the same training job without its rescue, from whose checkpoints it may continue."""

    @property
    def split(self) -> str:
        """The held-out folds in a word: '0', or '0-1' for a pair."""
        return split_name(self.held_out)

    @property
    def predicted_folds(self) -> tuple[int, ...]:
        """Folds of the curated clips that a prediction is of: those held out, or for a student's labels the others."""
        return tuple(self.payload.get("folds", self.held_out))

    @property
    def parents(self) -> tuple[str, ...]:
        """Signatures of all inputs."""
        return tuple(chain.from_iterable(self.inputs.values()))


def signature_of(kind: Kind, payload: dict[str, Any], inputs: dict[str, tuple[str, ...]]) -> str:
    """SHA-256 of all that decides what a node computes."""
    # The canonical JSON of the four, put together by hand: thousands of nodes share inputs of hundreds of shards.
    groups = ",".join(f"{canonical_json(role)}:{_group_json(inputs[role])}" for role in sorted(inputs))
    text = (
        f'{{"inputs":{{{groups}}},"kind":"{kind}","payload":{canonical_json(payload)},"schema":{STAGE_VERSIONS[kind]}}}'
    )
    return sha256(text.encode()).hexdigest()


def short_inputs(inputs: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Inputs for a done-mark: a signature alone, or of several their number and the SHA-256 of their list."""
    return {role: group[0] if len(group) == 1 else _short_group(group) for role, group in inputs.items()}


@lru_cache(maxsize=64)
def _short_group(group: tuple[str, ...]) -> dict[str, Any]:
    return {"nodes": len(group), "sha256": hash_of(group)}


@lru_cache(maxsize=64)
def _group_json(group: tuple[str, ...]) -> str:
    return canonical_json(group)


def split_name(held_out: tuple[int, ...]) -> str:
    """The word for a set of held-out folds in names, draws and logs."""
    return "-".join(map(str, held_out))

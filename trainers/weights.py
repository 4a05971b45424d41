"""Snapshots and checkpoints as safetensors: tensors and a JSON header, nothing that could run code when it is read.

A *snapshot* contains the weights at the end of a cycle. A *checkpoint* contains all that a job needs to continue:
weights, optimizer state, progress (step, best score, records of the epochs) and, within an epoch, the sums of its
losses. Random numbers need no state (see `trainers.randomness`).
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from features.errors import StoreError
from features.files import atomic, sha256_file

__all__ = [
    "check_start", "load_checkpoint", "load_snapshot", "read_about", "read_tensors", "restore_optimizer",
    "save_checkpoint", "save_snapshot", "save_tensors", "start_trunk", "warm_start",
]  # fmt: skip

OF_FEATURES = ("db_mean", "db_deviation", "trunk.mean", "trunk.deviation")
"""Tensors that describe a network's input rather than what it learnt."""


def save_snapshot(path: Path, network: nn.Module, about: dict[str, Any]) -> None:
    """Write a network's weights with facts about them (JSON-like) in the header."""
    save_tensors(path, network.state_dict(), about)


def load_snapshot(path: Path, network: nn.Module) -> dict[str, Any]:
    """Load a snapshot into a network of the same shape and return the facts saved with it.

    Raises:
        StoreError: the file is missing, damaged, or of another network.
    """
    tensors, about = read_tensors(path)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise StoreError(f"{path} holds weights of another network: {str(error).splitlines()[-1].strip()}") from None
    return about


def warm_start(path: Path, network: nn.Module) -> None:
    """Load those weights of a snapshot that the network has as well; a head that the snapshot lacks stays as it is.

    The numbers by which inputs are normalised stay too: they are of the network's own features, which may differ.

    Raises:
        StoreError: the file is missing or damaged, or its trunk has another shape.
    """
    tensors, _ = read_tensors(path)
    own = network.state_dict()
    wrong = [name for name, value in tensors.items() if name in own and own[name].shape != value.shape]
    missing = [name for name in own if name.startswith("trunk.") and name not in tensors]
    if wrong or missing:
        raise StoreError(
            f"{path} can't start this network: {(wrong + missing)[0]} differs; init_from needs equal networks"
        )
    taken = {name: value for name, value in tensors.items() if name not in OF_FEATURES}
    network.load_state_dict({name: taken.get(name, value) for name, value in own.items()})


def start_trunk(path: Path, sha256: str, network: nn.Module) -> None:
    """Load the trunk of a snapshot, a checkpoint or any safetensors file with its tensors; the heads stay as they are.

    Args:
        path: the file.
        sha256: its checksum when the grid was read.
        network: receives the weights.

    Raises:
        StoreError: the file is missing, has changed, or its trunk has another shape.
    """
    try:
        if sha256_file(path) != sha256:
            raise StoreError(f"network.init_from: {path} has changed since the grid was read; launch the grid again")
        tensors = {name.removeprefix("network."): value for name, value in load_file(path).items()}
    except OSError as error:
        raise StoreError(f"network.init_from: {path} can't be read on this host ({error.strerror})") from None
    except SafetensorError as error:
        raise StoreError(f"network.init_from: {path} is not a safetensors file ({error})") from None
    tensors = {name.removeprefix("network."): value for name, value in tensors.items()}  # a checkpoint has it twice
    _refuse_other_trunk(path, {name: tuple(value.shape) for name, value in tensors.items()}, network)
    own = network.state_dict()
    network.load_state_dict({name: tensors[name] if name.startswith("trunk.") else own[name] for name in own})


def check_start(path: Path, network: nn.Module) -> None:
    """Refuse a file that can't start a network, by its header alone.

    Args:
        path: a safetensors file.
        network: may be on the meta device.

    Raises:
        StoreError: the file can't be read or its trunk has another shape.
    """
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {
                name.removeprefix("network."): tuple(file.get_slice(name).get_shape())
                for name in file.keys()  # noqa: SIM118 - not a dict
            }
    except OSError as error:
        raise StoreError(f"network.init_from: {path} can't be read ({error.strerror or error})") from None
    except SafetensorError as error:
        raise StoreError(f"network.init_from: {path} is not a safetensors file ({error})") from None
    _refuse_other_trunk(path, shapes, network)


def _refuse_other_trunk(path: Path, shapes: Mapping[str, tuple[int, ...]], network: nn.Module) -> None:
    for name, value in network.state_dict().items():
        if not name.startswith("trunk."):
            continue
        shape = shapes.get(name, "missing")
        if shape != tuple(value.shape):
            raise StoreError(
                f"network.init_from: {path} can't start this network: {name} is {shape}, not {tuple(value.shape)}; use "
                "the kind, depth and width that the file was trained with"
            )


def save_checkpoint(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: dict[str, Any],
    sums: Mapping[str, Tensor] | None = None,
) -> None:
    """Write weights, optimizer state, progress and the sums of an unfinished epoch in one file, atomically."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"sums.{name}": value for name, value in (sums or {}).items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {
            f"optimizer.{index}.{key}": torch.as_tensor(value) for key, value in state.items() if value is not None
        }
    save_tensors(path, tensors, progress)


def load_checkpoint(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Restore what `save_checkpoint` wrote; returns the progress and the sums.

    Raises:
        StoreError: the file is missing, damaged, or of another network.
    """
    tensors, progress = read_tensors(path)
    weights = {name.removeprefix("network."): v for name, v in tensors.items() if name.startswith("network.")}
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = value
    try:
        network.load_state_dict(weights)
        restore_optimizer(optimizer, state)
    except (RuntimeError, ValueError) as error:
        raise StoreError(f"{path} is a checkpoint of another network: {str(error).splitlines()[-1].strip()}") from None
    return progress, {name.removeprefix("sums."): v for name, v in tensors.items() if name.startswith("sums.")}


def restore_optimizer(optimizer: torch.optim.Optimizer, state: dict[int, dict[str, Tensor]]) -> None:
    """Load the state of another optimizer of the same kind; raises ValueError or RuntimeError if it does not fit."""
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    # With the memory layout of the weights: fused optimizers pair values by their position in memory.
    for parameter, values in optimizer.state.items():
        for key, value in values.items():
            if value.shape == parameter.shape:
                values[key] = torch.empty_like(parameter).copy_(value)


def read_about(path: Path) -> dict[str, Any]:
    """The JSON facts in the header of a safetensors file, unverified; empty if it cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            about: dict[str, Any] = json.loads((file.metadata() or {}).get("about", "{}"))
            return about
    except (SafetensorError, OSError, ValueError):
        return {}


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All tensors of a safetensors file and the JSON facts in its header.

    Raises:
        StoreError: the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        if about.pop("sha256", None) != _digest(tensors, about):
            raise ValueError("its checksum does not match")
        return tensors, about
    except FileNotFoundError:
        raise StoreError(f"{path} is missing") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise StoreError(f"{path} is damaged: {error}") from None


def save_tensors(path: Path, tensors: Mapping[str, Tensor], about: dict[str, Any]) -> None:
    """Write tensors with JSON facts in the header."""
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    # A single entry: safetensors writes several in no fixed order, and equal weights should make equal files.
    header = {"about": json.dumps({**about, "sha256": _digest(contiguous, about)})}
    with atomic(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        save_file(contiguous, temporary, metadata=header)
        temporary.chmod(mode)  # safetensors lets nobody else read its files, not even colleagues with one store


def _digest(tensors: dict[str, Tensor], about: dict[str, Any]) -> str:
    """SHA-256 of contiguous tensors and facts; safetensors itself does not detect changed bits."""
    digest = hashlib.sha256(json.dumps(about).encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()

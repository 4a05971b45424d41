"""A `.tagger` file: all networks of a tagger with what they need, as safetensors with a JSON header.

Tensors are named CONDITION.FOLD.CYCLE.TENSOR by number; in 8 bits, TENSOR.scale is beside them. An encoder is a tensor
of bytes. Nothing is unpickled, no name in the file becomes a path, and every value of the header is checked against
the bounds that grids have. Networks are made in the size of the file's tensors, so a small file takes little memory.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, ValidationError
from torch import Tensor

from features.errors import InputError, StoreError
from features.settings import EmbeddingSettings, FeatureSettings, Settings
from orchestrator.tagger.calibration import Calibration
from orchestrator.tagger.members import Condition
from trainers.folded import fold_norms
from trainers.network import Tagger as Network
from trainers.packing import Precision, pack, unpack
from trainers.precision import Precision as Computed
from trainers.settings import NetworkSettings, Padding, PredictSettings
from trainers.weights import read_tensors, save_tensors

__all__ = ["ENDING", "read_package", "write_package"]

ENDING = ".tagger"
MOST_NETWORKS = 100_000
SCALE = ".scale"
Text = Annotated[str, Field(max_length=1_000)]


class _Condition(Settings):
    """A condition in the header."""

    name: Text
    features: FeatureSettings
    padding: Padding
    read: PredictSettings
    """Its pads are those of the weights."""
    crop: int = Field(ge=1, le=100_000_000)
    precision: Computed
    noisy_head: bool
    network: NetworkSettings
    folds: int = Field(ge=1, le=MOST_NETWORKS)
    weights: Annotated[list[list[list[float]]], Field(min_length=1, max_length=MOST_NETWORKS)]
    """(cycles, heads, pads)"""


class _Header(Settings):
    format: Literal[1]
    classes: Annotated[list[Text], Field(min_length=1, max_length=1_000_000)]
    conditions: Annotated[list[_Condition], Field(min_length=1, max_length=10_000)]
    calibration: dict[str, Any]
    facts: dict[str, str]


def write_package(
    path: Path,
    classes: Sequence[str],
    conditions: Sequence[Condition],
    calibration: Calibration,
    facts: Mapping[str, str],
    precision: Precision,
) -> None:
    """Write a `.tagger` file.

    Args:
        path: the file.
        classes: names of the classes.
        conditions: the networks.
        calibration: what the scores mean.
        facts: for people: versions and scores.
        precision: of the weights.
    """
    tensors: dict[str, Tensor] = {}
    rows = []
    for number, condition in enumerate(conditions):
        rows.append(_row(condition))
        if condition.encoder is not None:
            content = np.frombuffer(condition.encoder.read_bytes(), np.uint8).copy()
            tensors[f"{number}.encoder"] = torch.from_numpy(content)
        for fold, networks in enumerate(condition.networks):
            for cycle, network in enumerate(networks):
                for name, value in network.state_dict().items():
                    key = f"{number}.{fold}.{cycle}.{name}"
                    kept, scale = pack(value, precision)
                    tensors |= {key: kept} if scale is None else {key: kept, key + SCALE: scale}
    header = _Header(
        format=1, classes=list(classes), conditions=rows, calibration=calibration.as_dict(), facts=dict(facts)
    )
    save_tensors(path, tensors, header.model_dump(mode="json"))


def _row(condition: Condition) -> _Condition:
    features, form = condition.features, condition.form
    if isinstance(features, EmbeddingSettings):  # no path of this machine goes into the file
        model = f"encoder{Path(features.model).suffix}"
        features = features.model_copy(update={"model": model, "seen": (), "seen_sha256": None})
    if hasattr(form, "init_from"):
        form = form.model_copy(update={"init_from": None, "init_sha256": None})
    read = PredictSettings.model_validate(
        {**condition.read.model_dump(include=set(READ_FIELDS)), "pads": condition.pads, "heads": condition.heads}
    )
    return _Condition(
        name=condition.name, features=features, padding=condition.padding, read=read, crop=condition.crop,
        precision=condition.precision, noisy_head="noisy" in condition.networks[0][0].heads, network=form,
        folds=len(condition.networks), weights=condition.weights.tolist(),
    )  # fmt: skip


READ_FIELDS = ("part", "crops", "align", "pad_to", "patience")


@contextmanager
def read_package(
    path: Path, device: torch.device
) -> Iterator[tuple[list[str], list[Condition], Calibration, dict[str, str]]]:
    """The classes, conditions, calibration and facts of a `.tagger` file; encoders are files within the context.

    Raises:
        InputError: the file is missing, damaged, or of another form or version.
    """
    try:
        tensors, about = read_tensors(path)
        header = _Header.model_validate(about)
        calibration = Calibration.of(header.calibration)
        groups = _by_network(tensors)
        conditions = [
            _condition(row, number, groups, len(header.classes)) for number, row in enumerate(header.conditions)
        ]
    except StoreError as error:
        raise InputError(f"{error}: export it again") from None
    except (ValidationError, ValueError, KeyError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path} is not a tagger that this version of sonogrid reads ({reason}): export it again"
        ) from None
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for number, condition in enumerate(conditions):
            encoder = None
            if isinstance(condition.features, EmbeddingSettings):
                encoder = Path(folder) / f"{number}{'.pt2' if condition.features.model.endswith('.pt2') else '.onnx'}"
                if f"{number}.encoder" not in tensors:
                    raise InputError(f"{path} lacks the encoder of {condition.name}: export it again")
                encoder.write_bytes(tensors[f"{number}.encoder"].numpy().tobytes())
            networks = tuple(tuple(network.to(device) for network in fold) for fold in condition.networks)
            found.append(replace(condition, encoder=encoder, networks=networks))
        yield header.classes, found, calibration, header.facts


def _by_network(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """CONDITION.FOLD.CYCLE -> the tensors of that network, unpacked."""
    groups: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if not key.endswith(SCALE) and key.count(".") > 2:
            condition, fold, cycle, name = key.split(".", 3)
            groups.setdefault(f"{condition}.{fold}.{cycle}", {})[name] = unpack((value, tensors.get(key + SCALE)))
    return groups


def _condition(row: _Condition, number: int, groups: Mapping[str, dict[str, Tensor]], classes: int) -> Condition:
    weights = np.array(row.weights, np.float64)
    if weights.shape[1:] != (len(row.read.heads), len(row.read.pads)):
        raise ValueError(f"weights of {row.name} have the shape {weights.shape}")
    networks = []
    for fold in range(row.folds):
        cycles = []
        for cycle in range(len(weights)):
            with torch.device("meta"):
                network = Network(row.network, classes, noisy_head=row.noisy_head, bands=row.features.bands)
                fold_norms(network)  # as the networks of a tagger are
            network.load_state_dict(groups[f"{number}.{fold}.{cycle}"], assign=True)
            network.to(memory_format=torch.channels_last)
            cycles.append(network.eval().requires_grad_(requires_grad=False))
        networks.append(tuple(cycles))
    return Condition(
        name=row.name, features=row.features, encoder=None, padding=row.padding, read=row.read, crop=row.crop,
        precision=row.precision, heads=row.read.heads, pads=row.read.pads, weights=weights, form=row.network,
        networks=tuple(networks),
    )  # fmt: skip

"""The networks of a run that a tagger uses, condition by condition, with their weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from features.errors import InputError, StoreError
from features.settings import FeatureSettings
from orchestrator.blending.members import stitch
from orchestrator.blending.result import Blend
from orchestrator.grids.ensembles import Member
from orchestrator.jobs.encoders import encoder_file
from orchestrator.jobs.predict import load_networks
from orchestrator.report.scores import nested_blend, predictions_of
from orchestrator.run.bound import Run
from orchestrator.tagger.calibration import Calibration, fit_calibration
from trainers.clips import ClipBank, MemoryClips
from trainers.folded import fold_norms
from trainers.network import Head
from trainers.network import Tagger as Network
from trainers.precision import Precision, use_precision
from trainers.predict import predict
from trainers.settings import NetworkSettings, Padding, ReadSettings

__all__ = ["Condition", "calibrate", "load_conditions", "member_weights"]


@dataclass(frozen=True)
class Condition:
    """The members of one condition that have a weight."""

    name: str
    features: FeatureSettings
    encoder: Path | None
    """Its file, for embeddings."""
    padding: Padding
    read: ReadSettings
    crop: int
    """Length of the part of a clip that is predicted, if it is not all of it."""
    precision: Precision
    heads: tuple[Head, ...]
    pads: tuple[int, ...]
    """(P,) of the members with a weight."""
    weights: NDArray[np.float64]
    """(cycles, heads, P)"""
    form: NetworkSettings
    """Of the networks."""
    networks: tuple[tuple[Network, ...], ...]
    """One tuple per fold, one network per cycle with a weight."""

    def scores(self, clips: Sequence[np.ndarray], device: torch.device) -> NDArray[np.float64]:
        """Scores (N, C) of clips, given by their features: the weighted sum of the members, mean of the folds."""
        read = self.read.model_copy(update={"pad_to": "own"})  # a file has the same scores alone and among others
        networks = [network for fold in self.networks for network in fold]
        with use_precision(self.precision, device):
            found = predict(  # (folds x cycles, heads, P, N, C)
                networks, ClipBank(MemoryClips(clips), device), np.arange(len(clips)), self.pads,
                heads=self.heads, padding=self.padding, read=read, crop=self.crop,
            )  # fmt: skip
        folds = len(self.networks)
        scores: NDArray[np.float64] = np.tensordot(np.tile(self.weights, (folds, 1, 1)) / folds, found, axes=3)
        return scores


def member_weights(run: Run, condition: str | None = None, members: int | None = None) -> dict[Member, float]:
    """The members that a tagger uses, with weights of sum 1.

    Args:
        run: a run.
        condition: all members of this condition alone, with equal weights; by default, the blend's.
        members: at most so many of the blend's members, those with the highest weights.

    Raises:
        InputError: there is no such condition, or not even one member is wanted.
        StoreError: the blend is not done yet.
    """
    if condition is not None:
        if members is not None:
            raise InputError("condition and members exclude each other: leave one out")
        if condition not in run.recipe.conditions:
            raise InputError(f"there is no condition '{condition}': there are {', '.join(run.recipe.conditions)}")
        row = run.recipe.conditions[condition]
        every = [
            Member(condition, cycle + 1, head, pad)
            for cycle in range(row.predicting)
            for head in row.predict.heads
            for pad in row.predict.pads
        ]
        return {member: 1 / len(every) for member in every}
    if members is not None and members < 1:
        raise InputError(f"members is {members}: a tagger needs at least one")
    assert run.graph.blend is not None
    node = run.graph.nodes[run.graph.blend]
    if run.store.state(node).state != "done":
        raise StoreError(f"{run.folder}: the blend is not done yet; finish the grid with: sonogrid resume {run.folder}")
    weighted = sorted(Blend.read(run.store.results(node)).weighted(), key=lambda pair: -pair[1])[:members]
    total = sum(weight for _, weight in weighted) if members is not None else 1.0
    return {member: weight / total for member, weight in weighted}


def load_conditions(run: Run, chosen: Mapping[Member, float], device: torch.device) -> list[Condition]:
    """Load the networks of members, of every fold, in the order of the grid.

    Raises:
        StoreError: a training is not done yet, or a file of the store is missing or damaged.
    """
    graph, store, recipe = run.graph, run.store, run.recipe
    conditions = []
    for name, condition in recipe.conditions.items():
        pads, heads = condition.predict.pads, condition.predict.heads
        weights = np.zeros((condition.predicting, len(heads), len(pads)))
        for member, weight in chosen.items():
            if member.condition == name:
                weights[member.cycle - 1, heads.index(member.head), pads.index(member.pad)] = weight
        cycles = np.flatnonzero(weights.any(axis=(1, 2)))
        used = np.flatnonzero(weights.any(axis=(0, 1)))
        if not len(cycles):
            continue
        nodes = [graph.nodes[graph.train[name, fold]] for fold in range(recipe.data.folds)]
        if any(store.state(node).state != "done" for node in nodes):
            raise StoreError(f"{run.folder}: {name} is not trained yet; finish it with: sonogrid resume {run.folder}")
        classes, soup = len(run.manifest.classes), condition.predict.soup
        folds = [load_networks(store.results(node), condition, classes, device, soup=soup) for node in nodes]
        for network in (network for fold in folds for network in fold):
            fold_norms(network)
            network.to(memory_format=torch.channels_last)  # the folded convolutions are new
        conditions.append(
            Condition(
                name=name,
                features=condition.features,
                encoder=encoder_file(store, condition.features),
                padding=condition.train.padding,
                read=condition.predict,
                crop=condition.train.crops[-1],
                precision=condition.train.precision,
                heads=tuple(heads),
                pads=tuple(pads[index] for index in used),
                weights=weights[cycles][:, :, used],
                form=condition.train.network,
                networks=tuple(tuple(networks[cycle] for cycle in cycles) for networks in folds),
            )
        )
    return conditions


def calibrate(run: Run, chosen: Mapping[Member, float], *, whole: bool) -> Calibration:
    """What the scores of members mean, from their out-of-fold scores in the store.

    Args:
        run: a run.
        chosen: the members with their weights.
        whole: whether they are the whole blend, whose scores by weights that were tuned without a clip's fold are used.

    Raises:
        StoreError: a prediction is not done yet, or a file of the store is missing or damaged.
    """
    clips = run.manifest.subset("curated")
    truth = run.manifest.targets("curated") > 0
    scores = nested_blend(run) if whole else None
    if scores is None:
        scores = np.zeros(truth.shape, np.float32)
        for name in dict.fromkeys(member.condition for member in chosen):
            folders = predictions_of(run, name)
            if folders is None:
                raise StoreError(
                    f"{run.folder}: {name} is not predicted yet; finish it with: sonogrid resume {run.folder}"
                )
            found = stitch({name: folders}, run.manifest)
            weights = np.array([chosen.get(member, 0.0) for member in found.members])
            scores += np.tensordot(weights, found.oof, 1).astype(np.float32)
    return fit_calibration(truth, scores, clips["fold"].to_numpy())

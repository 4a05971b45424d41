"""Tags of new audio files, by the blend of a finished run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from features.audio import probe, read_mono, without_notes
from features.errors import DataError, StoreError
from features.settings import FeatureSettings
from features.shards import FeatureExtractor
from orchestrator.blending.result import Blend
from orchestrator.jobs.encoders import encoder_file
from orchestrator.jobs.predict import load_networks
from orchestrator.run.bound import Run
from trainers.clips import ClipBank, MemoryClips
from trainers.network import Head
from trainers.network import Tagger as Network
from trainers.predict import predict
from trainers.settings import Padding, ReadSettings

__all__ = ["Tagger", "ranked"]


@dataclass(frozen=True)
class _Condition:
    """The members of one condition that have a weight in the blend."""

    features: FeatureSettings
    encoder: Path | None
    """Its file, for embeddings."""
    padding: Padding
    read: ReadSettings
    crop: int
    """Length of the part of a clip that is predicted, if it is not all of it."""
    heads: tuple[Head, ...]
    pads: tuple[int, ...]
    """(P,) of the members with a weight."""
    weights: NDArray[np.float64]
    """(cycles, heads, P)"""
    networks: tuple[tuple[Network, ...], ...]
    """One tuple per fold, one network per cycle with a weight."""

    def shares(self, paths: Sequence[Path], device: torch.device) -> Iterator[NDArray[np.float64]]:
        """The share of each fold of this condition in the blend's scores (N, C)."""
        extractor = FeatureExtractor(self.features, self.encoder)
        clips = [extractor.compute(read_mono(path, self.features.sample_rate_hz)) for path in paths]
        bank = ClipBank(MemoryClips(clips), device)
        rows = np.arange(len(paths))
        read = self.read.model_copy(update={"pad_to": "own"})  # a file has the same scores alone and among others
        for networks in self.networks:
            scores = predict(
                networks, bank, rows, self.pads, heads=self.heads, padding=self.padding, read=read, crop=self.crop
            )
            # (cycles, heads, P) with (cycles, heads, P, N, C)
            yield np.tensordot(self.weights, scores, axes=3) / len(self.networks)


class Tagger:
    """The blend of a finished run, loaded once.

    >>> tagger = Tagger.load("runs/demo")
    >>> tagger.tag("dog.wav")
    [('Bark', 0.91), ('Growling', 0.07), ('Whine', 0.01)]
    """

    def __init__(self, classes: Sequence[str], conditions: Sequence[_Condition], device: torch.device) -> None:
        self.classes = tuple(classes)
        """Names of the classes, in the order of score columns."""
        self.device = device
        self._conditions = tuple(conditions)

    def __repr__(self) -> str:
        networks = sum(len(fold) for condition in self._conditions for fold in condition.networks)
        return f"<Tagger: {len(self.classes)} classes, {networks} networks on {self.device}>"

    @classmethod
    def load(cls, run: str | Path, device: str | torch.device | None = None) -> "Tagger":
        """Load the networks of all members with a weight, of every fold.

        Args:
            run: the RUN folder of a finished run.
            device: where to compute; by default the first GPU if there is one, else the CPU.

        Raises:
            InputError: there is no run in the folder.
            StoreError: the blend is not done yet, or a file of the store is missing or damaged.
        """
        bound = Run.open(Path(run))
        graph, store, recipe = bound.graph, bound.store, bound.recipe
        assert graph.blend is not None
        node = graph.nodes[graph.blend]
        if store.state(node).state != "done":
            raise StoreError(f"{run}: the blend is not done yet; finish the grid with: sonogrid resume {run}")
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        blend = Blend.read(store.results(node))
        conditions = []
        for name in recipe.blended:
            condition = recipe.conditions[name]
            pads, heads = condition.predict.pads, condition.predict.heads
            weights = np.zeros((condition.train.cycles, len(heads), len(pads)))
            for member, weight in blend.weighted():
                if member.condition == name:
                    weights[member.cycle - 1, heads.index(member.head), pads.index(member.pad)] = weight
            cycles = np.flatnonzero(weights.any(axis=(1, 2)))
            used = np.flatnonzero(weights.any(axis=(0, 1)))
            if not len(cycles):
                continue
            folders = [store.results(graph.nodes[graph.train[name, fold]]) for fold in range(recipe.data.folds)]
            folds = [load_networks(folder, condition, len(bound.manifest.classes), place) for folder in folders]
            conditions.append(
                _Condition(
                    features=condition.features,
                    encoder=encoder_file(store, condition.features),
                    padding=condition.train.padding,
                    read=condition.predict,
                    crop=condition.train.crops[-1],
                    heads=tuple(heads),
                    pads=tuple(pads[index] for index in used),
                    weights=weights[cycles][:, :, used],
                    networks=tuple(tuple(networks[cycle] for cycle in cycles) for networks in folds),
                )
            )
        return cls(bound.manifest.classes, conditions, place)

    def scores(self, paths: Sequence[str | Path]) -> NDArray[np.float32]:
        """Scores of audio files of any sample rate, sample width and number of channels.

        Returns:
            (N, C) float32, one row per file, one column per class.

        Raises:
            DataError: files that cannot be read; all of them are named.
        """
        files = [Path(path) for path in paths]
        _require_audio(files)
        total = np.zeros((len(files), len(self.classes)))
        if files:
            for condition in self._conditions:
                for share in condition.shares(files, self.device):
                    total += share
        return total.astype(np.float32)

    def tag(self, path: str | Path, top: int = 3) -> list[tuple[str, float]]:
        """The classes with the highest scores for one audio file, the best first.

        Raises:
            DataError: the file cannot be read.
        """
        return ranked(self.classes, self.scores([path])[0])[:top]


def ranked(classes: Sequence[str], scores: NDArray[np.float32]) -> list[tuple[str, float]]:
    """Classes with their scores (C,), the highest first; equal scores stay in the order of the classes."""
    return [(classes[index], float(scores[index])) for index in (-scores).argsort(kind="stable")]


def _require_audio(files: Sequence[Path]) -> None:
    problems: list[str] = []
    for path in files:
        try:
            with without_notes():
                probe(path)
        except DataError as error:
            problems += [problem.replace("remove its row", "leave it out") for problem in error.problems]
    if problems:
        raise DataError(problems)

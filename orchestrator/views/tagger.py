"""Tags of new audio files, by the blend."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from features.audio import read_mono
from features.errors import DataError
from features.files import read_json
from features.shards import FeatureExtractor
from orchestrator.run.bound import Run
from orchestrator.views.scores import blended_test

__all__ = ["predict_files"]


def predict_files(run: Run, files: Sequence[Path]) -> np.ndarray:
    """Scores of new audio files by the blend: every member with a weight, mean of the folds.

    Args:
        run: a finished run.
        files: audio files of any rate, width and number of channels.

    Returns:
        (files, C) float32 scores.

    Raises:
        DataError: files that can't be read, all of them.
        StoreError: the blend is not done yet.
    """
    import torch

    from features.audio import probe, without_notes
    from orchestrator.jobs.kinds import load_networks
    from trainers.clips import ClipBank, MemoryClips
    from trainers.predict import predict

    blended_test(run)  # refuses an unfinished run
    problems: list[str] = []
    for path in files:
        try:
            with without_notes():
                probe(path)
        except DataError as error:
            problems += [problem.replace("remove its row", "leave it out") for problem in error.problems]
    if problems:
        raise DataError(problems)
    assert run.graph.blend is not None
    blend = read_json(run.store.results(run.graph.nodes[run.graph.blend]) / "blend.json")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    total = np.zeros((len(files), len(run.manifest.classes)), dtype=np.float64)
    for name in run.recipe.blended:
        condition = run.recipe.conditions[name]
        pads, heads = condition.predict.pads, condition.predict.heads
        weights = np.zeros((condition.train.cycles, len(heads), len(pads)))
        for member, weight in zip(blend["members"], blend["weights"], strict=True):
            if member["condition"] == name:
                weights[member["cycle"] - 1, heads.index(member["head"]), pads.index(member["pad"])] = weight
        if not weights.any():
            continue
        used_pads = np.flatnonzero(weights.any(axis=(0, 1)))
        extractor = FeatureExtractor(condition.features)
        arrays = [extractor.compute(read_mono(path, condition.features.sample_rate_hz)) for path in files]
        bank = ClipBank(MemoryClips(arrays), device)
        used = np.flatnonzero(weights.any(axis=(1, 2)))
        for fold in range(run.recipe.data.folds):
            folder = run.store.results(run.graph.nodes[run.graph.train[name, fold]])
            networks = load_networks(folder, condition, len(run.manifest.classes), device)
            chosen = [networks[cycle] for cycle in used]
            scores = predict(  # (cycles, heads, pads, N, C)
                chosen, bank, np.arange(len(files)), tuple(pads[index] for index in used_pads), heads=heads,
                padding=condition.train.padding,
            )  # fmt: skip
            total += np.tensordot(weights[used][:, :, used_pads], scores, axes=3) / run.recipe.data.folds
    return total.astype(np.float32)

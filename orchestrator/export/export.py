"""`sonogrid export`: a run's tagger as one file."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from features.encoders.export import save_onnx
from features.errors import InputError, JobError
from features.files import atomic
from features.words import count
from orchestrator.blending.result import Blend
from orchestrator.export.check import Comparison, clips_of, compare
from orchestrator.export.graph import TaggerGraph
from orchestrator.export.onnx_file import tagger_onnx
from orchestrator.report.scores import mean_predictions
from orchestrator.run.bound import Run
from orchestrator.run.places import require_new
from orchestrator.tagger.members import Condition
from orchestrator.tagger.package import ENDING, write_package
from orchestrator.tagger.tagger import Tagger
from trainers.lwlrap import lwlrap
from trainers.packing import Precision

__all__ = ["FORMATS", "Exported", "export_tagger", "require_format"]

FORMATS = (".onnx", ".pt2", ENDING)
LIMITS: dict[Precision, float] = {"fp32": 1e-3, "fp16": 0.02, "int8": 0.2}
"""Largest difference of a score from the run's; a file beyond it is not kept."""
MOST_BYTES = 1_900_000_000
"""Of weights in ONNX, whose files end at 2 GiB."""


@dataclass(frozen=True)
class Exported:
    """A file that was made, and how it compares."""

    path: Path
    n_bytes: int
    networks: int
    sample_rate_hz: int
    precision: Precision
    comparison: Comparison

    def lines(self) -> Iterator[str]:
        """What there is to say about it."""
        found = self.comparison
        yield (
            f"wrote {self.path}: {count(self.networks, 'network')}, {self.n_bytes / 1e6:.1f} MB, weights in "
            f"{self.precision}, samples at {self.sample_rate_hz} Hz"
        )
        yield (f"largest difference to the run: {found.largest:.2g} on {count(found.clips, f'{found.subset} clip')}")
        if found.lwlrap is not None:
            yield f"lwlrap: run {found.lwlrap:.4f}, file {found.exported_lwlrap:.4f}"
        yield f"speed: {found.times_real_time:,.0f} times real time on one core"

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self) | {"path": str(self.path)}


def export_tagger(
    folder: Path,
    to: Path,
    *,
    condition: str | None = None,
    fold: int | None = None,
    cycle: int | None = None,
    members: int | None = None,
    precision: Precision = "fp32",
) -> Exported:
    """Write a run's tagger to a new file, and run the file on clips of the dataset.

    Args:
        folder: RUN folder of a finished run.
        to: the new file; its ending says the format.
        condition: only the members of this condition, with equal weights, instead of the blend.
        fold: of these, only the networks that were trained without this fold.
        cycle: of these, only the snapshots of this cycle, from 1.
        members: only so many members of the blend, those with the highest weights.
        precision: of the weights in the file. What is computed with is float32.

    Raises:
        InputError: the name says no format or is taken, there is no such condition, fold or cycle, or the networks
            can't become a file of this format.
        StoreError: the blend is not done yet, or a file of the store is missing or damaged.
        JobError: the file's scores are not those of the run; nothing is written.
    """
    require_format("--to", to)
    require_new("--to", to)
    if condition is None and (fold is not None or cycle is not None):
        raise InputError("--fold and --cycle choose among the networks of one condition: name it with --condition")
    run = Run.open(folder)
    clips = clips_of(run)
    loaded = Tagger.load(folder, "cpu", condition=condition, members=members)
    conditions = [_chosen(one, fold, cycle) for one in loaded.conditions]
    tagger = Tagger(loaded.classes, conditions, torch.device("cpu"), lambda: loaded.calibration)
    rate = max(one.features.sample_rate_hz for one in conditions)
    facts = _facts(run, tagger, rate, precision, _scores(run, condition))
    with atomic(to) as temporary:
        if to.suffix == ENDING:
            write_package(temporary, tagger.classes, conditions, tagger.calibration, facts, precision)
        else:
            _write_graph(temporary, TaggerGraph(conditions, precision), len(tagger.classes), facts)
        comparison = compare(tagger, temporary, rate, clips)
        if not comparison.largest <= LIMITS[precision]:
            raise JobError(
                f"{to} was not written: a score differs from the run's by {comparison.largest:.2g}, more than "
                f"{LIMITS[precision]:g}; choose another precision, or report it"
            )
        size = temporary.stat().st_size
    networks = sum(len(networks) for one in conditions for networks in one.networks)
    return Exported(to, size, networks, rate, precision, comparison)


def require_format(option: str, path: Path) -> None:
    """Refuse a name whose ending stands for no format.

    Raises:
        InputError: the sentence names the option.
    """
    if path.suffix not in FORMATS:
        raise InputError(f"{option} {path}: the ending says the format: choose one of {', '.join(FORMATS)}")


def _chosen(condition: Condition, fold: int | None, cycle: int | None) -> Condition:
    """One fold, or one cycle, or both of a condition."""
    networks, weights = condition.networks, condition.weights
    if fold is not None:
        if not 0 <= fold < len(networks):
            raise InputError(f"--fold {fold}: {condition.name} has the folds 0 to {len(networks) - 1}")
        networks = networks[fold : fold + 1]
    if cycle is not None:
        if not 1 <= cycle <= len(weights):
            raise InputError(f"--cycle {cycle}: {condition.name} has the cycles 1 to {len(weights)}")
        networks = tuple(one[cycle - 1 : cycle] for one in networks)
        weights = weights[cycle - 1 : cycle] / weights[cycle - 1 : cycle].sum()
    return replace(condition, networks=networks, weights=weights)


def _facts(run: Run, tagger: Tagger, rate: int, precision: Precision, scores: Mapping[str, float]) -> dict[str, str]:
    """Metadata: what a program needs, and where the file comes from."""
    calibration = tagger.calibration
    assert run.graph.blend is not None
    about: dict[str, str | int | Sequence[str] | Sequence[float] | Mapping[str, float]] = {
        "sample_rate_hz": rate,
        "labels": tagger.classes,
        "thresholds": np.round(calibration.thresholds, 6).tolist(),
        "input": "float32 (clips, samples), mono, full scale 1; clips of one call are equally long",
        "output": "float32 (clips, labels), scores from 0 to 1",
        "precision": precision,
        "scores": scores,
        "grid": run.recipe.name,
        "conditions": [condition.name for condition in tagger.conditions],
        "sonogrid": version("sonogrid"),
        "torch": torch.__version__,
        "signature": run.graph.blend,
    }
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in about.items()}


def _scores(run: Run, condition: str | None) -> dict[str, float]:
    """lwlrap of the whole blend, or of the whole condition."""
    if condition is not None:
        found = mean_predictions(run).get(condition)
        return {} if found is None else {"oof_lwlrap": lwlrap(run.manifest.targets("curated"), found.oof)}
    assert run.graph.blend is not None
    blend = Blend.read(run.store.results(run.graph.nodes[run.graph.blend]))
    return {name: value for name, value in blend.result.scores().items() if value is not None}


def _write_graph(file: Path, graph: TaggerGraph, classes: int, facts: dict[str, str]) -> None:
    graph.eval()
    if file.suffix == ".onnx":
        size = sum(buffer.nbytes for buffer in graph.buffers())
        if size > MOST_BYTES:
            raise InputError(
                f"the weights take {size / 1e9:.1f} GB, and a .onnx file holds 2: name a condition, use --members, "
                "--precision int8, or export to .tagger"
            )
        save_onnx(tagger_onnx(graph, classes), file, facts)
        return
    dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    samples = torch.zeros(2, 2 * graph.sample_rate_hz)
    with torch.no_grad():
        program = torch.export.export(graph, (samples,), dynamic_shapes=(dynamic,))
    program.example_inputs = None  # not a part of the file
    torch.export.save(program, file, extra_files=facts)

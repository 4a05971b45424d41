"""`--time-limit`: measure this machine for a moment and choose what of a grid fits; a later launch chooses the same."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from features.audio import read_mono
from features.errors import InputError, JobError
from features.files import hash_of
from features.shards import FeatureExtractor
from features.words import listed, short
from orchestrator.grids.recipe import Recipe
from orchestrator.grids.shorten import shortened
from orchestrator.planning.plan import Plan
from orchestrator.planning.time_limit import Choice, Machine, Speed, choose
from orchestrator.run.bound import Run
from orchestrator.run.execution import Execution
from orchestrator.run.record import read_run_json
from orchestrator.run.selection import Selection, plan_of

__all__ = ["duration", "within"]

RAY_STARTS = 8
"""Start of Ray, and what a launch does before and after its jobs, in starts of a process."""
JOB_STARTS = 3
"""The start of a training on Ray likewise: a Ray Train job starts two processes."""
INLINE_STARTS = 2
"""A launch in one process; trainings need no start there."""
LENGTHS = 24
"""Clips whose lengths the measurement has."""
CLIPS = 4
"""Clips whose features are computed to measure the time."""
PROCESSES = 8
"""That measure at once, at most."""


def within(run: Run, selection: Selection, execution: Execution, limit_s: float) -> tuple[Run, Selection]:
    """The run with as many conditions and epochs as fit into a time, and a note that says which.

    The choice becomes a part of the selection, and so of run.json. A launch of the same grid into the same folder with
    the same limit takes it from there.

    Raises:
        InputError: nothing of the grid fits, or jobs would run elsewhere.
    """
    if execution.address is not None or execution.workers > 1 or execution.place:
        raise InputError("--time-limit measures one worker on this machine: leave out --address, --workers, --place")
    if selection.conditions or selection.folds:
        raise InputError("--time-limit chooses what runs: leave out --only and --folds")
    grid = hash_of(run.recipe.model_dump(mode="json"))
    earlier = ((read_run_json(run.folder) or {}).get("asked") or {}).get("time_limit") or {}
    if earlier.get("grid") == grid and earlier.get("limit_s") == limit_s:
        choice, how = Choice(tuple(earlier["conditions"]), earlier["share"], earlier["predicted_s"]), "as chosen before"
    else:
        choice, how = _measured_choice(run, plan_of(run, selection), execution, limit_s), "measured on this machine"
    note = f"{_in_words(run.recipe, choice, limit_s)} ({how})"
    chosen = {"grid": grid, "limit_s": limit_s, **asdict(choice)}
    recipe = shortened(run.recipe, choice.conditions, choice.share)
    return replace(run, recipe=recipe, notes=(*run.notes, note)), replace(selection, time_limit=chosen)


def duration(seconds: float) -> str:
    """'90 s', '20 min' or '1 h 30 min'."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _in_words(recipe: Recipe, choice: Choice, limit_s: float) -> str:
    left_out = [name for name in recipe.conditions if name not in choice.conditions]
    parts = [] if choice.share >= 1 else [f"{choice.share:.0%} of the epochs"]
    parts += [f"without {listed(left_out, most=20)}"] if left_out else []
    what = ", ".join(parts) or "the whole grid"
    return f"time limit {duration(limit_s)}: {what}, which takes about {duration(choice.predicted_s)}"


def _measured_choice(run: Run, plan: Plan, execution: Execution, limit_s: float) -> Choice:
    slots = _slots(run.recipe, execution)
    speeds, start_s = _speeds(run, slots)
    is_ray = execution.executor == "ray"
    machine = Machine(
        slots=slots,
        start_s=start_s * (RAY_STARTS if is_ray else INLINE_STARTS),
        job_s=start_s * JOB_STARTS if is_ray else 0.0,
        features_s=_features_s(run, plan, _cores() if is_ray else 1),
    )
    choice = choose(plan, run.recipe, run.manifest, speeds, machine, limit_s)
    if choice is None:
        raise InputError(
            f"--time-limit {duration(limit_s)} is too short for grid {run.recipe.name} on this machine, even with one "
            "condition and one epoch: give more time"
        )
    return choice


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _slots(recipe: Recipe, execution: Execution) -> int:
    """Trainings that run at a time."""
    if execution.executor == "inline":
        return 1
    threads = max(condition.train.threads for condition in recipe.conditions.values())
    cores = max(1, _cores() // threads)
    if not execution.gpus_per_job:
        return cores
    import torch

    return max(1, min(cores, int(torch.cuda.device_count() / execution.gpus_per_job)))


def _speeds(run: Run, slots: int) -> tuple[dict[str, Speed], float]:
    """Speed of each condition, and seconds that a process takes to start.

    As many processes as trainings will run measure at once.
    """
    cases: dict[str, list[Any]] = {}
    keys: dict[str, str] = {}
    for name, condition in run.recipe.conditions.items():
        settings = condition.train.model_dump(mode="json") | {"seed": 0, "init_from": None, "rescue": {}, "epochs": 1}
        settings |= {"cycles": 1}
        shards = (run.graph.nodes[s].shard for s in run.graph.nodes[run.graph.train[name, 0]].inputs["curated"])
        lengths = np.concatenate([shard.lengths for shard in shards if shard is not None])
        some = np.quantile(lengths, (np.arange(LENGTHS) + 0.5) / LENGTHS).astype(int).tolist()
        case = [_startable(settings), len(run.manifest.classes), condition.features.bands, some]
        keys[name] = hash_of(case)
        cases[keys[name]] = case
    at_once = min(slots, PROCESSES)
    with ThreadPoolExecutor(at_once) as pool:
        measured = list(pool.map(_measure, [json.dumps(list(cases.values()))] * at_once))
    found = {
        key: Speed(*(fmean(speeds[row][part] for speeds, _ in measured) for part in (0, 1)))
        for row, key in enumerate(cases)
    }
    return {name: found[key] for name, key in keys.items()}, fmean(start_s for _, start_s in measured)


def _measure(cases: str) -> tuple[list[tuple[float, float]], float]:
    """Measure in a process of its own, which leaves no GPU memory taken; the last number is how long it started."""
    command = [sys.executable, "-m", "trainers.speed"]
    began = time.time()
    done = subprocess.run(command, input=cases, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        cause = (done.stderr.strip().splitlines() or ["it was ended"])[-1]
        raise JobError(f"the speed of this machine can't be measured ({short(cause)}): leave out --time-limit")
    measured = json.loads(done.stdout)
    return measured["speeds"], measured["ready"] - began


def _startable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of two epochs that are valid by themselves."""
    semi = settings["semi"]
    if semi and semi["method"] == "pseudo_label":
        semi = semi | {"ramp_start": 0.0}
    return {**settings, "semi": semi}


def _features_s(run: Run, plan: Plan, cores: int) -> float:
    """Seconds for the features that are missing, from those of a few clips."""
    missing = [planned.node for planned in plan.pending if planned.node.shard is not None]
    total = 0.0
    clips = run.manifest.clips
    for settings in {condition.features for condition in run.recipe.conditions.values()}:
        signed = settings.signed()
        rows = sum(int(np.sum(n.shard.lengths)) for n in missing if n.shard and n.payload["features"] == signed)
        if not rows:
            continue
        model = getattr(settings, "model", None)
        extractor = FeatureExtractor(settings, None if model is None else Path(model))
        paths = clips["path"].iloc[np.linspace(0, len(clips) - 1, CLIPS + 1).astype(int)]
        done, began = 0, 0.0
        for number, path in enumerate(paths):
            if number == 1:  # the first one warms up
                began = time.perf_counter()
            found = extractor.compute(read_mono(run.data_root / path, settings.sample_rate_hz))
            done += len(found) if number else 0
        total += rows * (time.perf_counter() - began) / max(1, done) / cores
    return total

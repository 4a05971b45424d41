"""The Ray executor: a Ray task a shard, prediction, pseudo label and blend; one Ray Train job a condition x fold.

What became of a job is read from its folder, not from Ray's exceptions: `done.json` says done, `failed.json` that the
job itself raised; neither, that its process or node was lost - which alone is worth another attempt.
"""

import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from features.files import read_json
from orchestrator.graph import Node
from orchestrator.jobs import JobSpec, run_job
from orchestrator.ray_train import PLACEMENT, fast_start_environment, fit, free_resources, remember_placement
from orchestrator.recipe import Execution
from orchestrator.run import Run
from orchestrator.scheduler import Finished, Needs

__all__ = ["RayExecutor"]


def _run_asked(spec: JobSpec) -> bool:
    """A job in a worker; the driver asks it to stop by a file in its folder."""
    stop = spec.folder / "stop"
    stop.unlink(missing_ok=True)
    return run_job(spec, stop.exists)


def _train_loop(config: dict[str, Any]) -> None:
    """What the Ray Train worker of a job runs."""
    spec: JobSpec = config["spec"]
    remember_placement(spec.folder)
    _run_asked(spec)


class RayExecutor:
    """Runs nodes on the Ray cluster that an address names, or on one started in place."""

    def __init__(self, run: Run, execution: Execution, should_stop: Callable[[], bool] = lambda: False) -> None:
        fast_start_environment()
        import ray

        self.run, self.execution, self.should_stop = run, execution, should_stop
        self._ours = not ray.is_initialized()
        if self._ours:
            _start_ray(execution.address)
        total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self._free = Needs(float(total.get("CPU", 0)), float(total.get("GPU", 0)))
        self._running: dict[str, JobSpec] = {}
        self._needs: dict[str, Needs] = {}
        self._queue: queue.Queue[tuple[str, str | None]] = queue.Queue()
        self._task = ray.remote(max_retries=0)(_run_asked)
        self._told = False

    def needs(self, node: Node) -> Needs:
        """CPUs of the node; GPUs where it trains or predicts."""
        return Needs(node.cpus, self.execution.gpus_per_job if node.trains else 0.0)

    def fits(self, needs: Needs) -> bool:
        """Whether that much of the cluster is not given to a job yet."""
        return needs.cpus <= self._free.cpus + 1e-9 and needs.gpus <= self._free.gpus + 1e-9

    def submit(self, node: Node) -> None:
        """Start a node; a thread waits for it."""
        spec, needs = self.run.job_spec(node, self.execution), self.needs(node)
        self._free = Needs(self._free.cpus - needs.cpus, self._free.gpus - needs.gpus)
        self._running[node.signature], self._needs[node.signature] = spec, needs
        target = self._fit if node.kind == "train" else self._await_task
        threading.Thread(target=target, args=(spec, needs), name=node.name, daemon=True).start()

    def _await_task(self, spec: JobSpec, needs: Needs) -> None:
        import ray

        self._guard(spec, lambda: ray.get(self._task.options(num_cpus=needs.cpus, num_gpus=needs.gpus).remote(spec)))

    def _fit(self, spec: JobSpec, needs: Needs) -> None:
        storage = self.run.store.root.resolve() / ".ray"
        self._guard(spec, lambda: fit(_train_loop, spec, storage, cpus=needs.cpus, gpus=needs.gpus))

    def _guard(self, spec: JobSpec, call: Callable[[], Any]) -> None:
        try:
            call()
        except (Exception, SystemExit) as error:
            # `ray.shutdown` ends a waiting fit with SystemExit. Ray has many ways to say that a worker is gone; the
            # folder tells what they mean.
            self._queue.put((spec.signature, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"))
        else:
            self._queue.put((spec.signature, None))

    def wait(self, timeout_s: float) -> list[Finished]:
        """Outcomes since the last call."""
        if self.should_stop() and not self._told:
            self._told = True
            for spec in self._running.values():
                if spec.kind == "train":
                    (spec.folder / "stop").touch()
        found = []
        try:
            found.append(self._queue.get(timeout=timeout_s))
            while True:
                found.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        return [self._finish(signature, error) for signature, error in found]

    def _finish(self, signature: str, error: str | None) -> Finished:
        needs = self._needs.pop(signature)
        self._free = Needs(self._free.cpus + needs.cpus, self._free.gpus + needs.gpus)
        folder = self._running.pop(signature).folder
        outcome, cause = _outcome(folder, error)
        if outcome == "lost":
            free_resources(folder)
        for name in ("stop", PLACEMENT):
            (folder / name).unlink(missing_ok=True)
        return Finished(signature, outcome, cause)

    def close(self) -> None:
        """End Ray if it was started here; on a cluster of others leave everything but our own jobs."""
        import ray

        if self._ours:
            ray.shutdown()


def _outcome(folder: Path, error: str | None) -> tuple[str, str]:
    if (folder / "done.json").exists():
        return "done", ""
    if (folder / "failed.json").exists():
        return "failed", str(read_json(folder / "failed.json")["cause"])
    if error is None:
        return "stopped", "stopped before its end; it continues from its last epoch"
    return "lost", error


def _start_ray(address: str | None) -> None:
    import ray

    # "local": a bare init would join any cluster that happens to run on this machine.
    ray.init(
        address=address or "local",
        include_dashboard=False if address is None else None,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )

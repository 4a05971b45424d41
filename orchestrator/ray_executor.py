"""The Ray executor: a Ray task a shard, prediction, pseudo label and blend; one Ray Train job a condition x fold.

What became of a job is read from its folder (`orchestrator.outcome`). A job that makes no progress is ended here, and
one whose machine is about to go is asked to write a checkpoint at once.
"""

import logging
import math
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from features.errors import InputError
from orchestrator.graph import Node
from orchestrator.jobs import JobSpec, run_job
from orchestrator.outcome import outcome_of
from orchestrator.ray_train import (
    PLACEMENT,
    fast_start_environment,
    fit,
    free_abandoned,
    free_resources,
    placement,
)
from orchestrator.recipe import Execution
from orchestrator.run import Run
from orchestrator.scheduler import Finished, Needs
from orchestrator.secrets import redact
from orchestrator.store import open_store
from trainers.supervisor import Stop

__all__ = ["RayExecutor"]


def _run_asked(spec: JobSpec) -> bool:
    """A job in a worker; the driver asks it to stop by a mark in the store."""
    import ray

    return run_job(spec, place=ray.get_runtime_context().get_node_id())


def _train_loop(config: dict[str, Any]) -> None:
    """What the Ray Train worker of a job runs."""
    spec: JobSpec = config["spec"]
    open_store(spec.store, listed=False).set_mark(spec.node, PLACEMENT, placement())
    _run_asked(spec)


@dataclass
class _Submitted:
    """A job that runs, or waits in Ray for its processes."""

    node: Node
    spec: JobSpec
    needs: Needs
    task: Any = None
    """Reference of a Ray task; a Train job has none."""
    count: int = -1
    """Pieces of work done when last seen, and when that changed."""
    changed: float = field(default_factory=time.monotonic)
    preempted: bool = False


class RayExecutor:
    """Runs nodes on the Ray cluster that an address names, or on one started in place."""

    def __init__(
        self, run: Run, execution: Execution, stopping: Callable[[], Stop] = lambda: "no", owner: str = ""
    ) -> None:
        fast_start_environment()
        import ray

        self.run, self.execution, self.stopping, self.owner = run, execution, stopping, owner
        self._ours = not ray.is_initialized()
        if self._ours:
            _start_ray(execution.address)
        self._total = Needs()
        self._running: dict[str, _Submitted] = {}
        self._room: dict[str, float] = {}
        """Signature -> by how much its needs were raised after it ran out of memory."""
        self._queue: queue.Queue[tuple[_Submitted | None, Finished | str]] = queue.Queue()
        self._task = ray.remote(max_retries=0)(_run_asked)
        self._looked = 0.0
        self._asked: Stop = "no"
        self._measure()

    def _measure(self) -> None:
        """What the cluster has now: machines come and go."""
        import ray

        total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self._total = Needs(float(total.get("CPU", 0)), float(total.get("GPU", 0)))

    def needs(self, node: Node) -> Needs:
        """CPUs of the node; GPUs where it trains or predicts."""
        room = self._room.get(node.signature, 1.0)
        gpus = self.execution.gpus_per_job if node.trains else 0.0
        # Of a shared GPU the whole is the next step; more than one would not help a job that uses one.
        return Needs(min(node.cpus * room, max(node.cpus, self._total.cpus)), math.ceil(gpus) if room > 1 else gpus)

    def fits(self, needs: Needs) -> bool:
        """Whether that much of the cluster is not given to a job yet."""
        given = [submitted.needs for submitted in self._running.values()]
        cpus = self._total.cpus - sum(each.cpus for each in given)
        gpus = self._total.gpus - sum(each.gpus for each in given)
        return needs.cpus <= cpus + 1e-9 and needs.gpus <= gpus + 1e-9

    def give_room(self, node: Node) -> bool:
        """Twice the CPUs, so that fewer jobs share the machine's memory, and a GPU of its own."""
        before = self.needs(node)
        self._room[node.signature] = 2.0 * self._room.get(node.signature, 1.0)
        return self.needs(node) != before

    def submit(self, node: Node) -> None:
        """Start a node; a thread waits for it."""
        if self.run.store.is_busy(node, self.owner):
            self._queue.put((None, Finished(node.signature, "busy")))
            return
        spec = self.run.job_spec(node, self.execution, self.owner)
        submitted = self._running[node.signature] = _Submitted(node, spec, self.needs(node))
        target = self._fit if node.kind == "train" else self._await_task
        threading.Thread(target=target, args=(submitted,), name=node.name, daemon=True).start()

    def _await_task(self, job: _Submitted) -> None:
        import ray

        options = {"num_cpus": job.needs.cpus, "num_gpus": job.needs.gpus, "name": job.node.name}
        job.task = self._task.options(**options).remote(job.spec)
        self._guard(job, lambda: ray.get(job.task))

    def _fit(self, job: _Submitted) -> None:
        # Train's controller runs on this host, and no worker gives it a checkpoint: nobody else reads what it writes.
        storage = str(self.run.store.root / ".ray")
        self._guard(job, lambda: fit(_train_loop, job.spec, storage, cpus=job.needs.cpus, gpus=job.needs.gpus))

    def _guard(self, job: _Submitted, call: Callable[[], Any]) -> None:
        try:
            call()
        except (Exception, SystemExit) as error:
            # `ray.shutdown` ends a waiting fit with SystemExit. Ray has many ways to say that a worker is gone; the
            # folder tells what they mean.
            self._queue.put((job, redact(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")))
        else:
            self._queue.put((job, ""))

    def wait(self, timeout_s: float) -> list[Finished]:
        """Outcomes since the last call."""
        if self.stopping() != self._asked:
            self._asked = self.stopping()
            for job in self._running.values():
                self._ask_to_stop(job.node, self._asked)
        if time.monotonic() - self._looked > 1.0:
            self._looked = time.monotonic()
            self._look_around()
        found = []
        try:
            found.append(self._queue.get(timeout=timeout_s))
            while True:
                found.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        finished = [
            end if isinstance(end, Finished) else self._finish(job, end)
            for job, end in found
            # A job that was given up may still tell its end.
            if job is None or self._running.get(job.node.signature) is job
        ]
        for end in finished:
            self._running.pop(end.signature, None)
        return finished

    def _look_around(self) -> None:
        """Machines that joined or are about to go, and jobs that stand still."""
        import ray

        try:
            self._measure()
            draining = ray._private.state.state.get_draining_nodes()
        except Exception:  # Ray raises many things while its head is away; the jobs' own ends tell what is lost
            return
        for job in list(self._running.values()):
            alive = self.run.store.alive(job.node) or {}
            if draining and alive.get("place") in draining and not job.preempted:
                job.preempted = True
                self._ask_to_stop(job.node, "now")
            count = int(alive.get("count", -1))
            if count != job.count:
                job.count, job.changed = count, time.monotonic()
            elif time.monotonic() - job.changed > self.execution.stall_s:
                self._end(job)
                minutes = self.execution.stall_s / 60
                cause = f"made no progress for {minutes:g} minutes on {alive.get('host', 'the cluster')} and was ended"
                end = Finished(job.node.signature, "lost", cause, self.run.store.reached(job.node))
                self._queue.put((None, end))

    def _finish(self, job: _Submitted | None, error: str) -> Finished:
        assert job is not None
        end = outcome_of(self.run, job.node, error)
        if end.outcome == "stopped" and self._asked == "no":
            # Nobody asked here: its machine is about to go, or another attempt has superseded it.
            end = Finished(end.signature, "preempted" if job.preempted else "lost", end.cause, end.reached)
        if end.outcome in ("lost", "memory"):
            self._free(job)
            free_abandoned()
        self.run.store.drop_mark(job.spec.node, PLACEMENT)
        return end

    def _free(self, job: _Submitted) -> None:
        """Drop the reservation of a Train job, which a dead controller would leave behind."""
        mark = self.run.store.mark(job.spec.node, PLACEMENT)
        if mark is not None:
            free_resources(mark)

    def _ask_to_stop(self, node: Node, stop: Stop) -> None:
        if node.kind == "train" and stop != "no":
            self.run.store.ask_to_stop(node, stop)

    def _end(self, job: _Submitted) -> None:
        """End the processes of a job."""
        import ray

        if job.task is not None:
            ray.cancel(job.task, force=True)
        self._free(job)

    def close(self) -> None:
        """End Ray if it was started here; on a cluster of others leave everything but our own jobs."""
        import ray

        for job in self._running.values():
            self._end(job)
        if self._ours:
            ray.shutdown()


def _start_ray(address: str | None) -> None:
    import ray

    try:
        # "local": a bare init would join any cluster that happens to run on this machine.
        ray.init(
            address=address or "local",
            include_dashboard=False if address is None else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        if address is None:
            raise
        why = " ".join(str(error).split())[:200]
        raise InputError(f"--address {address}: no Ray cluster can be reached there ({redact(why)})") from None

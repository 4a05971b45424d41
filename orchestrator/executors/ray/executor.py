"""The Ray executor: one Ray task per shard, prediction, pseudo label and blend; one Ray Train job per training job.

A job's outcome is read from its folder (`executors.outcome`). A job that makes no progress is ended here. A job whose
machine is about to be removed is asked to write a checkpoint at once.
"""

import logging
import math
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from features.errors import BusyError, GridError, InputError
from orchestrator.executors.ledger import Ledger
from orchestrator.executors.outcome import outcome_of
from orchestrator.executors.ray.cluster import Demand, draining, has_autoscaler, machines
from orchestrator.executors.ray.connect import connect
from orchestrator.executors.ray.prometheus import Metrics
from orchestrator.executors.ray.train import (
    await_result,
    fast_start_environment,
    fit,
    free_abandoned,
    free_resources,
    placement,
)
from orchestrator.executors.ray.versions import differing_nodes
from orchestrator.jobs.run import run_job, run_share
from orchestrator.jobs.spec import JobSpec
from orchestrator.planning.scheduler import Finished, Needs, Standing
from orchestrator.redact import one_line
from orchestrator.run.bound import Run
from orchestrator.run.execution import Execution
from orchestrator.store.layout import attempt_place
from orchestrator.store.marks import Placement, Queued, StopRequest
from orchestrator.store.node import Node
from orchestrator.store.open import open_store
from trainers.supervisor import Stop

__all__ = ["RayExecutor"]

UNSEEN_S = 30.0
"""Longest time between two looks at a job that counts when it makes no progress."""
CLOSE_S = 20.0
"""How long to wait for threads that are still within a call of Ray before it is closed."""

log = logging.getLogger("sonogrid")


def _run_asked(spec: JobSpec) -> bool:
    """A job in a worker; the driver asks it to stop by a mark in the store."""
    import ray

    return run_job(spec, place=ray.get_runtime_context().get_node_id())


def _train_loop(config: dict[str, Any]) -> None:
    """What a Ray Train worker of a job runs."""
    from ray.train import get_context

    spec: JobSpec = config["spec"]
    if get_context().get_world_rank() > 0:
        run_share(spec)
        return
    store = open_store(spec.store, listed=False)
    if store.may_write(spec.node, spec.claim):  # otherwise its folder may be swept already
        store.write_mark(attempt_place(spec.node, spec.attempt), placement())
    _run_asked(spec)


@dataclass
class _Submitted:
    """A job that is running, or waiting in Ray for its processes."""

    node: Node
    spec: JobSpec
    needs: Needs
    machines: list[str]
    task: Any = None
    """Reference of a Ray task; a Train job has none."""
    count: int = -1
    """Pieces of work done when last seen, and when that changed."""
    changed: float = field(default_factory=time.monotonic)
    seen: float = field(default_factory=time.monotonic)
    epochs: int = -1
    """Done when last seen; -1: not seen yet."""
    samples_per_s: float = 0.0
    preempted: bool = False

    def count_only(self, seconds: float) -> None:
        """Do not take time in which nobody looked for standstill: the store was away, or this machine suspended."""
        now = time.monotonic()
        self.changed += max(0.0, now - self.seen - seconds)
        self.seen = now

    @property
    def place(self) -> str:
        """The attempt's folder in the store."""
        return attempt_place(self.spec.node, self.spec.attempt)


class RayExecutor:
    """Runs nodes on the Ray cluster that an address names, or on one started in place."""

    run_in_task = staticmethod(_run_asked)
    """What a Ray task does with a job."""

    def __init__(self, run: Run, execution: Execution, stopping: Callable[[], Stop] = lambda: "no") -> None:
        _check_execution(run, execution)
        fast_start_environment()
        import ray

        self.run, self.execution, self.stopping = run, execution, stopping
        self._ours = not ray.is_initialized()
        agreeing = connect(execution.address) if self._ours else set()
        self._vetted: set[str] | None = agreeing if self._ours and execution.address not in (None, "local") else None
        """Ids of machines that have the versions of this process; None: there is only this machine."""
        self._differing: dict[str, str] = {}
        self._vetting: threading.Thread | None = None
        self._closing = threading.Event()
        self._waiting: list[threading.Thread] = []
        """Threads that wait for a job, or did."""
        self.ledger = Ledger()
        self.demand = Demand()
        self.metrics = Metrics()
        self._running: dict[str, _Submitted] = {}
        self._raised: dict[str, Needs] = {}
        """Signature -> its needs after it ran out of memory."""
        self._queue: queue.Queue[tuple[_Submitted | None, Finished | str]] = queue.Queue()
        self._task = ray.remote(max_retries=0)(self.run_in_task)
        self._looked = self._read_signs = 0.0
        self._asked: Stop = "no"
        self._alive: set[str] = set()
        self._going: set[str] = set()
        self._reported: set[Needs] = set()
        self._has_gpus = False
        """Whether a machine had a GPU at any time: jobs then wait for one, rather than train on CPUs."""
        self._measure()
        self._grows = has_autoscaler()
        if self._grows and not self._has_gpus and execution.gpus_per_job is None:
            self.close()
            # Ray does not say which machines may be added. Without this question a grid might silently train on CPUs.
            raise InputError(
                "the cluster has an autoscaler and no GPU yet: give --gpus-per-job 1 to have GPUs started for training "
                "jobs, or --gpus-per-job 0 to train on CPUs"
            )

    def _measure(self) -> None:
        """Read the machines that the cluster has now."""
        found, self._going = machines(), draining()
        self._alive = set(found)
        usable = self._alive - self._going if self._vetted is None else self._vetted & self._alive - self._going
        self.ledger.update(machine for name, machine in found.items() if name in usable)
        self._has_gpus = self._has_gpus or self.ledger.has_gpus
        if self._vetted is not None and not self._alive <= self._vetted | self._differing.keys():
            self._vet(self._vetted)

    def _vet(self, vetted: set[str]) -> None:
        """Compare the versions of machines that have joined with ours; a thread waits for their answers."""
        if self._vetting is not None and self._vetting.is_alive():
            return

        def ask() -> None:
            differing = differing_nodes(vetted, self._closing)
            for sentence in differing.values():
                log.warning("%s; until then it gets no jobs", sentence)
            self._differing |= differing

        self._vetting = threading.Thread(target=ask, name="versions", daemon=True)
        self._vetting.start()

    def needs(self, node: Node) -> Needs:
        """CPUs of the node; GPUs where it trains or predicts, and workers where it trains."""
        if node.signature in self._raised:
            return self._raised[node.signature]
        if not node.trains:
            return Needs(node.cpus)
        gpus, workers = self.execution.share_of(node.condition)
        if gpus is None:
            gpus = float(workers) if self._has_gpus else 0.0
        place = self.execution.place.get(node.condition or "")
        kind = (place.gpu or "") if place is not None and gpus else ""
        return Needs(node.cpus, min(gpus, 1.0), workers if node.kind == "train" else 1, kind)

    def fits(self, needs: Needs) -> bool:
        """Whether a machine has room for each worker now."""
        return self.ledger.fits(needs)

    def give_room(self, node: Node) -> bool:
        """Twice the CPUs, so that fewer jobs share the machine's memory, and a GPU of its own."""
        before = self.needs(node)
        cpus = min(2 * before.cpus, max(before.cpus, self.ledger.most_cpus))
        # Of a shared GPU the whole is the next step; more than one would not help a job that uses one.
        self._raised[node.signature] = replace(before, cpus=cpus, gpus=float(math.ceil(before.gpus)))
        return self.needs(node) != before

    def hold(self, standing: Standing) -> bool:
        """Check machines and jobs, publish the metrics, and ask an autoscaler for room for waiting jobs.

        Without an autoscaler, jobs wait while others use machines that have room for them.
        """
        if time.monotonic() - self._looked > 1.0:
            self._looked = time.monotonic()
            self._look_around()
        self.metrics.standing(standing)
        if self._grows:
            tasks = Counter(job.needs for job in self._running.values() if job.task is not None)
            self.demand.show(dict(tasks + Counter(standing.ready)) if standing.ready else {})
        if not standing.ready or standing.running:
            return True
        for needs in standing.ready.keys() - self._reported:
            self._reported.add(needs)
            log.warning("no machine has room yet for jobs that need %s; they are waiting", needs)
        return self._grows or any(self.ledger.could_fit(needs) for needs in standing.ready)

    def submit(self, node: Node) -> None:
        """Start a node on the machines that have room for it; a thread waits for it."""
        self.run.store.refresh(node)
        if self.run.store.state(node).state == "done":  # by another run, or by an attempt that was believed lost
            self._queue.put((None, Finished(node.signature, "done")))
            return
        needs = self.needs(node)
        try:
            spec = self.run.claim(node, self.execution.of_job(needs.gpus, needs.workers))
        except BusyError:
            self._queue.put((None, Finished(node.signature, "busy")))
            return
        places = self.ledger.place(node.signature, needs)
        submitted = self._running[node.signature] = _Submitted(node, spec, needs, places)
        target = self._fit if node.kind == "train" else self._await_task
        thread = threading.Thread(target=target, args=(submitted,), name=node.name, daemon=True)
        self._waiting = [*filter(threading.Thread.is_alive, self._waiting), thread]
        thread.start()

    def _await_task(self, job: _Submitted) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        job.task = self._task.options(
            num_cpus=job.needs.cpus,
            num_gpus=job.needs.gpus,
            name=job.node.name,
            scheduling_strategy=NodeAffinitySchedulingStrategy(job.machines[0], soft=True),
        ).remote(job.spec)
        self._guard(job, lambda: await_result(job.task, self._closing))

    def _fit(self, job: _Submitted) -> None:
        # Train's controller runs on this host, and workers give it no checkpoints: nothing else reads this folder.
        storage, needs = str(self.run.store.root / ".ray"), job.needs
        self._guard(
            job,
            lambda: fit(
                _train_loop,
                job.spec,
                storage,
                cpus=needs.cpus,
                gpus=needs.gpus,
                machines=job.machines,
                closing=self._closing,
            ),
        )

    def _guard(self, job: _Submitted, call: Callable[[], Any]) -> None:
        try:
            call()
        except (Exception, SystemExit) as error:
            # `ray.shutdown` ends a waiting fit with SystemExit. Ray reports a lost worker in many ways; the job's
            # folder says what they mean.
            self._queue.put((job, f"{type(error).__name__}: {one_line(error)}"))
        else:
            self._queue.put((job, ""))

    def wait(self, timeout_s: float) -> list[Finished]:
        """Outcomes since the last call."""
        if self.stopping() != self._asked:
            self._asked = self.stopping()
            for job in self._running.values():
                self._ask_to_stop(job, self._asked)
        found = []
        try:
            found.append(self._queue.get(timeout=timeout_s))
            while True:
                found.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        finished = []
        for ended_job, end in found:
            if isinstance(end, Finished):
                outcome = end
            elif ended_job is not None and self._running.get(ended_job.node.signature) is ended_job:
                outcome = self._finish(ended_job, end)
            else:  # a job that was given up reports its end all the same
                continue
            self._running.pop(outcome.signature, None)
            self.ledger.release(outcome.signature)
            self.metrics.finished(outcome.outcome)
            finished.append(outcome)
        return finished

    def _look_around(self) -> None:
        """Look for machines that joined, left or are about to leave, for progress of jobs, and for jobs without any."""
        try:
            self._measure()
        except Exception:  # Ray raises many things while its head is away; lost jobs are noticed when they end
            return
        signs_are_due = time.monotonic() - self._read_signs >= self.run.store.beat_s / 2
        if signs_are_due:
            self._read_signs = time.monotonic()
        for job in list(self._running.values()):
            if not job.preempted and not self._going.isdisjoint(job.machines):
                job.preempted = True
                self._ask_to_stop(job, "now")
            if not self._alive.issuperset(job.machines):
                self._give_up(job, "its machine is gone")
                continue
            if not signs_are_due:
                continue
            sign = self.run.store.sign_of(job.spec.node, job.spec.attempt)
            if sign is not None:
                self.ledger.show(job.node.signature)
                self._count_epochs(job, sign.epoch or 0)
            else:  # its process has not begun: until it does, other runs see from this that the node is taken
                self.run.store.queued(job.spec.node, job.spec.attempt)
            job.count_only(UNSEEN_S)
            count = -1 if sign is None else sign.count
            if count != job.count:
                job.count, job.changed = count, time.monotonic()
            elif time.monotonic() - job.changed > self.execution.stall_s:
                minutes, host = self.execution.stall_s / 60, sign.host if sign else "the cluster"
                self._give_up(job, f"made no progress for {minutes:g} minutes on {host} and was ended")
        speeds: Counter[str] = Counter()
        for job in self._running.values():
            speeds[job.node.condition or ""] += job.samples_per_s  # type: ignore[assignment]
        self.metrics.speeds({name: speed for name, speed in speeds.items() if name})

    def _give_up(self, job: _Submitted, cause: str) -> None:
        """End a job that is lost, unless its folder says otherwise."""
        self._end(job)
        self._queue.put((job, cause))

    def _count_epochs(self, job: _Submitted, epochs: int) -> None:
        if epochs > job.epochs >= 0:
            self.metrics.epochs(epochs - job.epochs)
            history = self.run.store.history(job.node)
            job.samples_per_s = float(history[-1].get("samples_per_s", 0.0)) if history else 0.0
        job.epochs = max(epochs, job.epochs)

    def _finish(self, job: _Submitted, error: str) -> Finished:
        end = outcome_of(self.run, job.node, error, asked=self._asked != "no")
        if end.outcome == "lost" and job.preempted:
            # Its machine was removed, before or after the job could stop: not the job's fault.
            end = replace(end, outcome="preempted")
        if end.outcome in ("lost", "memory", "preempted"):
            self._free(job)
            free_abandoned()
        # The job's process has ended, and others than it wrote these: they may have come after its own sweep.
        self.run.store.drop_marks(job.place, Placement, Queued, StopRequest)
        return end

    def _free(self, job: _Submitted) -> None:
        """Drop the reservation of a Train job, which a dead controller would leave behind."""
        mark = self.run.store.read_mark(job.place, Placement)
        if mark is not None:
            free_resources(mark)

    def _ask_to_stop(self, job: _Submitted, stop: Stop) -> None:
        if job.node.kind == "train" and stop != "no":
            self.run.store.ask_to_stop(job.spec.node, job.spec.attempt, stop)

    def _end(self, job: _Submitted) -> None:
        """End the processes of a job."""
        import ray

        if job.task is not None:
            ray.cancel(job.task, force=True)
        self._free(job)

    def close(self) -> None:
        """End our jobs, and Ray if it was started here, once no thread is within a call of Ray: that would crash.

        Whatever goes wrong is only logged: the outcomes of the jobs are known by now.
        """
        import ray

        for job in self._running.values():
            _try(self._end, job)
        _try(self.demand.show, {})
        self._closing.set()
        deadline = time.monotonic() + CLOSE_S
        threads = [*self._waiting, *([self._vetting] if self._vetting is not None else [])]
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if not self._ours:
            return
        if stuck := [thread.name for thread in threads if thread.is_alive()]:
            log.warning("Ray is not closed: %s got no answer from it", ", ".join(stuck))
            return
        _try(ray.shutdown)


def _try(end: Callable[..., object], *arguments: Any) -> None:
    """Call a part of the end; an exception is logged and the other parts follow."""
    try:
        end(*arguments)
    except Exception as error:  # Ray raises many things when its processes are gone
        log.warning("closing Ray: %s", one_line(error))


def _check_execution(run: Run, execution: Execution) -> None:
    """Refuse what the grid can't be run with.

    Raises:
        GridError: a condition of `--place` is not in the grid.
        InputError: a batch has fewer clips than there are workers.
    """
    conditions = run.recipe.conditions
    for name in execution.place:
        if name not in conditions:
            raise GridError(f"--place {name}: there is no such condition; there are {', '.join(conditions)}")
    for name, condition in conditions.items():
        workers, batch = execution.share_of(name)[1], condition.train.batch_size
        if workers > batch:
            raise InputError(
                f"--workers {workers}: condition {name} has batches of {batch} clips, and each worker needs one; "
                f"give at most {batch} workers"
            )

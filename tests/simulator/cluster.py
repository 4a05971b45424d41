"""A cluster of simulated hosts under the real executor of Ray: its threads, ledger and outcomes, without Ray."""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from orchestrator.executors.ledger import Ledger, Machine
from orchestrator.executors.ray import executor as ray_executor
from orchestrator.executors.ray.executor import RayExecutor
from orchestrator.jobs.run import run_job
from orchestrator.planning.scheduler import Finished
from orchestrator.run.bound import Run
from orchestrator.run.execution import Execution
from orchestrator.store.node import Node
from tests.simulator.faults import reachable
from tests.simulator.kernel import KERNEL, Host, Process
from tests.simulator.stand_ins import Quiet
from trainers.supervisor import Stop

if TYPE_CHECKING:
    from tests.simulator.history import World

__all__ = ["SimulatedCluster"]

DEAD_S = 30.0
"""How long a host has to be out of reach until the cluster takes it for dead."""
CPUS = 2.0


class WorkerCrashedError(Exception):
    """As Ray's: the process of a job is gone."""


class SimulatedCluster(RayExecutor):
    """Runs each job in a process of its own on one of the hosts."""

    def __init__(self, world: "World", run: Run, execution: Execution, stopping: Callable[[], Stop]) -> None:
        # What the real one does, but for what it asks Ray.
        self.run, self.execution, self.stopping = run, execution, stopping
        self.world = world
        self._vetted = None
        self._differing = {}
        self._vetting = None
        self._closing = ray_executor.threading.Event()
        self._waiting = []
        self.ledger = Ledger()
        self.demand = self.metrics = Quiet()  # type: ignore[assignment]
        self._running = {}
        self._raised = {}
        self._queue = ray_executor.queue.Queue()
        self._looked = self._read_signs = 0.0
        self._asked = "no"
        self._alive = set()
        self._going = set()
        self._reported = set()
        self._has_gpus = self._grows = self._ours = False
        process = KERNEL[0].process
        assert process is not None
        self.driver: Process = process
        self._unseen: Counter[str] = Counter()
        self._workers: list[Process] = []
        process.at_end.append(self._driver_ended)
        self._measure()

    def _measure(self) -> None:
        now = KERNEL[0].now
        found = {}
        for host in self.world.hosts:
            if host.gone_until <= now and reachable(self.driver.host, host, now):
                self._unseen[host.name] = now  # type: ignore[assignment]
            if host.gone_until <= now and now - self._unseen[host.name] < DEAD_S:
                found[host.name] = Machine(host.name, CPUS)
        self._alive = set(found)
        self._going = {host.name for host in self.world.hosts if host.going is not None}
        self.ledger.update(machine for name, machine in found.items() if name not in self._going)

    def submit(self, node: Node) -> None:
        super().submit(node)
        job = self._running.get(node.signature)
        if job is not None:
            job.changed = job.seen = ray_executor.time.monotonic()  # their defaults are of the real clock

    def _await_task(self, job: Any) -> None:
        self._guard(job, lambda: self._work(job))

    _fit = _await_task

    def _work(self, job: Any) -> None:
        """Start the process of a job, and wait for its end as far as it can be seen from here."""
        kernel, world = KERNEL[0], self.world
        host: Host = next(host for host in world.hosts if host.name == job.machines[0])
        kernel.pause(world.setup.start_s * kernel.draw())
        if host.gone_until > kernel.now or not reachable(self.driver.host, host, kernel.now):
            raise WorkerCrashedError("the machine of the job is gone")
        spec, ends = job.spec, []

        def program() -> None:
            world.rules.started(spec.node, spec.attempt, worker)
            try:
                ends.append(run_job(spec, place=host.name))
            except Exception as error:  # what Ray brings back to the driver
                ends.append(error)
            world.rules.ended(spec.node, spec.attempt)

        worker = job.task = kernel.spawn(host, f"{spec.name}.{spec.attempt}", program)
        self._workers.append(worker)
        seen = kernel.now
        while True:
            ended = worker.tasks[0].ended.wait(3.0)
            if reachable(self.driver.host, host, kernel.now) and host.gone_until <= kernel.now:
                if ended:
                    break
                seen = kernel.now
            elif kernel.now - seen > DEAD_S:
                raise WorkerCrashedError("the machine of the job is dead")
            elif ended:
                kernel.pause(1.0)
        if not ends:
            raise WorkerCrashedError("the process of the job is dead")
        if isinstance(ends[0], Exception):
            raise ends[0]

    def _finish(self, job: Any, error: str) -> Finished:
        end = super()._finish(job, error)
        KERNEL[0].note(f"{job.node.name} is {end.outcome}: {end.cause[:120]}")
        if job.task is None:  # its machine died before its process began, and may be back when it does
            self.world.rules.ended(job.spec.node, job.spec.attempt)
        return end

    def _end(self, job: Any) -> None:
        worker = job.task
        if worker is not None and reachable(self.driver.host, worker.host, KERNEL[0].now):
            KERNEL[0].kill(worker)

    def _free(self, job: Any) -> None:
        """Nothing was reserved."""

    def close(self) -> None:
        for job in self._running.values():
            self._end(job)

    def _driver_ended(self) -> None:
        """Its jobs are ended soon; some are out of reach for longer."""
        kernel = KERNEL[0]
        for worker in self._workers:
            if not worker.dead:
                delay = 4.0 * kernel.draw() if kernel.draw() < 0.8 else 60.0 * kernel.draw()
                kernel.at(kernel.now + delay, lambda worker=worker: kernel.kill(worker))

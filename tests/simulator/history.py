"""One history: some people launch a grid on some hosts with one store, faults happen, and everything ends well.

Everything follows from the seed: the shape of the history, its faults, and the order of all calls.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orchestrator.executors.inline
import orchestrator.launch
import orchestrator.store.remote
import orchestrator.tracking.runs
from features.errors import InputError, SonogridError, StoreAwayError
from orchestrator.executors.inline import InlineExecutor
from orchestrator.jobs.run import run_job
from orchestrator.jobs.spec import JobSpec
from orchestrator.planning.graph import Graph
from orchestrator.planning.scheduler import Executor
from orchestrator.run.bound import Run
from orchestrator.run.execution import Execution
from orchestrator.run.selection import Selection
from orchestrator.store.node import Node
from orchestrator.store.open import open_store
from orchestrator.tracking.mirror import Mirror
from tests.simulator.cluster import SimulatedCluster
from tests.simulator.disk import Disk
from tests.simulator.events import happen
from tests.simulator.faults import AT_CALL, Fault, Faults, draw_faults
from tests.simulator.kernel import KERNEL, BrokenRuleError, Host, Kernel, Process
from tests.simulator.rules import MOMENT_S, RESULT, Rules, expected_result
from tests.simulator.services import Bucket, MlflowServer, S3Client, open_bucket
from tests.simulator.stand_ins import DISK, WORLD, Quiet, stand_ins
from tests.simulator.work import RULES, grid

__all__ = ["Setup", "Verdict", "draw_setup", "play", "play_many"]

STORE = "/sim/shared/store"
PATIENCE_S = 3000.0
"""How long after the last fault everything has to be done."""


@dataclass(frozen=True)
class Setup:
    """The shape of a history."""

    grid: str = "one"
    store: str = "folder"
    """'folder', shared by all hosts, or 's3'."""
    hosts: int = 2
    runs: int = 2
    clusters: tuple[bool, ...] = (True, True)
    """For each run, whether its jobs have processes of their own."""
    mirror: bool = True
    start_s: float = 5.0
    """How long it takes at most until the process of a job has started."""
    late_s: float = 0.0
    """How much later than the run before each run is launched."""
    own_disk: bool = False
    """Whether each RUN is at the same path on the disk of its host, rather than on the shared one."""
    hard: bool = False
    links: bool = True
    shared_locks: bool = True
    stale_s: float = 0.0
    skew_s: tuple[float, ...] = (0.0, 0.0, 0.0)
    calls: int = 1000
    """About how many storage calls it has without faults, and how many seconds."""
    seconds: float = 40.0


def draw_setup(seed: int) -> Setup:
    """The shape of the history of a seed."""
    draw = random.Random(f"shape {seed}")
    runs = draw.choice([1, 1, 2, 2, 2, 3])
    hosts = draw.choice([1, 2, 2, 3])
    store = draw.choice(["folder", "folder", "s3"])
    own_disk = runs <= hosts and draw.random() < 0.25
    size = draw.choice(["one", "one", "one", "one", "two"])
    return Setup(
        grid=size,
        store=store,
        hosts=hosts,
        runs=runs,
        clusters=tuple(draw.random() < 0.65 for _ in range(runs)),
        mirror=draw.random() < 0.3,
        start_s=draw.choice([0.5, 5.0, 5.0, 5.0, 40.0]),
        late_s=draw.choice([0.0, 0.0, 0.3, 5.0]),
        own_disk=own_disk,
        hard=draw.random() < 0.5,
        links=draw.random() < 0.9,
        shared_locks=draw.random() < 0.6,
        stale_s=draw.choice([0.0, 0.0, 0.0, 30.0, 60.0]) if hosts > 1 else 0.0,
        skew_s=tuple(draw.choice([0.0, 0.0, -3600.0, 40.0, 86_400.0]) for _ in range(3)),
        calls=(1 if size == "one" else 2) * (300 + 400 * runs),
        seconds=(1 if size == "one" else 2) * 45.0,
    )


@dataclass(frozen=True)
class Verdict:
    """How a history ended."""

    seed: int
    error: str
    """Which rule was broken; empty if none was."""
    faults: tuple[Fault, ...]
    fired: int
    """How many of them met something."""
    calls: int
    seconds: float
    trace: tuple[str, ...] = ()


def play(
    seed: int, faults: Sequence[Fault] | None = None, *, setup: Setup | None = None, trace: bool = False
) -> Verdict:
    """Play one history, within `stand_ins`.

    Args:
        seed: decides everything that is not given.
        faults: what goes wrong; by default drawn from the seed.
        setup: its shape; by default drawn from the seed.
        trace: keep a line for each thing that happened.
    """
    setup = setup or draw_setup(seed)
    if faults is None:
        most = random.Random(f"how many {seed}").choice([0, 2, 4, 6])
        faults = draw_faults(random.Random(f"faults {seed}"), setup.calls, setup.seconds, most)
    world = World(seed, setup, list(faults), trace=trace)
    error = ""
    try:
        world.run()
    except BrokenRuleError as broken:
        error = str(broken)
    except RecursionError:
        raise
    except Exception as crash:  # an error of the programs, or of the simulation itself
        import traceback

        error = f"{type(crash).__name__}: {crash}\n" + "".join(traceback.format_exception(crash)[-8:])
    finally:
        world.kernel.close()
        KERNEL.clear()
    kernel = world.kernel
    return Verdict(
        seed,
        error,
        tuple(faults),
        world.fired + world.met(),
        world.faults.calls,
        round(kernel.now, 3),
        tuple(kernel.trace or ()),
    )


def play_many(seeds: Sequence[int]) -> list[Verdict]:
    """Play histories, and return those in which a rule was broken."""
    with stand_ins():
        return [verdict for seed in seeds if (verdict := play(seed)).error]


class SimulatedRun(Run):
    """A run whose graph was built once for all histories."""

    @property
    def graph(self) -> Graph:  # type: ignore[override]
        return grid(self.recipe.name)[2]

    @property
    def labels_seen(self) -> dict[str, frozenset[int]]:  # type: ignore[override]
        return dict.fromkeys(self.graph.nodes, frozenset())


class World:
    """Hosts, disks, services, and the people who launch runs."""

    def __init__(self, seed: int, setup: Setup, faults: list[Fault], *, trace: bool) -> None:
        WORLD[:] = [self]
        self.setup = setup
        self.kernel = kernel = Kernel(seed)
        kernel.trace = [] if trace else None
        KERNEL[:] = [kernel]
        self.hosts = [Host(f"h{number}", setup.skew_s[number]) for number in range(setup.hosts)]
        self.desk = Host("desk")
        self.faults = Faults(kernel, faults, hard=setup.hard)
        self.at_calls = len(self.faults.at_call)
        self.bucket = Bucket(self._changed_object)
        self.mlflow = MlflowServer(self.faults)
        self.disk = Disk(
            kernel, self.faults.call, self._changed_file,
            links=setup.links, shared_locks=setup.shared_locks, stale_s=setup.stale_s,
        )  # fmt: skip
        DISK[:] = [self.disk]
        for host in (*self.hosts, self.desk):
            self.disk.make_folders(f"/{host.name}")
        self.rules = Rules(kernel, self.faults, self._content)
        RULES[:] = [self.rules]
        self.recipe, self.manifest, self.graph = grid(setup.grid)
        self.results: dict[str, str] = {}
        for node in self.graph.nodes.values():
            self.results[node.signature] = expected_result(node, self.results)
            self.rules.expected[self.name_of(node)] = self.results[node.signature]
        self.drivers: list[Process] = []
        self.waiting = setup.runs
        """People whose run is not at its end."""
        self.audited = False
        self.fired = 0
        for fault in faults:
            if fault.kind not in AT_CALL:
                self.faults.lasts(fault.at)
                kernel.at(fault.at, lambda fault=fault: happen(self, fault))
        for number in range(setup.runs):
            kernel.spawn(self.desk, f"person {number}", lambda number=number: self._person(number))
        kernel.at(PATIENCE_S, self._watch)

    def run(self) -> None:
        """Play it to its end, and check what is left."""
        self.kernel.run(lambda: self.waiting == 0 and not any(not driver.dead for driver in self.drivers), 1e6)
        self.kernel.note("everything is done; a last look")
        self.kernel.spawn(self.desk, "auditor", self._audit)
        self.kernel.run(lambda: self.audited, 1e7)

    # --- the store, as the rules see it

    def _changed_file(self, key: str, before: bytes | None, after: bytes | None) -> None:
        if key.startswith(STORE):
            self.rules.changed(key[len(STORE) + 1 :], before, after)
        elif key.endswith("/owner.json"):
            self.rules.owned(key, after)

    def _changed_object(self, key: str, before: bytes | None, after: bytes | None) -> None:
        self.rules.changed(key, before, after)

    def _content(self, key: str) -> bytes | None:
        if self.setup.store == "s3":
            return self.bucket.objects.get(key)
        file = self.disk.files.get(f"{STORE}/{key}")
        return None if file is None or file.data is None else bytes(file.data)

    def damage(self, key: str) -> None:
        """Change a file of the store behind everybody's back."""
        self.kernel.note(f"{key} rots")
        if self.setup.store == "s3":
            self.bucket.objects[key] = b"rotten"
        elif f"{STORE}/{key}" in self.disk.files:
            self.disk.damage(f"{STORE}/{key}", b"rotten")

    @staticmethod
    def name_of(node: Node) -> str:
        """The folder of a node in the store."""
        return f"{node.name}-{node.signature[:12]}"

    def connect(self, _: Any) -> Any:
        """What the mirror talks to."""
        return self.mlflow

    def object_store(self, _: str) -> Any:
        """What a remote store talks to."""
        return open_bucket(S3Client(self.bucket, self.faults))

    # --- people and drivers

    def run_of(self, number: int) -> Run:
        """A run, as a driver prepares it."""
        folder = Path("/sim/disk/run" if self.setup.own_disk else f"/sim/shared/run-{number}")
        store = open_store("s3://bucket" if self.setup.store == "s3" else STORE)
        return SimulatedRun(folder, self.recipe, Path("/sim/shared/data"), store, self.manifest)

    def _person(self, number: int) -> None:
        """Launches a run again and again, until it ends well."""
        kernel = self.kernel
        kernel.pause(number * self.setup.late_s)
        host = self.hosts[number % len(self.hosts)]
        while True:
            while host.gone_until > kernel.now:
                kernel.pause(5.0)
            began, before, over = kernel.now, self.faults_so_far(), self.faults.over
            driver, ends = self.launch(number, host)
            driver.tasks[0].ended.wait()
            if ends == ["ok"]:
                break
            kernel.note(f"launch {number} ended: {ends or 'killed'}")
            if began > over and before == self.faults_so_far() and ends not in (["refused"], ["replaced"]):
                raise self.rules.broken(f"invariant 6: a launch without faults ends with {ends or 'no word'}")
            kernel.pause(1.0 + 20.0 * kernel.draw())
            if not self.setup.own_disk and kernel.draw() < 0.4:
                host = self.hosts[int(kernel.draw() * len(self.hosts))]
        self.waiting -= 1

    def faults_so_far(self) -> int:
        """How many faults have happened; their number changes while one does."""
        return self.fired - len(self.faults.at_call)

    def met(self) -> int:
        """How many faults at calls have happened."""
        return self.at_calls - len(self.faults.at_call)

    def launch(self, number: int, host: Host, force: tuple[str, ...] = ()) -> tuple[Process, list[str]]:
        """Start a driver; returns its process, and the list to which it adds how it ended."""
        ends: list[str] = []

        def program() -> None:
            process = self.kernel.process
            assert process is not None
            self.kernel.note(f"launches run {number}")
            run = None
            try:
                run = self.run_of(number)
                result = orchestrator.launch.launch(run, Execution(stall_s=600.0), Selection(force=force), Quiet())  # type: ignore[arg-type]
                if result.ok:
                    ends.append("ok")
                elif result.stopped:
                    ends.append("stopped")
                    if not process.asked:
                        raise self.rules.broken("invariant 6: a driver stops, and nobody has asked it to")
                else:
                    ends.append(f"failed: {result.failed}")
            except InputError as error:
                ends.append("refused" if "is being run by" in str(error) else f"InputError: {error}")
            except (SonogridError, OSError) as error:
                replaced = "was taken over by" in str(error)
                ends.append("replaced" if replaced else f"{type(error).__name__}: {error}")
                if isinstance(error, StoreAwayError) and run is not None:
                    raise self.rules.broken(f"a store that is away is not waited for: {error}") from error
                excused = process.errors or process.disturbed or (replaced and self.began_together(process))
                if not excused:
                    raise self.rules.broken(
                        f"a driver without faults of its own ends with {type(error).__name__}: {error}"
                    ) from error

        driver = self.kernel.spawn(host, f"driver {number}", program)
        driver.memory["cluster"] = self.setup.clusters[number]
        driver.memory["run"] = number
        self.drivers.append(driver)
        return driver, ends

    def began_together(self, driver: Process) -> bool:
        """Whether another driver of the run became its owner at the same moment: hosts may share no locks."""
        run, since = driver.memory["run"], driver.memory["owner since"]
        others = (other for other in self.drivers if other is not driver and other.memory["run"] == run)
        return any(abs(other.memory.get("owner since", -1e9) - since) < MOMENT_S for other in others)

    def open_executor(self, run: Run, execution: Execution, stopping: Callable[[], Any]) -> Executor:
        """The executor of a driver."""
        process = self.kernel.process
        assert process is not None
        if process.memory["cluster"]:
            return SimulatedCluster(self, run, execution, stopping)
        return InlineExecutor(run, execution, stopping)

    def run_inline(self, spec: JobSpec, stopping: Any, **more: Any) -> bool:
        """`run_job` in the driver's process."""
        process = self.kernel.process
        assert process is not None
        self.rules.started(spec.node, spec.attempt, process)
        try:
            return run_job(spec, stopping, **more)
        finally:
            if not process.dead:
                self.rules.ended(spec.node, spec.attempt)

    def _watch(self) -> None:
        """Ends a history that does not end."""
        if self.kernel.now > self.faults.over + PATIENCE_S:
            raise self.rules.broken(f"invariant 6: not at its end {PATIENCE_S:.0f} s after the last fault")
        self.kernel.at(self.kernel.now + 500.0, self._watch)

    # --- the end

    def _audit(self) -> None:
        """Everything is done, every result is right, and MLflow shows what the store has."""
        self.faults.at_call.clear()
        while self.faults.over > self.kernel.now or any(
            not p.dead and p.name == "force" for p in self.kernel.processes
        ):
            self.kernel.pause(5.0)
        self.kernel.pause(self.setup.stale_s)
        # What was damaged after its run had ended is repaired by the next launch.
        for number in range(self.setup.runs):
            host = self.hosts[number % len(self.hosts)]
            while host.gone_until > self.kernel.now or self.faults.over > self.kernel.now:
                self.kernel.pause(5.0)
            driver, ends = self.launch(number, host)
            driver.tasks[0].ended.wait()
            if ends != ["ok"]:
                raise self.rules.broken(f"invariant 6: the last launch of run {number} ends with {ends}")
        run = self.run_of(0)
        for node in self.graph.nodes.values():
            folder = run.store.results(node)
            text = (folder / RESULT).read_text()
            if text != self.results[node.signature]:
                raise self.rules.broken(f"{node.name} has another result than an undisturbed run")
        run.store.close()
        if self.setup.mirror:
            Mirror(self.run_of(0)).sync()
            shown = self.mlflow.view()
            fresh = self.mlflow = MlflowServer(self.faults)
            Mirror(self.run_of(0)).sync()
            if shown != fresh.view():
                raise self.rules.broken(f"invariant 7: MLflow shows {_first_difference(shown, fresh.view())}")
        self.audited = True


def _first_difference(found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> str:
    names = [[run["name"] for run in runs] for runs in (found, wanted)]
    if names[0] != names[1]:
        return f"the runs {names[0]}, not {names[1]}"
    for one, two in zip(found, wanted, strict=True):
        for part in one:
            if one[part] != two[part]:
                return f"{part} of {one['name']} as {one[part]}, not {two[part]}"
    return "a difference"

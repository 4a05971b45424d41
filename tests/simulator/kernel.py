"""Virtual time, hosts, processes and threads: everything that a simulated program can wait for.

A thread of a simulated process is a greenlet. It runs until it pauses; then the one that wakes up first runs, and the
clock jumps to that moment. Every storage call pauses for a random latency, so these decide who is first, and one seed
decides the latencies.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

__all__ = ["BrokenRuleError", "Event", "Host", "Kernel", "KilledError", "Lock", "Process", "Queue", "Task", "Thread"]

START_S = 1_800_000_000.0
"""Unix time at which a history begins."""


class KilledError(BaseException):
    """Ends every thread of a process that was killed: whatever it still calls raises this again."""


class BrokenRuleError(Exception):
    """An invariant of the protocol does not hold."""


@dataclass(eq=False)
class Host:
    """A machine."""

    name: str
    skew_s: float = 0.0
    """How far its clock is ahead of the others'."""
    cut_from_store: float = 0.0
    """Until when it does not reach the store."""
    cut_from_cluster: float = 0.0
    """Until when it does not reach the other hosts."""
    going: float | None = None
    """When it will be taken away; None: not soon."""
    gone_until: float = 0.0
    """Until when it is away, or has no power."""


@dataclass(eq=False)
class Process:
    """A process on a host. It is dead once it was killed or its first thread has ended."""

    host: Host
    name: str
    pid: int
    dead: bool = False
    frozen_until: float = 0.0
    asked: list[str] = field(default_factory=list)
    """Signals that it got: 'epoch' or 'now', as `interruptible` would report them."""
    ending: bool = False
    """It got a signal that raises SystemExit in its first thread."""
    errors: int = 0
    """Storage calls that failed for it; what it does then is not a fault of its own."""
    disturbed: float = 0.0
    """When it was last kept from showing that it lives."""
    tasks: list["Task"] = field(default_factory=list)
    memory: dict[str, Any] = field(default_factory=dict)
    """What real processes keep in global variables."""
    at_end: list[Callable[[], None]] = field(default_factory=list)
    """Called once it is dead."""


class Task(greenlet):
    """A thread of a process."""

    def __init__(self, process: Process, run: Callable[[], Any], parent: greenlet) -> None:
        super().__init__(run, parent)
        self.process = process
        self.turn = 0
        """Goes up with each wake-up, so that one that was planned and is not wanted any more is ignored."""
        self.ended = Event()


class Kernel:
    """The clock and the threads.

    Args:
        seed: decides all latencies, and with them the order of all calls.
    """

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self.draw = self.random.random
        self.hub = getcurrent()
        self.trace: list[str] | None = None
        self.processes: list[Process] = []
        self._queue: list[tuple[float, int, Task | None, Any]] = []
        self._number = itertools.count()
        self._pids = itertools.count(100)
        self._current: Task | None = None
        self.error: BaseException | None = None

    # --- for programs

    @property
    def process(self) -> Process | None:
        """The process that runs now; None outside of all."""
        return None if self._current is None else self._current.process

    @property
    def task(self) -> Task | None:
        """The thread that runs now; None outside of all."""
        return self._current

    def pause(self, seconds: float) -> None:
        """Let others run for a while."""
        task = self._current
        assert task is not None
        process = task.process
        if process.dead:
            raise KilledError
        wake = self.now + seconds
        # Nobody else would run before: no need to switch.
        if not (self._queue and self._queue[0][0] <= wake) and process.frozen_until <= wake:
            self.now = wake
            task.turn += 1
            return
        self._wake_at(wake, task)
        self.hub.switch()
        if process.dead:
            raise KilledError
        if process.ending and process.tasks[0] is task:
            process.ending = False
            raise SystemExit(1)

    def wait(self, event: "Event", timeout: float | None) -> None:
        """Let others run until an event is set."""
        task = self._current
        assert task is not None
        if task.process.dead:
            raise KilledError
        event.waiting.append((task, task.turn))
        if timeout is None:
            self.hub.switch()
            if task.process.dead:
                raise KilledError
        else:
            self.pause(timeout)

    def wake(self, task: Task, turn: int) -> None:
        """Wake a thread that waits, if it still waits for the same."""
        if task.turn == turn and not task.dead:
            self._wake_at(self.now, task)

    def spawn(self, host: Host, name: str, program: Callable[[], Any]) -> Process:
        """Start a process."""
        process = Process(host, name, next(self._pids))
        self.processes.append(process)
        self.start(process, program)
        return process

    def start(self, process: Process, program: Callable[[], Any]) -> Task:
        """Start a thread of a process; the process ends with its first one."""

        def run() -> None:
            try:
                if not process.dead:
                    program()
            except (KilledError, GreenletExit, SystemExit):
                pass
            except BaseException as error:  # a thread of the simulated program must handle its errors itself
                self.error = self.error or error
            finally:
                task.ended.set()
                if process.tasks[0] is task:
                    self._end(process)

        task = Task(process, run, self.hub)
        process.tasks.append(task)
        self._wake_at(self.now, task)
        return task

    def unix(self) -> float:
        """Unix time, on the clock of the host of the process that asks."""
        return START_S + self.now + (self.process.host.skew_s if self.process else 0.0)

    # --- for the simulation

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do something at a time, outside of all processes."""
        heapq.heappush(self._queue, (when, next(self._number), None, action))

    def kill(self, process: Process) -> None:
        """End a process at once: nothing that it would still write is written."""
        if not process.dead:
            self._end(process)
            if self._current is not None and self._current.process is process:
                raise KilledError

    def freeze(self, process: Process, seconds: float) -> None:
        """Let a process do nothing for a while; the clock goes on."""
        process.frozen_until = max(process.frozen_until, self.now + seconds)
        process.disturbed = max(process.disturbed, process.frozen_until)

    def run(self, until: Callable[[], bool], most_s: float) -> None:
        """Run until something holds, checked whenever a process ends or an action was done.

        Raises:
            BrokenRuleError: the history takes longer than it may.
        """
        queue = self._queue
        while self.error is None:
            if not queue:
                if until():
                    return
                raise BrokenRuleError("liveness: nothing runs any more, and the history is not at its end")
            when, _, task, extra = heapq.heappop(queue)
            if task is None:
                self.now = max(self.now, when)
                extra()
                if until():
                    return
                continue
            if extra != task.turn or task.dead:
                continue
            process = task.process
            if process.frozen_until > when and not process.dead:
                heapq.heappush(queue, (process.frozen_until, next(self._number), task, extra))
                continue
            self.now = max(self.now, when)
            if self.now > most_s:
                raise BrokenRuleError(f"liveness: not at its end after {most_s:.0f} s")
            task.turn += 1
            self._current = task
            task.switch()
            self._current = None
            if task.dead and until():
                return
        raise self.error

    def note(self, text: str) -> None:
        """Add a line to the trace."""
        if self.trace is not None:
            process = self.process
            who = f"{process.name}@{process.host.name}" if process else "-"
            self.trace.append(f"{self.now:10.3f} {who:24} {text}")

    def close(self) -> None:
        """End all processes, so that none is left when the kernel is dropped."""
        for process in self.processes:
            process.dead = True
        for process in self.processes:
            for task in process.tasks:
                if not task.dead and task is not getcurrent():
                    self._current = task
                    task.throw(GreenletExit)
        self._current = None

    def _wake_at(self, when: float, task: Task) -> None:
        heapq.heappush(self._queue, (when, next(self._number), task, task.turn))

    def _end(self, process: Process) -> None:
        if process.dead:
            return
        process.dead = True
        for task in process.tasks:
            if task is not self._current and not task.dead:
                self._wake_at(self.now, task)  # to find that it is dead
        for action in process.at_end:
            action()


KERNEL: list[Kernel] = []
"""The kernel of the history that runs; the stand-ins below have the signatures of the library's classes."""


class Event:
    """`threading.Event`."""

    def __init__(self) -> None:
        self._set = False
        self.waiting: list[tuple[Task, int]] = []

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        for task, turn in self.waiting:
            KERNEL[0].wake(task, turn)
        self.waiting.clear()

    def wait(self, timeout: float | None = None) -> bool:
        if not self._set:
            KERNEL[0].wait(self, timeout)
        return self._set


class Thread:
    """`threading.Thread`."""

    def __init__(self, target: Callable[..., Any], args: tuple[Any, ...] = (), name: str = "", daemon: bool = True):
        self.target, self.args, self.name = target, args, name
        self.task: Task | None = None

    def start(self) -> None:
        kernel = KERNEL[0]
        assert kernel.process is not None
        self.task = kernel.start(kernel.process, lambda: self.target(*self.args))

    def is_alive(self) -> bool:
        return self.task is not None and not self.task.ended.is_set()

    def join(self, timeout: float | None = None) -> None:
        assert self.task is not None
        self.task.ended.wait(timeout)


class Lock:
    """`threading.Lock`, with the threads of one process."""

    def __init__(self) -> None:
        self._held = False
        self._freed = Event()

    def __enter__(self) -> bool:
        while self._held:
            self._freed.wait()
        self._held, self._freed = True, Event()
        return True

    def __exit__(self, *_: object) -> None:
        self._held = False
        if not KERNEL[0].process or not KERNEL[0].process.dead:
            self._freed.set()


class Queue:
    """`queue.Queue`, as far as the executor uses it."""

    def __init__(self, empty: type[Exception]) -> None:
        self._items: list[Any] = []
        self._filled = Event()
        self._empty = empty

    def put(self, item: Any) -> None:
        self._items.append(item)
        self._filled.set()

    def get(self, timeout: float | None = None) -> Any:
        if not self._items:
            self._filled = Event()
            self._filled.wait(timeout)
        return self.get_nowait()

    def get_nowait(self) -> Any:
        if not self._items:
            raise self._empty
        return self._items.pop(0)

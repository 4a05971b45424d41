"""Puts the simulated clock, threads, disks and services in the place of the real ones while histories run.

Functions of the standard library that work on paths or descriptors look at their argument, and leave real files to the
real function. Modules of sonogrid get other `time`, `threading`, `uuid` and `socket`. What costs much and belongs to no
part that is simulated (reports, versions, git) is replaced by something small.
"""

import builtins
import contextlib
import fcntl
import io
import json
import os
import queue
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import features.files
import orchestrator.executors.inline
import orchestrator.executors.ray.executor
import orchestrator.jobs.attempt
import orchestrator.jobs.registry
import orchestrator.jobs.run
import orchestrator.launch
import orchestrator.store.local
import orchestrator.store.remote
import orchestrator.tracking.connection
import orchestrator.tracking.mirror
import orchestrator.tracking.runs
from features.files import hash_of, sha256_file
from orchestrator.run.bound import Run
from tests.simulator.disk import FIRST_FD, ROOT, Disk
from tests.simulator.kernel import KERNEL, Event, Lock, Queue, Thread
from tests.simulator.work import SimulatedWork

__all__ = ["DISK", "WORLD", "Patches", "Quiet", "stand_ins"]

DISK: list[Disk] = []
"""That of the history that runs."""


WORLD: list[Any] = []
"""The `World` of the history that runs."""


class Patches:
    """Attributes that are replaced until `undo`."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, Any]] = []

    def set(self, owner: Any, name: str, value: Any) -> None:
        self._before.append((owner, name, vars(owner)[name]))
        setattr(owner, name, value)

    def undo(self) -> None:
        while self._before:
            owner, name, value = self._before.pop()
            setattr(owner, name, value)


def _on_disk(real: Callable[..., Any], name: str, place: int = 0) -> Callable[..., Any]:
    """A function of the standard library, or the disk's if its path is there."""

    def call(*arguments: Any, **more: Any) -> Any:
        path = arguments[place] if len(arguments) > place else more.get("dir")
        if isinstance(path, os.PathLike):
            path = path.__fspath__()
        if isinstance(path, str) and path.startswith(ROOT):
            return getattr(DISK[0], name)(*arguments, **more)
        return real(*arguments, **more)

    return call


def _on_descriptor(real: Callable[..., Any], fake: Callable[..., Any]) -> Callable[..., Any]:
    """The same for functions that take a descriptor or an open file."""

    def call(fd: Any, *arguments: Any) -> Any:
        number = fd if isinstance(fd, int) else fd.fileno()
        return fake(number, *arguments) if number >= FIRST_FD else real(fd, *arguments)

    return call


def _of_disk(name: str) -> Callable[..., Any]:
    """A method of the disk of the history that runs then."""

    def call(*arguments: Any) -> Any:
        return getattr(DISK[0], name)(*arguments)

    return call


def _of_world(name: str) -> Callable[..., Any]:
    """A method of the world of the history that runs then."""

    def call(*arguments: Any, **more: Any) -> Any:
        return getattr(WORLD[0], name)(*arguments, **more)

    return call


def _simulated() -> bool:
    """Whether a history asks. A thread that an earlier test left behind lives in real time."""
    return bool(KERNEL) and threading.current_thread() is threading.main_thread()


class Time:
    """`time`."""

    @staticmethod
    def monotonic() -> float:
        return KERNEL[0].now + 1000.0 if _simulated() else time.monotonic()

    @staticmethod
    def time() -> float:
        return KERNEL[0].unix() if _simulated() else time.time()

    @staticmethod
    def sleep(seconds: float) -> None:
        if _simulated():
            KERNEL[0].pause(seconds)
        else:
            time.sleep(seconds)


class Json:
    """`json`, whose files are not indented: Python's encoder in C can't do that."""

    load, loads = staticmethod(json.load), staticmethod(json.loads)

    @staticmethod
    def dumps(value: Any, indent: int = 0, **more: Any) -> str:
        return json.dumps(value, **more)


def _word() -> Any:
    return SimpleNamespace(hex=f"{KERNEL[0].random.getrandbits(128):032x}")


def _host() -> str:
    process = KERNEL[0].process
    return process.host.name if process else "nowhere"


def _checksum(path: str, *shown: int) -> str:
    """`local._checksum`, which remembers what it read in this process alone."""
    process = KERNEL[0].process
    known = {} if process is None else process.memory.setdefault("checksums", {})
    if (path, *shown) not in known:
        known[path, *shown] = sha256_file(orchestrator.store.local.Path(path))
    return known[path, *shown]


@contextmanager
def _interruptible(_: Any) -> Iterator[Callable[[], str]]:
    process = KERNEL[0].process
    process.memory["interruptible"] = True
    try:
        yield lambda: process.asked[0] if process.asked else "no"
    finally:
        process.memory["interruptible"] = False


def small_report(run: Run) -> Any:
    """As much of a report as the mirror reads; its scores are those of finished conditions."""

    def scores(name: str, nodes: list[str]) -> dict[str, float | None]:
        done = all(run.store.state(run.graph.nodes[node]).state == "done" for node in nodes)
        return {"oof_lwlrap": int(hash_of([name, nodes])[:6], 16) / 2**24 if done else None}

    def of_condition(name: str) -> Any:
        found = scores(name, [s for (other, _), s in run.graph.predict.items() if other == name])
        return SimpleNamespace(name=name, scores=lambda: found)

    blend = scores("blend", [run.graph.blend] if run.graph.blend else [])
    return SimpleNamespace(
        conditions=[of_condition(name) for name in run.recipe.conditions],
        leaky=(),
        blend=SimpleNamespace(scores=lambda: blend),
        test=None,
        ensembles=(),
    )


def _nothing(*_: Any, **__: Any) -> None:
    """What only shows something."""


class Quiet:
    """A logger, a console or a view that shows nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __getattr__(self, _: str) -> Callable[..., None]:
        return _nothing


MODULES: dict[Any, Any] = {
    time: Time,
    threading: SimpleNamespace(Thread=Thread, Event=Event, Lock=Lock, current_thread=lambda: KERNEL[0].task),
    uuid: SimpleNamespace(uuid4=_word),
    socket: SimpleNamespace(gethostname=_host),
    queue: SimpleNamespace(Queue=lambda: Queue(queue.Empty), Empty=queue.Empty),
    random: SimpleNamespace(uniform=lambda low, high: low + (high - low) * KERNEL[0].draw()),
}
ON_DISK = {
    "stat": "stat", "lstat": "lstat", "mkdir": "mkdir", "unlink": "unlink", "remove": "unlink", "rmdir": "rmdir",
    "replace": "replace", "rename": "replace", "link": "link", "listdir": "listdir", "scandir": "scandir",
    "utime": "utime", "open": "open_fd",
}  # fmt: skip


@contextmanager
def stand_ins() -> Iterator[Patches]:
    """Replace everything while the block runs."""
    patches = Patches()
    environment = os.environ.get("SONOGRID_CACHE")
    os.environ["SONOGRID_CACHE"] = "/sim/disk/cache"
    real_pid = os.getpid
    try:
        for name, fake in ON_DISK.items():
            patches.set(os, name, _on_disk(getattr(os, name), fake))
        patches.set(os, "fsync", _on_descriptor(os.fsync, lambda _: None))
        patches.set(os, "close", _on_descriptor(os.close, _of_disk("close_fd")))
        patches.set(os, "getpid", lambda: KERNEL[0].process.pid if KERNEL and KERNEL[0].process else real_pid())
        opened = _on_disk(io.open, "open")
        patches.set(io, "open", opened)
        patches.set(builtins, "open", opened)
        patches.set(fcntl, "flock", _on_descriptor(fcntl.flock, _of_disk("flock")))
        patches.set(shutil, "rmtree", _on_disk(shutil.rmtree, "rmtree"))
        patches.set(tempfile, "mkdtemp", _on_disk(tempfile.mkdtemp, "mkdtemp", 99))
        for name, module in list(sys.modules.items()):
            if name.startswith(("orchestrator.", "features.", "trainers.")):
                for attribute in ("time", "threading", "uuid", "socket", "queue", "random"):
                    if type(vars(module).get(attribute)) is type(sys):
                        patches.set(module, attribute, MODULES[vars(module)[attribute]])
        _small(patches)
        yield patches
    finally:
        patches.undo()
        if environment is None:
            del os.environ["SONOGRID_CACHE"]
        else:
            os.environ["SONOGRID_CACHE"] = environment


def _small(patches: Patches) -> None:
    """Replace what costs much and is not simulated."""
    attempt, run, launch = orchestrator.jobs.attempt, orchestrator.jobs.run, orchestrator.launch
    patches.set(attempt, "log", Quiet())
    patches.set(attempt, "faulthandler", Quiet())
    patches.set(run, "versions", lambda: {"sonogrid": "simulated"})
    patches.set(run, "device_name", lambda _: "cpu")
    patches.set(orchestrator.store.local, "_checksum", _checksum)
    patches.set(orchestrator.store.local.LocalNodeStore, "beat_s", 5.0)  # fewer signs of life, as jobs are short
    for module in (features.files, orchestrator.store.local, orchestrator.store.remote):
        patches.set(module, "json", Json)
    for kind in list(orchestrator.jobs.registry.KINDS):
        patches.set(orchestrator.jobs.registry, "KINDS", {**orchestrator.jobs.registry.KINDS, kind: SimulatedWork})
    for name in (
        "print_start",
        "print_end",
        "print_report",
        "print_mlflow_warning",
        "write_reports",
        "write_pages",
        "refresh_overviews",
        "_score",
    ):
        patches.set(launch, name, _nothing)
    patches.set(launch, "LaunchView", Quiet)
    patches.set(launch, "interruptible", _interruptible)
    patches.set(launch, "node_costs", lambda *_: {})
    patches.set(launch, "in_counted_order", lambda plan, _: plan)
    patches.set(launch, "require_free_space", lambda *_: None)
    patches.set(launch, "_crash_log", lambda _: contextlib.nullcontext())
    patches.set(orchestrator.tracking.mirror, "build_report", small_report)
    patches.set(orchestrator.tracking.mirror, "_git_revision", lambda: "simulated")
    patches.set(orchestrator.tracking.connection.Place, "of", classmethod(lambda cls, _: cls("simulated")))
    patches.set(orchestrator.executors.ray.executor, "free_abandoned", lambda: None)
    patches.set(features.files, "_rename_to_new", _of_disk("rename_to_new"))
    # What belongs to one history, which is not there yet.
    real = launch.MirrorThread
    patches.set(launch, "MirrorThread", lambda *about: real(*about) if WORLD[0].setup.mirror else Quiet())
    patches.set(launch, "open_executor", _of_world("open_executor"))
    patches.set(orchestrator.executors.inline, "_say", lambda _: None)
    patches.set(orchestrator.executors.inline, "run_job", _of_world("run_inline"))
    patches.set(orchestrator.store.remote, "open_object_store", _of_world("object_store"))
    patches.set(orchestrator.tracking.runs, "connect", _of_world("connect"))

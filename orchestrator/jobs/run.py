"""One job from its first read to its done-mark, in whatever process it runs."""

import logging
import platform
import resource
import socket
import time
from collections.abc import Callable
from importlib.metadata import version

from features.errors import NotFiniteError, PeerLostError, StoreError, SupersededError, is_away
from orchestrator.jobs.attempt import Attempt
from orchestrator.jobs.execution import device_name, threads
from orchestrator.jobs.failures import cause_of, failure_class, trace_of
from orchestrator.jobs.inputs import Inputs
from orchestrator.jobs.spec import JobSpec
from orchestrator.jobs.train import TrainSpec
from orchestrator.store.interfaces import WorkerStore
from orchestrator.store.layout import attempt_place
from orchestrator.store.marks import DoneMark, Failure
from orchestrator.store.node import short_inputs
from orchestrator.store.open import open_store
from orchestrator.store.patient import patient
from trainers.supervisor import Stop

__all__ = ["run_job", "run_share", "versions"]

log = logging.getLogger("sonogrid")


def run_job(
    spec: JobSpec,
    stopping: Callable[[], Stop] = lambda: "no",
    place: str = "",
    say: Callable[[str], None] = log.warning,
) -> bool:
    """Run an attempt at a job to the node's done-mark. A store that does not answer is waited for.

    Args:
        spec: the job; its claim is in the store.
        stopping: whether to stop before the end.
        place: what the cluster calls this machine.
        say: shows that the store is waited for.

    Returns:
        True when done; False when it was asked to stop before, or has been superseded, and can be continued.

    Raises:
        Exception: whatever went wrong; its cause is in the attempt's `failed.json` by then.
    """
    started = time.time()
    store = patient(open_store(spec.store, listed=False, cache_bytes=spec.execution.cache_bytes), say)
    try:
        with Attempt(store, spec.node, spec.claim, stopping, stall_s=spec.execution.stall_s, place=place) as attempt:
            result = spec.work.do(spec, Inputs(spec.manifest, spec.inputs, store, attempt.progress), attempt)
            if result is None:
                return False
            attempt.finish(
                DoneMark(
                    name=spec.name,
                    signature=spec.signature,
                    inputs=short_inputs(spec.input_signatures),
                    result=result,
                    versions=versions(),
                    host=socket.gethostname(),
                    started=started,
                    seconds=round(time.time() - started, 3),
                    device=device_name(spec.execution),
                    workers=spec.execution.workers,
                    threads=threads(),
                    # In kilobytes on Linux. Of the process, not of the job: an inline driver runs many.
                    peak_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
                )
            )
    except SupersededError:
        return False
    except Exception as error:  # not SystemExit: a process that is asked to end has not failed
        # Errors of a superseded attempt are ignored: its folder may have been removed under it.
        if _is_superseded(store, spec):
            return False
        if not _is_elsewhere(error):  # without a mark the job counts as lost
            _remember_failure(store, spec, error)
        raise
    finally:
        store.close()
    return True


def run_share(spec: JobSpec) -> None:
    """Be a further worker of a training job, whose first worker is in `run_job`; writes nothing but a failure.

    Raises:
        Exception: whatever went wrong.
    """
    assert isinstance(spec.work, TrainSpec), f"{spec.name} is not a training job"
    store = open_store(spec.store, listed=False, cache_bytes=spec.execution.cache_bytes)
    store = patient(store, log.warning)
    try:
        spec.work.share(spec, Inputs(spec.manifest, spec.inputs, store))
    except Exception as error:
        if not _is_elsewhere(error) and not _is_superseded(store, spec):
            _remember_failure(store, spec, error)
        raise
    finally:
        store.close()


def _is_elsewhere(error: Exception) -> bool:
    """Whether the job itself is fine: another worker is gone, or a disk or server does not answer."""
    return isinstance(error, PeerLostError) or is_away(error)


def _is_superseded(store: WorkerStore, spec: JobSpec) -> bool:
    """Whether the store says so; if it can't be read, the error of the job itself matters."""
    try:
        return not store.may_write(spec.node, spec.claim)
    except StoreError:
        return False


def _remember_failure(store: WorkerStore, spec: JobSpec, error: Exception) -> None:
    mark = Failure(
        failure_class=failure_class(error),
        cause=cause_of(error),
        attempt=spec.attempt,
        host=socket.gethostname(),
        time=time.time(),
        trace=trace_of(error),
        epochs_done=error.epochs_done if isinstance(error, NotFiniteError) else None,
    )
    try:
        store.write_mark(attempt_place(spec.node, spec.attempt), mark)
    except (OSError, StoreError):  # perhaps the disk is full: the executor gets the error itself
        return


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    names = ("sonogrid", "torch", "torchaudio", "numpy", "onnxruntime", "soundfile", "ray")
    return {"python": platform.python_version()} | {name: version(name) for name in names}

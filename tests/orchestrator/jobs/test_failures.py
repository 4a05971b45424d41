import errno
from pathlib import Path

import pytest

from features.errors import DamagedInputError, JobError
from orchestrator.jobs.failures import cause_of, failure_class, trace_of


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), "memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "memory"),
        (DamagedInputError("a file is damaged"), "damaged"),
        (ValueError("no"), "error"),
        (OSError(errno.ENOSPC, "No space left on device"), "error"),
    ],
)
def test_classes_of_errors(error: Exception, expected: str) -> None:
    assert failure_class(error) == expected


def test_causes_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_PASSWORD", "hunter2")
    assert cause_of(JobError("a loss\n became nan")) == "a loss became nan"
    assert cause_of(ValueError("no:\thunter2")) == "ValueError: no: ***"
    assert cause_of(FileNotFoundError(errno.ENOENT, "No such file", "a.wav")).startswith("a.wav can't be used (No such")


def test_errors_of_the_machine_are_explained() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "data.npy")
    assert cause_of(full) == "data.npy: the disk is full: free some space, then resume the run"
    rust = RuntimeError("Error while serializing: IoError(Os { code: 28 }) (os error 28)")
    assert cause_of(rust) == "the store: the disk is full: free some space, then resume the run"


def test_only_unforeseen_errors_have_a_trace() -> None:
    assert trace_of(JobError("foreseen")) is None
    try:
        Path().unlink(missing_ok=False)
    except OSError as error:
        trace = trace_of(error)
    assert trace is not None
    assert "Traceback" in trace

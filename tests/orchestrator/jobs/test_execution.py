import pytest
import torch

from features.errors import JobError
from orchestrator.jobs.execution import PRETEND_GPUS, JobExecution, device_of, resident_bytes
from orchestrator.run.bound import Run
from orchestrator.store.marks import DoneMark


def test_without_a_gpu_a_job_is_on_the_cpu_and_copies_no_features() -> None:
    execution = JobExecution(gpus=0.0, resident_bytes=10)
    assert device_of(execution).type == "cpu"
    assert resident_bytes(execution) == 0


def test_a_device_that_is_not_what_was_asked_for_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a job on a machine with a broken driver computes on the CPU, in silence."""
    monkeypatch.delenv(PRETEND_GPUS, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(JobError, match=r"was given a GPU of .*finds none there: .*--gpus-per-job 0"):
        device_of(JobExecution(gpus=1.0))
    monkeypatch.setenv(PRETEND_GPUS, "1")
    assert device_of(JobExecution(gpus=1.0)).type == "cpu"


def test_the_done_mark_has_the_device_the_workers_and_the_threads(inline_run: Run) -> None:
    mark = inline_run.store.done(inline_run.graph.nodes[inline_run.graph.train["plain", 0]])
    assert (mark.device, mark.workers) == ("cpu", 1)
    assert mark.threads == inline_run.recipe.conditions["plain"].train.threads
    assert DoneMark.from_json({**mark.to_json(), "device": "x"}, "").device == "x"
    older = {key: value for key, value in mark.to_json().items() if key not in ("device", "workers", "threads")}
    assert DoneMark.from_json(older, "").device == ""

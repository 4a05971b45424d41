import pytest
import torch

from features.errors import JobError
from orchestrator.jobs.execution import PRETEND_GPUS, RESIDENT_SHARE, JobExecution, device_of, resident_bytes
from orchestrator.run.bound import Run
from orchestrator.store.marks import DoneMark


def test_without_a_gpu_a_job_is_on_the_cpu_and_copies_no_features() -> None:
    execution = JobExecution(gpus=0.0, resident_bytes=10)
    assert device_of(execution).type == "cpu"
    assert resident_bytes(execution) == 0


@pytest.mark.parametrize(("gpus", "part"), [(1.0, 1.0), (0.25, 0.25), (4.0, 1.0)])
def test_features_may_take_a_share_of_the_free_memory(
    monkeypatch: pytest.MonkeyPatch, gpus: float, part: float
) -> None:
    monkeypatch.delenv(PRETEND_GPUS, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (60 << 30, 80 << 30))
    assert resident_bytes(JobExecution(gpus=gpus)) == int((60 << 30) * part * RESIDENT_SHARE)
    assert resident_bytes(JobExecution(gpus=gpus, resident_bytes=10)) == 10
    assert resident_bytes(JobExecution(gpus=gpus, resident_bytes=0)) == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_has_room_for_features() -> None:
    assert 0 < resident_bytes(JobExecution(gpus=1.0)) < torch.cuda.mem_get_info()[1]


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

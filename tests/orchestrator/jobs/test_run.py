import resource
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pytest
import torch
from typing_extensions import override

from features.errors import JobError, NotFiniteError, PeerLostError
from orchestrator.grids.load import load_grid
from orchestrator.jobs.attempt import Attempt
from orchestrator.jobs.execution import JobExecution
from orchestrator.jobs.inputs import Inputs
from orchestrator.jobs.run import run_job, run_share, versions
from orchestrator.jobs.spec import Binding, JobSpec, Work
from orchestrator.jobs.train import TrainSpec
from orchestrator.run.bound import Run
from orchestrator.run.selection import prepare
from orchestrator.store.layout import attempt_place
from orchestrator.store.local import LocalNodeStore
from orchestrator.store.marks import Failure
from orchestrator.store.node import Node


@dataclass(frozen=True)
class Does(Work):
    """Work that a test hands in."""

    what: Callable[[Attempt], Mapping[str, Any] | None]

    @override
    @classmethod
    def of(cls, node: Node, binding: Binding) -> Self:
        raise AssertionError("tests make this work themselves, not from a node")

    @override
    def do(self, spec: JobSpec, inputs: Inputs, attempt: Attempt) -> Mapping[str, Any] | None:
        assert len(inputs.manifest.classes) > 1
        return self.what(attempt)


@pytest.fixture
def run(small_data: Path, tiny_grid: Path, tmp_path: Path) -> Run:
    run = prepare(load_grid(str(tiny_grid)), small_data, tmp_path / "run")
    run.save()
    return run


@pytest.fixture
def node(run: Run) -> Node:
    """A node without inputs."""
    return next(node for node in run.graph.nodes.values() if node.kind == "shard")


def spec_of(run: Run, node: Node, what: Callable[[Attempt], Mapping[str, Any] | None]) -> JobSpec:
    spec = run.claim(node, JobExecution())
    return JobSpec(**{**vars(spec), "work": Does(what)})


def fails_with(error: Exception) -> Callable[[Attempt], None]:
    def raises(_: Attempt) -> None:
        raise error

    return raises


def test_the_done_mark_says_who_made_what_with_which_versions(run: Run, node: Node) -> None:
    def work(attempt: Attempt) -> Mapping[str, Any]:
        (attempt.folder / "data.npy").write_bytes(b"12345")
        return {"rows": 5}

    began, before_mb = time.time(), peak_mb()
    assert run_job(replace(spec_of(run, node, work), execution=JobExecution(workers=2)))
    mark = run.store.done(node)
    assert began <= mark.started <= mark.started + mark.seconds <= time.time() + 0.001
    assert before_mb - 0.06 <= mark.peak_mb <= peak_mb() + 0.06
    assert (mark.host, mark.device, mark.workers) == (socket.gethostname(), "cpu", 2)
    assert mark.threads == torch.get_num_threads()
    assert (mark.name, mark.signature, mark.attempts) == (node.name, node.signature, 1)
    assert mark.result == {"rows": 5}
    assert mark.files["data.npy"].bytes == 5
    assert mark.versions == versions()
    assert mark.peak_mb > 0


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_an_attempt_knows_where_it_is_and_how_long_it_may_stall(
    run: Run, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []
    closed: list[None] = []
    monkeypatch.setattr(LocalNodeStore, "close", lambda store: closed.append(None))

    def work(attempt: Attempt) -> None:
        sign = run.store.sign_of(attempt.name, attempt.number)
        assert sign is not None
        seen.extend([attempt.stall_s, sign.place, attempt.stop()])

    spec = replace(spec_of(run, node, work), execution=JobExecution(stall_s=70.0))
    run_job(spec, lambda: "epoch", place="machine-7")
    assert seen == [70.0, "machine-7", "no"]
    assert len(closed) == 1


def test_a_stopped_job_is_not_done(run: Run, node: Node) -> None:
    assert run_job(spec_of(run, node, lambda _: None)) is False
    assert run.store.state(node).state == "partial"


def test_a_failure_is_kept_with_its_class_and_trace(run: Run, node: Node) -> None:
    with pytest.raises(ValueError, match="odd"):
        run_job(spec_of(run, node, fails_with(ValueError("odd"))))
    failure = run.store.failure(run.store.name(node))
    assert failure is not None
    assert (failure.failure_class, failure.cause, failure.attempt) == ("error", "ValueError: odd", 1)
    assert "Traceback" in str(failure.trace)
    assert failure.host == socket.gethostname()
    assert failure.time == pytest.approx(time.time(), abs=600)
    with pytest.raises(MemoryError):
        run_job(spec_of(run, node, fails_with(MemoryError("no more"))))
    found = run.store.failure(run.store.name(node))
    assert found is not None
    assert found.failure_class == "memory"
    with pytest.raises(NotFiniteError):
        run_job(spec_of(run, node, fails_with(NotFiniteError("the loss became nan", 2))))
    failure = run.store.failure(run.store.name(node))
    assert failure is not None
    assert (failure.epochs_done, failure.trace, failure.attempt) == (2, None, 3)


def test_a_lost_peer_leaves_no_failure(run: Run, node: Node) -> None:
    with pytest.raises(PeerLostError):
        run_job(spec_of(run, node, fails_with(PeerLostError("gone"))))
    assert run.store.state(node).state == "partial"


@pytest.mark.parametrize("end", [SystemExit(1), KeyboardInterrupt()])
def test_a_process_that_is_asked_to_end_has_not_failed(run: Run, node: Node, end: BaseException) -> None:
    def ends(_: Attempt) -> None:
        raise end

    with pytest.raises(type(end)):
        run_job(spec_of(run, node, ends))
    assert run.store.state(node).state == "partial"
    assert run_job(spec_of(run, node, lambda _: {}))


def test_the_error_of_a_job_counts_more_than_a_store_that_cant_be_read(run: Run, node: Node) -> None:
    def work(_: Attempt) -> None:
        (claim,) = (run.store.root / run.store.name(node)).glob("claim-*.json")
        claim.write_text("{")
        raise ValueError("odd")

    with pytest.raises(ValueError, match="odd"):
        run_job(spec_of(run, node, work))


def test_errors_of_a_superseded_attempt_are_ignored(run: Run, node: Node) -> None:
    def work(_: Attempt) -> None:
        run.store.claim_anyway(run.store.name(node), "another run")
        raise JobError("its folder is gone")

    assert run_job(spec_of(run, node, work)) is False
    assert run.store.failure(run.store.name(node)) is None


def test_only_training_jobs_are_shared(run: Run, node: Node) -> None:
    with pytest.raises(AssertionError, match="is not a training job"):
        run_share(spec_of(run, node, lambda _: None))


@pytest.mark.parametrize("superseded", [False, True])
@pytest.mark.parametrize("error", [None, ValueError("odd"), PeerLostError("gone")])
def test_a_further_worker_leaves_nothing_but_its_failure(
    run: Run, error: Exception | None, superseded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = next(node for node in run.graph.nodes.values() if node.kind == "train")
    spec = replace(run.claim(node, JobExecution()), inputs={})
    shared: list[object] = []

    def share(work: TrainSpec, spec: JobSpec, inputs: Inputs) -> None:
        shared.append(inputs.manifest.classes)
        if superseded:
            run.store.claim_anyway(spec.node, "another run")
        if error is not None:
            raise error

    monkeypatch.setattr(TrainSpec, "share", share)
    with pytest.raises(type(error)) if error is not None else nullcontext():
        run_share(spec)
    assert shared == [run.manifest.classes]
    failure = run.store.read_mark(attempt_place(spec.node, 1), Failure)
    assert (failure is not None) == (isinstance(error, ValueError) and not superseded)

"""Settings of how and where a grid runs: what is filled in, and what can't work."""

import contextlib
import io
from pathlib import Path

import pytest

from features.errors import InputError
from orchestrator.cli.main import _parser
from orchestrator.cli.options import execution_of, resumed_execution
from orchestrator.jobs.execution import JobExecution
from orchestrator.run.bound import Run
from orchestrator.run.execution import Execution
from orchestrator.store.remote import CACHE_BYTES


def made(*options: str, address: str = "127.0.0.1:1") -> Execution:
    arguments = _parser().parse_args(["launch", "demo", "--data", "d", "--out", "o", "--address", address, *options])
    execution: Execution = execution_of(arguments)
    return execution


def test_python_and_the_command_line_have_the_same_defaults() -> None:
    assert made(address="local") == Execution(address="local")


def test_shares_of_conditions() -> None:
    plain = made()
    assert plain.share_of("A") == (None, 1), "one per worker if there are GPUs"
    shared = made("--gpus-per-job", "0.5", "--place", "B.gpu=A100", "--place", "B.gpus=2", "--place", "B.workers=2")
    assert shared.share_of("A") == (0.5, 1)
    assert shared.share_of("B") == (2.0, 2)
    assert shared.place["B"].gpu == "A100"
    assert made("--gpus-per-job", "1", "--place", "B.workers=4").share_of("B") == (4.0, 4)


def test_sizes_of_caches_reach_the_jobs() -> None:
    execution = made("--cache-gb", "0.5", "--resident-gb", "2").of_job()
    assert (execution.cache_bytes, execution.resident_bytes) == (500_000_000, 2_000_000_000)
    assert made().of_job().resident_bytes is None, "by the device's free memory"
    assert made().of_job().cache_bytes == JobExecution().cache_bytes == CACHE_BYTES


def resumed(folder: Path, *options: str) -> Execution:
    return resumed_execution(_parser().parse_args(["resume", str(folder), *options]))


def test_a_resumed_run_is_executed_as_it_was_launched_but_for_what_is_typed(
    copy: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    options = (
        "--workers",
        "2",
        "--place",
        "A.workers=1",
        "--retries",
        "5",
        "--cache-gb",
        "7",
        "--checkpoint-steps",
        "9",
    )
    copy.save({"execution": made(*options).asked()})
    more = {"workers": 2, "retries": 5, "cache_gb": 7.0, "checkpoint_steps": 9}
    assert resumed(copy.folder) == Execution.create("ray", None, place=["A.workers=1"], **more)
    again = resumed(copy.folder, "--retries", "3", "--place", "B.workers=2", "--address", "auto")
    assert (again.retries, again.workers, again.address, list(again.place)) == (3, 2, "auto", ["B"])
    copy.save({"execution": Execution(executor="inline").asked()})
    assert resumed(copy.folder).executor == "inline"
    assert resumed(copy.folder, "--executor", "ray").executor == "ray"
    copy.save({"execution": made("--gpus-per-job", "0.5").asked()})
    assert resumed(copy.folder).gpus_per_job == 0.5
    copy.save({})
    assert resumed(copy.folder) == Execution.create("ray", None), "as of an older version"
    assert "as launched" in _help_of("resume")
    assert "(default: ray)" in _help_of("launch")


def _help_of(verb: str) -> str:
    with pytest.raises(SystemExit), contextlib.redirect_stdout(io.StringIO()) as shown:
        _parser().parse_args([verb, "--help"])
    return " ".join(shown.getvalue().split())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--gpus-per-job", "1.5"], "--gpus-per-job: 1.5 GPUs with 1 worker can't work: above 1 only whole GPUs"),
        (["--gpus-per-job", "0.5", "--workers", "2"], "--gpus-per-job: 0.5 GPUs with 2 workers can't work: workers"),
        (["--gpus-per-job", "2"], "a worker uses one GPU; give as many workers as GPUs"),
        (["--gpus-per-job", "0.5", "--place", "B.workers=2"], "--place B: 0.5 GPUs with 2 workers can't work"),
        (["--gpus-per-job", "0", "--place", "B.gpu=A100"], "--place B.gpu=A100: its jobs take no GPU; add"),
        (["--gpus-per-job", "-1"], "--gpus-per-job is -1.0"),
        (["--workers", "0"], "--workers is 0"),
        (["--cache-gb", "0"], "--cache-gb is 0.0: Input should be greater than 0"),
        (["--resident-gb", "-1"], "--resident-gb is -1.0"),
        (["--place", "B=A100"], "write CONDITION.FIELD=VALUE, for instance B.gpu=A100"),
        (["--place", "B.colour=red"], "FIELD: gpu, gpus, workers"),
        (["--place", "B.gpus=many"], "'many' is not a number"),
        (["--place", "B.workers=0"], "--place B.workers is 0"),
        (["--place", "B.gpu=a b"], "--place B.gpu is 'a b'"),
        (["--executor", "inline", "--workers", "2"], "--workers and --place need --executor ray"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_one_sentence(options: list[str], told: str) -> None:
    with pytest.raises(InputError) as error:
        made(*options)
    assert told in str(error.value)
    assert "\n" not in str(error.value)

"""The state of each job, and the table that shows it. How states follow from interrupted runs is in tests/whole."""

import io
import os
import threading

import pytest
from rich.console import Console

from features.errors import StoreError
from orchestrator.run.bound import Run
from orchestrator.run.record import RecordedRun
from orchestrator.store.marks import Failure
from orchestrator.views.status import JobStatus, Status, picture, read_status, show, watch
from tests.fixtures.harm import attempt_at, fail, signs


def printed(status: Status) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(show(status))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def read(run: Run) -> dict[str, JobStatus]:
    return {job.name: job for job in read_status(RecordedRun.open(run.folder)).jobs}


def test_a_finished_run_is_done(inline_run: Run) -> None:
    status = read_status(RecordedRun.open(inline_run.folder))
    assert status.owner is None
    assert all(job.is_done for job in status.jobs)
    job = next(job for job in status.jobs if job.name == "train-A-0")
    history = inline_run.store.history(inline_run.graph.nodes[inline_run.graph.train["A", 0]])
    assert (job.epoch, job.epochs, job.eta_s) == (2, 2, 0.0)
    assert job.best_lwlrap == max(record["lwlrap"] for record in history)
    assert job.host
    assert next(job for job in status.jobs if job.name == "predict-A-0").epochs is None


def test_work_from_before_the_last_launch_is_cached(copy: Run) -> None:
    os.utime(copy.folder / "run.json", (2**31, 2**31))
    assert {job.state for job in read(copy).values()} == {"cached"}
    os.utime(copy.folder / "run.json", (1, 1))
    assert {job.state for job in read(copy).values()} == {"done"}


def test_unfinished_jobs_are_told_apart(copy: Run) -> None:
    nodes = {node.name: node for node in copy.graph.nodes.values()}
    fail(copy, nodes["blend"], Failure(cause="it broke", host="there", attempt=2))
    copy.store.forget(nodes["predict-D-0"])
    with attempt_at(copy, nodes["train-A-0"]), attempt_at(copy, nodes["train-A-1"]):
        for sign in signs(copy, nodes["train-A-1"]):
            os.utime(sign, (1, 1))
        jobs = read(copy)
    assert jobs["predict-D-0"].state == "waiting"
    assert jobs["train-A-0"].state in ("running", "retrying")
    assert (jobs["blend"].state, jobs["blend"].cause, jobs["blend"].host) == ("failed", "it broke", "there")
    assert jobs["blend"].attempt == 2


def test_the_table_has_one_line_per_job_and_counts_shards() -> None:
    jobs = [
        JobStatus("shard-mel-0", "shard", "done"),
        JobStatus("shard-mel-1", "shard", "waiting"),
        JobStatus("shard-mel-2", "shard", "failed", "disk full", log="store/logs/1.log"),
        JobStatus("train-A-0", "train", "retrying", None, 3, 10, 0.5, 2.0, 3725.0, "node-7", 2),
        JobStatus("predict-A-0", "predict", "waiting"),
    ]
    text = printed(Status(jobs, "process 7 on here, last sign of life 0:02 ago"))
    lines = {line.split()[1]: line for line in text.splitlines() if "-" in line}
    assert "shard-mel-0" not in text
    assert "disk full (log: store/logs/1.log)" in lines["shard-mel-2"]
    for cell in ("retrying", "3/10", "0.500", "0:02 ago", "1:02:05", "node-7", "attempt 2"):
        assert cell in lines["train-A-0"]
    assert "features: 1 of 3 shards done" in text
    assert "jobs: 1 retrying, 1 waiting" in text
    assert "run by process 7 on here" in text
    assert "not running" in printed(Status(jobs, None))


def test_a_finished_job_says_what_it_took_and_empty_columns_are_left_out() -> None:
    jobs = [JobStatus("train-A-0", "train", "done", None, 10, 10, 0.5, host="node-7", seconds=65.2)]
    head, _, line, *_ = printed(Status(jobs, None)).splitlines()
    assert head.split() == ["state", "job", "epoch", "best", "took", "host"]
    assert line.split() == ["done", "train-A-0", "10/10", "0.500", "1:05", "node-7"]


def test_the_json_form_has_every_field(inline_run: Run) -> None:
    content = read_status(RecordedRun.open(inline_run.folder)).as_dict()
    assert set(content) == {"owner", "jobs"}
    assert set(content["jobs"][0]) == {
        "name", "kind", "state", "cause", "epoch", "epochs", "best_lwlrap", "age_s", "eta_s", "host", "attempt", "log",
        "seconds", "peak_mb", "condition", "fold",
    }  # fmt: skip
    places = [(job["condition"], job["fold"]) for job in content["jobs"] if job["kind"] == "train"]
    assert sorted(places) == sorted((name, fold) for name in ("plain", "A", "B", "D") for fold in (0, 1))


def test_a_screen_shows_the_grid_and_the_jobs_that_run() -> None:
    jobs = [
        JobStatus("shard-mel-0", "shard", "done"),
        JobStatus("train-A-0", "train", "cached", None, 10, 10, 0.5, condition="A", fold=0),
        JobStatus("train-A-1", "train", "cached", None, 10, 10, 0.5, condition="A", fold=1),
        JobStatus("train-B.1-0", "train", "done", None, 10, 10, 0.4),
        JobStatus("train-B-0", "train", "running", None, 3, 10, 0.6, 2.0, 70.0, "node-7", 2, condition="B", fold=0),
        *(JobStatus(f"predict-A-{number}", "predict", "running", host="node-8") for number in range(50)),
    ]
    console = Console(file=io.StringIO(), width=100)
    console.print(picture(Status(jobs, None), 30))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert lines[0].split() == ["condition", "fold", "0", "fold", "1"]
    assert lines[1].split() == ["A", ".500", ".500"]
    assert lines[2].split() == ["B", "3/10", ".600"]
    assert any("train-B-0" in line and "node-7" in line and "1:10" in line for line in lines)
    assert len(lines) <= 30
    assert "not running" in lines[-1]
    assert sum("train" in line for line in lines) == 1, "what is done is in the picture alone"


def test_watching_a_finished_run_ends(inline_run: Run) -> None:
    console = Console(file=io.StringIO(), width=160)
    watch(RecordedRun.open(inline_run.folder), console, every_s=0.0)
    assert isinstance(console.file, io.StringIO)
    assert "train-A-0" in console.file.getvalue()
    assert console.file.getvalue().endswith("not running\n"), "a pipe gets whole lines"


def test_watching_ends_where_a_mark_stays_damaged(copy: Run) -> None:
    name = copy.store.name(copy.graph.nodes[copy.graph.train["A", 0]])
    mark = copy.store.root / name / "done.json"
    mark.write_text("half a ma")
    with pytest.raises(StoreError, match=r"done\.json is damaged"):
        watch(RecordedRun.open(copy.folder), Console(quiet=True), every_s=0.0)


def test_watching_waits_for_a_store_that_is_away(copy: Run) -> None:
    run, elsewhere = RecordedRun.open(copy.folder), copy.folder / "elsewhere"
    run.store.root.rename(elsewhere)
    back = threading.Timer(1.0, elsewhere.rename, (run.store.root,))
    back.start()
    console = Console(file=io.StringIO(), width=160, force_terminal=True)
    watch(run, console, every_s=0.1)
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert "the store does not answer since" in said
    assert "store is gone; waiting" in said
    assert "fold 0" in said, "and then shows it"

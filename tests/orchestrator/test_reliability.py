"""What can go wrong around a run, done to it for real, and what it makes of it. The table is docs/reliability.md."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from features.errors import DamagedInputError, InputError, StoreError
from features.files import read_json, write_json
from orchestrator.attempt import Attempt
from orchestrator.cli import main
from orchestrator.failures import cause_of, failure_class
from orchestrator.graph import Node
from orchestrator.grid import load_grid
from orchestrator.inline_executor import InlineExecutor
from orchestrator.jobs import run_job
from orchestrator.launch import Selection, launch, plan_of, prepare
from orchestrator.owner import own
from orchestrator.plan import Plan
from orchestrator.recipe import Execution
from orchestrator.run import Run
from orchestrator.scheduler import run_plan
from orchestrator.status import read_status

Compare = Callable[[Run, Run], None]
INLINE = Execution(executor="inline")
QUIET = Console(quiet=True)


def attempt_at(run: Run, node: Node, owner: str = "") -> Attempt:
    """A new attempt at a node, which may be done, in this process."""
    run.store.forget(node)
    return Attempt(run.store, run.store.name(node), run.store.claim(node, owner))


def fail(run: Run, node: Node, **mark: Any) -> None:
    """Leave the mark of a failed attempt."""
    run.store.forget(node)
    run.store.claim(node, "")
    run.store.set_mark(run.store.name(node), "failed.json", mark)


def signs(run: Run, node: Node) -> list[Path]:
    """Signs of life of a node's attempts."""
    return list(run.store.folder(node).glob("attempt-*/alive.json"))


@pytest.fixture(autouse=True)
def _own_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")


@pytest.fixture
def copy(inline_run: Run, tmp_path: Path) -> Run:
    """A finished run that may be harmed."""
    shutil.copytree(inline_run.folder, tmp_path / "run")
    return Run.open(tmp_path / "run")


def ran(run: Run, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    """Resume inline; gives the exit code and what was said."""
    capsys.readouterr()
    code = main(["resume", str(run.folder), "--executor", "inline", *more])
    said = capsys.readouterr()
    return code, said.out + said.err


def nodes_that_ran(run: Run) -> list[str]:
    return [entry["name"] for entry in read_json(run.folder / "timeline.json")]


# --- files that are not what they were


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    times = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 7)


@pytest.mark.parametrize(
    ("name", "file", "harm", "told"),
    [
        ("shard-mel-noisy-0000", "data.npy", flip, "its checksum is not the one it was written with"),
        ("train-A-1", "snapshot-1.safetensors", flip, "its checksum is not the one"),
        ("predict-B-0", "curated.npy", flip, "its checksum is not the one"),
        ("shard-waveform-curated-0000", "index.parquet", cut, r"it has \d+ bytes, not \d+"),
        ("pseudo-A-0", "soft_labels.npy", Path.unlink, "it can't be read"),
        ("blend", "blend.json", cut, r"it has \d+ bytes, not \d+"),
    ],
)
def test_a_damaged_result_is_named_and_that_node_alone_is_computed_again(
    copy: Run, inline_run: Run, same_numbers: Compare, capsys: pytest.CaptureFixture[str],
    name: str, file: str, harm: Callable[[Path], None], told: str,
) -> None:  # fmt: skip
    node = next(node for node in copy.graph.nodes.values() if node.name == name)
    path = copy.store.folder(node) / file
    harm(path)
    code, said = ran(copy, capsys)
    assert code == 0
    assert re.search(f"repair: {re.escape(str(path))} is damaged: {told}", said)
    assert nodes_that_ran(copy) == [name]
    same_numbers(inline_run, Run.open(copy.folder))


def test_damage_that_only_a_reader_finds_is_an_error_and_is_remembered(
    copy: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that rots changes no time: the plan's quick look passes over it."""
    node = copy.graph.nodes[copy.graph.predict["A", 0]]
    path = copy.store.folder(node) / "test.npy"
    flip(path)
    os.utime(copy.store.folder(node) / "done.json", ns=(2**62, 2**62))
    assert {p.action for p in plan_of(copy, Selection()).nodes} == {"cached"}
    capsys.readouterr()
    assert main(["report", str(copy.folder)]) == 1
    assert f"{path} is damaged" in capsys.readouterr().err
    assert ran(copy, capsys)[0] == 0
    assert nodes_that_ran(copy) == ["predict-A-0"]
    assert main(["report", str(copy.folder)]) == 0


def test_damage_that_a_job_finds_in_its_input_sends_the_input_back(
    copy: Run, inline_run: Run, same_numbers: Compare, tmp_path: Path
) -> None:
    plan = plan_of(copy, Selection(force=("train-B-0", "predict-B-0")))
    for planned in plan.pending:
        copy.store.forget(planned.node)
    shard = next(node for node in copy.graph.nodes.values() if node.name == "shard-mel-noisy-0000")
    flip(copy.store.folder(shard) / "data.npy")
    summary = run_plan(plan, InlineExecutor(copy, INLINE), pause_s=0)
    assert not summary.failed
    assert [name for name, _, _ in summary.timeline] == [
        "train-B-0", "shard-mel-noisy-0000", "train-B-0", "predict-B-0"
    ]  # fmt: skip
    same_numbers(inline_run, Run.open(copy.folder))


def test_a_damaged_manifest_is_named_and_resume_makes_it_again(copy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    flip(copy.store.root / copy.manifest_name / "clips.parquet")
    assert main(["status", str(copy.folder)]) == 1
    assert "clips.parquet is damaged" in capsys.readouterr().err
    code, said = ran(copy, capsys)
    assert code == 0
    assert "nothing to do" in said
    assert main(["status", str(copy.folder)]) == 0


def test_killed_between_the_done_mark_and_the_sweep(copy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    node = copy.graph.nodes[copy.graph.train["A", 0]]
    folder = copy.store.folder(node)
    write_json(folder / "attempt.json", {"attempt": 1, "owner": ""})
    (folder / "attempt-1").mkdir()
    (folder / "attempt-1" / "checkpoint.safetensors").touch()
    assert ran(copy, capsys)[0] == 0
    assert not (folder / "attempt-1").exists()
    assert not (folder / "attempt.json").exists()


# --- asked for by name


def test_force_runs_a_node_again_and_what_it_gives_is_the_same(
    copy: Run, inline_run: Run, same_numbers: Compare, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(copy, capsys, "--force", "train-plain-1,blend")[0] == 0
    assert sorted(nodes_that_ran(copy)) == ["blend", "train-plain-1"]
    same_numbers(inline_run, Run.open(copy.folder))
    code, said = ran(copy, capsys, "--force", "train-plane-1")
    assert code == 2
    assert "did you mean 'train-plain-1'?" in said


def test_resume_failed_runs_what_failed_and_what_waits_for_it_alone(
    copy: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = copy.graph
    for signature in (graph.train["B", 0], graph.predict["B", 0], graph.predict["B", 1], graph.blend):
        assert signature is not None
        shutil.rmtree(copy.store.folder(graph.nodes[signature]))
    fail(copy, graph.nodes[graph.train["B", 0]], cause="it broke")
    assert ran(copy, capsys, "--failed")[0] == 0
    assert nodes_that_ran(copy) == ["train-B-0", "predict-B-0"], "the blend waits for predict-B-1 too"
    assert ran(copy, capsys)[0] == 0
    assert nodes_that_ran(copy) == ["predict-B-1", "blend"]


def test_a_folder_of_an_older_version_or_of_another_grid_is_refused(
    copy: Run, small_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["launch", "demo", "--data", str(small_data), "--out", str(copy.folder), "--executor", "inline"]) == 2
    assert "holds grid 'tiny', not 'demo'; use another --out" in capsys.readouterr().err
    raw = read_json(copy.folder / "run.json")
    write_json(copy.folder / "run.json", {**raw, "schema": 1})
    for verb in ("status", "resume", "report"):
        assert main([verb, str(copy.folder)]) == 2
        assert "was written by another version of sonogrid; use a new RUN folder" in capsys.readouterr().err


# --- a loss that is not finite


def test_a_fold_that_diverged_goes_on_with_a_lower_rate_and_the_others_are_left_alone(
    tmp_path: Path, small_data: Path, tiny_grid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rate that is too high from the second epoch on: the first one is kept."""
    changes = ["conditions={plain: {epochs: 3, lr_max: 0.02}}", "members=[]", "paper_weights={}", "ensembles={}",
               "published={}", "comparisons={}"]  # fmt: skip
    out = tmp_path / "run"
    run = prepare(load_grid(str(tiny_grid), changes), small_data, out)
    assert launch(run, INLINE, Selection(), QUIET) == 0
    # What a diverged fold leaves: a checkpoint of its last good epoch, and the cause.
    node = run.graph.nodes[run.graph.train["plain", 0]]
    folder = run.store.folder(node)
    shutil.rmtree(folder)
    run.store.refresh()
    spec = run.job_spec(node, INLINE)
    epochs = iter(["no"] * 100)

    def after_one_epoch() -> Any:
        if any(folder.glob("attempt-1/checkpoint.safetensors")):
            return "epoch"
        return next(epochs)

    assert not run_job(spec, after_one_epoch)
    run.store.set_mark(folder.name, "failed.json", {"cause": "the loss became nan", "epochs_done": 1})
    capsys.readouterr()
    rescue = "conditions.plain.rescue.0={after: 1, lr_factor: 0.1}"
    assert main(["resume", str(out), "--executor", "inline", "--set", rescue]) == 0
    again = Run.open(out)
    rescued = again.graph.nodes[again.graph.train["plain", 0]]
    assert again.graph.train["plain", 1] == run.graph.train["plain", 1]
    assert nodes_that_ran(again) == ["train-plain-0", "predict-plain-0", "blend"]
    assert "continued at epoch 1" in (again.store.log(rescued) or Path()).read_text()
    rates = [record["lr"] for record in again.store.history(rescued)]
    plain = [record["lr"] for record in again.store.history(again.graph.nodes[again.graph.train["plain", 1]])]
    assert rates == pytest.approx([plain[0], 0.1 * plain[1], 0.1 * plain[2]])


def test_the_failure_says_what_to_type(
    tmp_path: Path, small_data: Path, tiny_grid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = ["conditions.plain.lr_max=1e30", "conditions.plain.optimizer=sgd"]
    arguments = ["launch", str(tiny_grid), "--data", str(small_data), "--out", str(tmp_path / "run")]
    sets = [word for change in changes for word in ("--set", change)]
    assert main([*arguments, "--executor", "inline", "--only", "plain", "--folds", "1", *sets]) == 1
    said = capsys.readouterr().out
    assert re.search(
        r"failed: train-plain-1: the loss of stream curated became nan or inf in epoch 1, step 2 of 2", said
    )
    assert "--set 'conditions.plain.rescue.1={after: 0, lr_factor: 0.1}'" in said
    log = re.search(r"log: (\S+)", said)
    assert log is not None
    assert "NotFiniteError" in Path(log.group(1)).read_text()


# --- one owner


HOLD = "import sys, time; from pathlib import Path; from orchestrator.owner import own\n"
HOLD += "with own(Path(sys.argv[1])):\n print('owned', flush=True)\n time.sleep(600)"


@pytest.fixture
def holder(copy: Run) -> Iterator[subprocess.Popen[str]]:
    """Another process that owns the run."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(copy.folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "owned\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_run_has_one_owner_and_a_dead_one_is_succeeded(
    copy: Run, holder: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = ran(copy, capsys)
    assert code == 2
    assert f"is being run by process {holder.pid} on {socket.gethostname()}" in said
    assert "last sign of life" in str(read_status(copy).owner)
    holder.kill()
    holder.wait()
    code, said = ran(copy, capsys)
    assert code == 0
    assert f"process {holder.pid} on {socket.gethostname()} is gone; this one goes on with its run" in said
    assert read_status(copy).owner is None


def test_an_owner_on_another_machine_is_dead_when_its_counter_stands_still(
    copy: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.owner.STANDSTILL_S", 1.5)
    path = copy.folder / "owner.json"
    # Its clock is years ahead: nobody's clock is asked.
    write_json(path, {"token": "x", "host": "elsewhere", "pid": 7, "time": time.time() + 1e8, "count": 3})
    with own(copy.folder) as owner:
        assert owner.took_over == "process 7 on elsewhere"
    write_json(path, {"token": "x", "host": "elsewhere", "pid": 7, "time": 0.0, "count": 3})
    counting = subprocess.Popen(
        [sys.executable, "-c", "import json, sys, time\nfor n in range(9):\n time.sleep(0.4)\n open(sys.argv[1], 'w')"
         ".write(json.dumps({'token': 'x', 'host': 'elsewhere', 'pid': 7, 'time': 0, 'count': 4 + n}))", str(path)]
    )  # fmt: skip
    try:
        with pytest.raises(InputError, match="is being run by process 7 on elsewhere"), own(copy.folder):
            pass
    finally:
        counting.wait()


def test_no_secret_reaches_a_jobs_log_or_its_failure(copy: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sesame-sesame")
    node = copy.graph.nodes[copy.graph.train["plain", 0]]
    copy.store.forget(node)

    def breaks() -> Any:
        raise RuntimeError("no answer from postgresql://me:hunter2@db/x with sesame-sesame")

    monkeypatch.setattr("orchestrator.jobs.versions", breaks)
    with pytest.raises(RuntimeError):
        run_job(copy.job_spec(node, INLINE))
    log = copy.store.log(node)
    assert log is not None
    written = log.read_text() + (copy.store.folder(node) / "failed.json").read_text()
    assert "no answer from postgresql://me:" in written
    assert "hunter2" not in written
    assert "sesame" not in written


def test_a_superseded_attempt_writes_nothing_more(copy: Run) -> None:
    """A worker that was cut off comes back: its successor's files stay as they are."""
    node = copy.graph.nodes[copy.graph.train["plain", 0]]
    copy.store.forget(node)
    first = copy.job_spec(node, INLINE)

    class CutOff:
        asked = 0

        def __call__(self) -> Any:
            CutOff.asked += 1
            if CutOff.asked == 2:  # after its first epoch the node is given to another attempt, which finishes it
                assert run_job(copy.job_spec(node, INLINE))
                CutOff.done = {p.name: p.read_bytes() for p in copy.store.folder(node).iterdir() if p.is_file()}
            return "no"

    assert run_job(first, CutOff()) is False
    after = {p.name: p.read_bytes() for p in copy.store.folder(node).iterdir() if p.is_file()}
    assert after == CutOff.done  # type: ignore[attr-defined]
    assert copy.store.done(node)["attempts"] == 2
    assert "attempt 1 on" in (copy.store.folder(node) / "logs" / "1.log").read_text()


def test_an_attempt_that_was_believed_lost_and_finishes_is_not_made_again(copy: Run) -> None:
    node = copy.graph.nodes[copy.graph.train["plain", 0]]
    copy.store.forget(node)
    assert run_job(copy.job_spec(node, INLINE))
    executor = InlineExecutor(copy, INLINE)
    executor.submit(node)
    assert [finished.outcome for finished in executor.wait(1)] == ["done"]
    assert copy.store.done(node)["attempts"] == 1
    # It finishes between the look and the claim: what it did stays, and the attempt that comes too late ends.
    late = copy.job_spec(node, INLINE)
    copy.store.sweep(copy.store.name(node))
    assert run_job(late) is False
    assert copy.store.done(node)["attempts"] == 1


def test_a_node_that_another_run_works_on_is_waited_for(
    inline_run: Run, tmp_path: Path, small_data: Path, tiny_grid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.scheduler.BUSY_PAUSE_S", 0.2)
    shutil.copytree(inline_run.store.root, tmp_path / "shared")
    run = prepare(load_grid(str(tiny_grid)), small_data, tmp_path / "mine", tmp_path / "shared")
    node = run.graph.nodes[run.graph.train["A", 0]]
    other = Run(tmp_path / "other", run.recipe, run.data_root, run.store, run.manifest)
    busy: list[float] = []
    with attempt_at(other, node, other.identity):
        assert run.store.is_busy(node, run.identity)
        assert not run.store.is_busy(node, other.identity)
        began = time.monotonic()

        def stop() -> bool:
            busy.append(time.monotonic() - began)
            return busy[-1] > 1.0

        plan = plan_of(run, Selection())
        summary = run_plan(plan, InlineExecutor(run, INLINE, owner=run.identity), should_stop=stop)
        assert summary.done == 0
        assert run.store.lease(run.store.name(node))["owner"] == other.identity
    for sign in signs(run, node):
        os.utime(sign, (1, 1))
    assert not run.store.is_busy(node, run.identity), "its last sign of life is old"
    assert launch(run, INLINE, Selection(), QUIET) == 0


# --- stopped and killed from outside


def start(grid: Path, data: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "orchestrator.cli", "launch", str(grid), "--data", str(data), "--out", str(out)]
    return subprocess.Popen(
        [*command, "--executor", "inline", *more], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def wait_for(out: Path, pattern: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not list(out.glob(pattern)):
        assert time.monotonic() < deadline, f"{pattern} does not come"
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_stopped_and_killed_runs_go_on_where_they_were(
    inline_run: Run, tmp_path: Path, small_data: Path, tiny_grid: Path, same_numbers: Compare,
    capsys: pytest.CaptureFixture[str], how: signal.Signals,
) -> None:  # fmt: skip
    out = tmp_path / "run"
    process = start(tiny_grid, small_data, out, "--checkpoint-steps", "1")
    wait_for(out, "store/train-A-*/attempt-1/checkpoint.safetensors")
    process.send_signal(how)
    said, _ = process.communicate(timeout=60)
    if how != signal.SIGKILL:
        assert process.returncode == 1
        assert ("stopping after the running epochs" if how == signal.SIGINT else "stopping at the next step") in said
        assert f"resume {out}" in said
        assert not (out / "owner.json").exists()
    run = Run.open(out)
    code, said = ran(run, capsys)
    assert code == 0
    again = Run.open(out)
    assert any(again.store.done(node)["attempts"] == 2 for node in again.graph.nodes.values() if node.kind == "train")
    same_numbers(inline_run, again)


# --- the disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("this user may not mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_space(
    small_disk: Path, small_data: Path, tiny_grid: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    out = small_disk / "run"
    arguments = ["launch", str(tiny_grid), "--data", str(small_data), "--out", str(out), "--executor", "inline"]
    assert main(arguments) == 2
    assert "GB free and the features need" in capsys.readouterr().err
    monkeypatch.setattr("orchestrator.launch.require_free_space", lambda *_: None)  # something else fills the disk
    assert main(arguments) == 1
    said = "".join(capsys.readouterr())
    assert "the disk is full: free some space, then resume the run" in said
    assert "Traceback" not in said
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    assert main(["resume", str(out), "--executor", "inline"]) == 0
    assert not list(out.rglob("*.tmp*"))


def test_a_read_only_store_can_be_read_and_launching_says_why_not(
    small_disk: Path, inline_run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    out = small_disk / "run"
    shutil.copytree(inline_run.folder, out)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    try:
        for verb in ("status", "report"):
            assert main([verb, str(out)]) == 0
        capsys.readouterr()
        assert main(["resume", str(out), "--executor", "inline"]) == 2
        assert "read-only" in capsys.readouterr().err
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)


def test_what_a_machine_refuses_is_said_in_a_sentence() -> None:
    assert cause_of(PermissionError(13, "Permission denied", "/s/x")).startswith("/s/x: permission denied: make it")
    assert cause_of(RuntimeError("I/O error: No space left on device (os error 28)")) == (
        "the store: the disk is full: free some space, then resume the run"
    )
    assert cause_of(KeyError("x")) == "KeyError: 'x'"
    assert (
        cause_of(RuntimeError("no answer from db://me:secret@host/x"))
        == "RuntimeError: no answer from db://me:***@host/x"
    )
    assert failure_class(MemoryError()) == "memory"
    assert failure_class(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")) == "memory"
    assert failure_class(RuntimeError("DefaultCPUAllocator: can't allocate memory")) == "memory"
    assert failure_class(DamagedInputError("x")) == "damaged"
    assert failure_class(StoreError("x")) == "error"


# --- clocks, and what status makes of it all


def test_a_clock_that_goes_backwards_makes_nobody_young_or_old(copy: Run) -> None:
    node = copy.graph.nodes[copy.graph.train["plain", 0]]
    with attempt_at(copy, node, "another run"):
        for ahead in (-1e6, 1e6):
            (path,) = signs(copy, node)
            write_json(path, {**read_json(path), "time": time.time() + ahead})
            assert copy.store.is_busy(node, "mine"), "the file system's clock tells"
            (job,) = (job for job in read_status(copy).jobs if job.name == node.name)
            assert job.age_s is not None
            assert job.age_s >= 0


def test_status_tells_the_states_apart(copy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    graph = copy.graph
    by_name = {node.name: node for node in graph.nodes.values()}
    shutil.rmtree(copy.store.folder(by_name["predict-plain-0"]))
    fail(copy, by_name["blend"], cause="it broke", host="there", attempt=2)
    with attempt_at(copy, by_name["train-A-1"]):
        pass
    for sign in signs(copy, by_name["train-A-1"]):
        write_json(sign, {**read_json(sign), "time": time.time() - 100})
    copy.store.claim(by_name["train-B-0"], "")
    with attempt_at(copy, by_name["train-A-0"]) as attempt, attempt_at(copy, by_name["train-B-0"]):
        attempt.progress(epoch=1, step=3)
        assert main(["status", str(copy.folder), "--json"]) == 0
        jobs = {job["name"]: job for job in json.loads(capsys.readouterr().out)["jobs"]}
        assert main(["status", str(copy.folder)]) == 0
        table = capsys.readouterr().out
    states = {name: jobs[name]["state"] for name in ("predict-plain-0", "blend", "train-A-1", "train-A-0", "train-B-0")}
    assert states == {
        "predict-plain-0": "waiting", "blend": "failed", "train-A-1": "stopped", "train-A-0": "running",
        "train-B-0": "retrying",
    }  # fmt: skip
    assert jobs["blend"]["cause"] == "it broke"
    assert jobs["train-A-1"]["age_s"] > 90
    assert jobs["train-D-0"]["state"] in ("done", "cached")
    assert jobs["train-D-0"]["epoch"] == jobs["train-D-0"]["epochs"] == 1
    assert re.search(r"retrying +train-B-0 .*attempt 2", table)
    assert "nobody runs it now" in table


# --- MLflow away


def test_without_mlflow_training_never_notices_and_sync_brings_it_up_to_date(
    inline_run: Run, tmp_path: Path, small_data: Path, tiny_grid: Path, same_numbers: Compare,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("orchestrator.tracking.PATIENCE_S", 2.0)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@127.0.0.1:9")
    out = tmp_path / "run"
    arguments = ["launch", str(tiny_grid), "--data", str(small_data), "--out", str(out), "--executor", "inline"]
    assert main(arguments) == 0
    said = "".join(capsys.readouterr())
    assert "warning: MLflow is not up to date" in said
    assert f"'sonogrid sync {out}' brings it up to date" in said
    assert main(["sync", str(out)]) == 1
    said += (error := capsys.readouterr().err)
    assert "can't be reached" in error
    assert "hunter2" not in said
    same_numbers(inline_run, Run.open(out))
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'later.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    for _ in range(2):
        assert main(["sync", str(out)]) == 0
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    assert len(runs) == 4 * (1 + 2) + 1
    assert {run.info.status for run in runs} == {"FINISHED"}
    child = next(run for run in runs if run.info.run_name == "A fold 0")
    assert [p.step for p in client.get_metric_history(child.info.run_id, "lwlrap")] == [1, 2]


def test_a_killed_job_does_not_stay_running_in_mlflow(
    copy: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'killed.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    node = copy.graph.nodes[copy.graph.train["A", 0]]
    client = MlflowClient(uri)

    def status() -> str:
        assert main(["sync", str(copy.folder)]) == 0
        experiment = client.get_experiment_by_name("tiny")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id], max_results=1000)
        return str(next(run for run in runs if run.info.run_name == "A fold 0").info.status)

    with attempt_at(copy, node):
        assert status() == "RUNNING", "another process works on it"
    for sign in signs(copy, node):
        os.utime(sign, (1, 1))
    assert status() == "KILLED"
    assert run_job(copy.job_spec(node, INLINE))
    assert status() == "FINISHED"


def test_the_plan_is_pure(copy: Run) -> None:
    before = {p: p.stat().st_mtime_ns for p in copy.folder.rglob("*")}
    assert isinstance(plan_of(copy, Selection()), Plan)
    read_status(copy)
    assert {p: p.stat().st_mtime_ns for p in copy.folder.rglob("*")} == before

"""Damaged results, failed and diverged jobs, and what a launch makes of them. The table is docs/reliability.md."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from features.files import read_json, write_json
from orchestrator.cli.main import main
from orchestrator.executors.inline import InlineExecutor
from orchestrator.grids.load import load_grid
from orchestrator.jobs.run import run_job
from orchestrator.launch import launch
from orchestrator.planning.scheduler import run_plan
from orchestrator.run.bound import Run
from orchestrator.run.selection import Selection, plan_of, prepare
from orchestrator.store.marks import Failure
from tests.fixtures.harm import INLINE, QUIET, Compare, fail, nodes_that_ran, ran

pytestmark = pytest.mark.usefixtures("own_mlflow")


# --- files that are not what they were


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    times = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 7)


def test_a_damaged_result_is_named_and_that_node_alone_is_computed_again(
    copy: Run, inline_run: Run, same_numbers: Compare, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of each kind; none has all of its dependents among the others."""
    cases: list[tuple[str, str, Callable[[Path], None], str]] = [
        ("shard-mel-noisy-0000", "data.npy", flip, "its checksum is not the one it was written with"),
        ("shard-waveform-curated-0000", "index.parquet", cut, r"it has \d+ bytes, not \d+"),
        ("train-A-1", "snapshot-1.safetensors", flip, "its checksum is not the one"),
        ("predict-B-0", "curated.npy", flip, "its checksum is not the one"),
        ("pseudo-A-0", "labels.npy", Path.unlink, "it can't be read"),
        ("blend", "blend.json", cut, r"it has \d+ bytes, not \d+"),
    ]
    nodes = {node.name: node for node in copy.graph.nodes.values()}
    paths = {name: copy.store.results(nodes[name]) / file for name, file, _, _ in cases}
    for name, _, harm, _ in cases:
        harm(paths[name])
    code, said = ran(copy, capsys)
    assert code == 0
    for name, _, _, told in cases:
        assert re.search(f"repair: {re.escape(str(paths[name]))} is damaged: {told}", said)
    assert sorted(nodes_that_ran(copy)) == sorted(paths)
    same_numbers(inline_run, Run.open(copy.folder))


def test_damage_that_only_a_reader_finds_is_an_error_and_is_remembered(
    copy: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that rots changes no time: the plan's quick look passes over it."""
    node = copy.graph.nodes[copy.graph.predict["A", 0]]
    path = copy.store.results(node) / "test.npy"
    flip(path)
    os.utime(path.with_name("done.json"), ns=(2**62, 2**62))
    assert {p.action for p in plan_of(copy, Selection()).nodes} == {"cached"}
    capsys.readouterr()
    assert main(["report", str(copy.folder)]) == 1
    assert f"{path} is damaged" in capsys.readouterr().err
    assert ran(copy, capsys)[0] == 0
    assert nodes_that_ran(copy) == ["predict-A-0"]
    assert main(["report", str(copy.folder)]) == 0


def test_damage_that_a_job_finds_in_its_input_recomputes_the_input(
    copy: Run, inline_run: Run, same_numbers: Compare, tmp_path: Path
) -> None:
    plan = plan_of(copy, Selection(force=("train-B-0", "predict-B-0")))
    for planned in plan.pending:
        copy.store.forget(planned.node)
    shard = next(node for node in copy.graph.nodes.values() if node.name == "shard-mel-noisy-0000")
    flip(copy.store.results(shard) / "data.npy")
    summary = run_plan(plan, InlineExecutor(copy, INLINE), pause_s=0)
    assert not summary.failed
    assert [name for name, _, _ in summary.timeline] == [
        "train-B-0", "shard-mel-noisy-0000", "train-B-0", "predict-B-0"
    ]  # fmt: skip
    same_numbers(inline_run, Run.open(copy.folder))


def test_a_damaged_manifest_is_named_and_resume_makes_it_again(copy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    flip(copy.store.results_of(copy.manifest_name) / "clips.parquet")
    assert main(["report", str(copy.folder)]) == 1
    assert "clips.parquet is damaged" in capsys.readouterr().err
    code, said = ran(copy, capsys)
    assert code == 0
    assert "nothing to do" in said
    assert main(["report", str(copy.folder)]) == 0


def test_killed_between_the_done_mark_and_the_sweep(copy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    node = copy.graph.nodes[copy.graph.train["A", 0]]
    folder = copy.store.folder(node)
    write_json(folder / "attempt-1" / "alive.json", {})
    (folder / "attempt-1" / "checkpoint.safetensors").touch()
    (folder / "attempt-7").mkdir()
    assert ran(copy, capsys)[0] == 0
    assert not (folder / "attempt-1" / "alive.json").exists()
    assert not (folder / "attempt-1" / "checkpoint.safetensors").exists()
    assert not (folder / "attempt-7").exists()
    copy.store.results(node)


# --- asked for by name


def test_force_runs_a_node_again_with_the_same_result(
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
    fail(copy, graph.nodes[graph.train["B", 0]], Failure(cause="it broke"))
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


def test_a_diverged_fold_continues_at_a_lower_rate_and_the_others_are_untouched(
    tmp_path: Path, small_data: Path, tiny_grid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rate that is too high from the second epoch on: the first one is kept."""
    changes = ["conditions={plain: {epochs: 3, lr_max: 0.02}}", "members=[]", "paper_weights={}", "ensembles={}",
               "published={}", "comparisons={}"]  # fmt: skip
    out = tmp_path / "run"
    run = prepare(load_grid(str(tiny_grid), changes), small_data, out)
    assert launch(run, INLINE, Selection(), QUIET).ok
    # What a diverged fold leaves: a checkpoint of its last good epoch, and the cause.
    node = run.graph.nodes[run.graph.train["plain", 0]]
    folder = run.store.folder(node)
    shutil.rmtree(folder)
    run.store.refresh()
    spec = run.claim(node, INLINE.of_job())
    epochs = iter(["no"] * 100)

    def after_one_epoch() -> Any:
        if any(folder.glob("attempt-1/checkpoint.safetensors")):
            return "epoch"
        return next(epochs)

    assert not run_job(spec, after_one_epoch)
    run.store.write_mark(f"{folder.name}/attempt-1", Failure(cause="the loss became nan", epochs_done=1))
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


def test_a_failure_names_the_command_to_type(
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

from dataclasses import replace
from pathlib import Path

import pytest

import sonogrid
from features.errors import InputError, JobError
from orchestrator.cli.main import main
from orchestrator.planning.plan import Plan
from orchestrator.planning.time_limit import Speed
from orchestrator.run import time_limit as module
from orchestrator.run.bound import Run
from orchestrator.run.execution import Execution
from orchestrator.run.record import existing_run_json
from orchestrator.run.selection import Selection, plan_of, prepare
from orchestrator.run.time_limit import duration, within

GRID = """
name: short
data: {folds: 2}
features: {mel: {n_mels: 16, hop_samples: 1000}}
defaults:
  network: {kind: resnet, depth: 10, width: 4, head_units: 8}
  crop: 16
  batch_size: 4
  cycles: 1
  epochs: 4_000
  predict: {pads: [2]}
conditions:
  plain: {}
  A: {multitask: true}
blend: {trials: 2}
"""
INLINE = Execution(executor="inline")


@pytest.fixture
def run(tmp_path: Path, small_data: Path) -> Run:
    (tmp_path / "grid.yaml").write_text(GRID)
    return prepare(sonogrid.load_grid(tmp_path / "grid.yaml"), small_data, tmp_path / "run")


def test_a_launch_keeps_to_what_was_measured_once(
    tmp_path: Path, small_data: Path, own_mlflow: object, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "grid.yaml").write_text(GRID)
    launch = ["launch", str(tmp_path / "grid.yaml"), "--data", str(small_data), "--out", str(tmp_path / "run")]
    launch += ["--executor", "inline", "--time-limit", "1m20s"]
    slow = Speed(step_s=1.0, clip_s=0.1)  # so that little has to run
    monkeypatch.setattr(module, "_speeds", lambda *_: ({"plain": slow, "A": slow}, 3.0))
    monkeypatch.setattr(module, "_features_s", lambda *_: 1.0)
    assert main(launch) == 0
    said = capsys.readouterr().out
    assert "note: time limit 80 s: " in said
    assert "% of the epochs" in said
    assert "(measured on this machine)" in said
    raw = existing_run_json(tmp_path / "run")
    chosen = raw["asked"]["time_limit"]
    assert chosen["limit_s"] == 80
    assert [*raw["recipe"]["conditions"]] == chosen["conditions"]
    epochs = raw["recipe"]["conditions"]["plain"]["train"]["epochs"]
    assert epochs == max(1, round(chosen["share"] * 4_000)) < 20

    def never(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(module, "_speeds", never)
    assert main(launch) == 0
    assert "(as chosen before)" in (said := capsys.readouterr().out)
    assert "nothing to do" in said
    assert main(["resume", str(tmp_path / "run")]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert existing_run_json(tmp_path / "run")["asked"]["time_limit"] == chosen


def test_every_condition_is_measured(run: Run) -> None:
    speeds, start_s = module._speeds(run, 2)
    assert start_s > 0.1, "torch was imported"
    assert [*speeds] == ["plain", "A"]
    assert all(speed.step_s > 0 and speed.clip_s >= 0 for speed in speeds.values())
    assert speeds["A"].step_s > speeds["plain"].step_s, "it has two streams"


def test_a_measurement_that_fails_is_one_sentence() -> None:
    with pytest.raises(JobError, match=r"^the speed of this machine can't be measured \(.*\): leave out --time-limit$"):
        module._measure("nothing")


def test_features_are_timed_on_real_clips(run: Run) -> None:
    plan = plan_of(run, Selection())
    one = module._features_s(run, plan, 1)
    assert one > 0
    done = Plan(plan.graph, tuple(replace(planned, action="cached") for planned in plan.nodes))
    assert module._features_s(run, done, 1) == 0


@pytest.mark.parametrize(
    ("selection", "execution", "words"),
    [
        (Selection(conditions=("plain",)), INLINE, "leave out --only and --folds"),
        (Selection(folds=(0,)), INLINE, "leave out --only and --folds"),
        (Selection(), Execution(address="auto"), "leave out --address, --workers, --place"),
        (Selection(), Execution(workers=2), "leave out --address, --workers, --place"),
    ],
)
def test_what_does_not_go_together(selection: Selection, execution: Execution, words: str, run: Run) -> None:
    with pytest.raises(InputError, match=words):
        within(run, selection, execution, 60)


def test_too_little_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_speeds", lambda *_: (dict.fromkeys(("plain", "A"), Speed(0.01, 0.001)), 3.0))
    with pytest.raises(InputError) as caught:
        within(run, Selection(), INLINE, 2)
    assert str(caught.value) == (
        "--time-limit 2 s is too short for grid short on this machine, even with one condition and one epoch: give "
        "more time"
    )


def test_a_limit_is_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("20", "m", "", "1d", "0s"):
        assert main(["plan", "small", f"--time-limit={text or ' '}"]) == 2
        assert "is no time such as 90s, 20m or 1h30m" in capsys.readouterr().err
    assert main(["plan", "small", "--time-limit", "20m"]) == 2
    assert "--time-limit needs --data: speeds are measured on its clips" in capsys.readouterr().err


@pytest.mark.parametrize(("seconds", "words"), [(90, "90 s"), (1_200, "20 min"), (5_400, "1 h 30 min")])
def test_durations_are_read_easily(seconds: float, words: str) -> None:
    assert duration(seconds) == words

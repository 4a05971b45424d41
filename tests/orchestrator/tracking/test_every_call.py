"""Something happens at one call of MLflow, at each of them in turn; afterwards MLflow shows what it always shows.

The runs are real, in MLflow's own client and an SQLite file. Each trial has an experiment of its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import ViewType

from orchestrator.grids.load import load_grid
from orchestrator.launch import launch
from orchestrator.run.bound import Run
from orchestrator.run.selection import Selection, prepare
from orchestrator.tracking import Mirror, runs
from tests.fixtures.harm import INLINE, QUIET

GRID = """
name: small
data: {folds: 2}
features: {mel: {n_mels: 16, hop_samples: 1000}}
defaults:
  network: {kind: resnet, depth: 10, width: 4, head_units: 8}
  crop: 16
  batch_size: 4
  cycles: 1
  epochs: 2
  predict: {pads: [2]}
conditions: {plain: {}}
members: [plain]
blend: {trials: 0}
"""
CPU = "system/cpu_utilization_percentage"
RUNS = ["blend", "plain", "plain fold 0", "plain fold 1"]


class KilledError(BaseException):
    """Stands for the end of the process: nothing in the mirror handles it."""


@dataclass
class Fault:
    """What happens at one call of MLflow."""

    call: int = -1
    """Its number, from 0; -1: nothing happens, and the calls are counted."""
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    """Its answer is lost if this raises."""
    calls: list[str] = field(default_factory=list)
    """Names of the methods that were called."""


class FaultyClient:
    """The real client, with a fault."""

    def __init__(self, client: Any, fault: Fault) -> None:
        self._client, self._fault = client, fault

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*arguments: Any, **more: Any) -> Any:
            fault = self._fault
            chosen = len(fault.calls) == fault.call
            fault.calls.append(name)
            if chosen:
                fault.before()
            answer = method(*arguments, **more)
            if chosen:
                fault.after()
            return answer

        return call


@dataclass
class Trials:
    """Mirrors of one finished run, each into an experiment of its own."""

    run: Run
    patch: pytest.MonkeyPatch
    count: int = 0

    def mirror(self) -> tuple[Mirror, str]:
        self.count += 1
        name = f"trial-{self.count}"
        recipe = self.run.recipe.model_copy(update={"name": name})
        bound = Run(self.run.folder, recipe, self.run.data_root, self.run.store, self.run.manifest)
        return Mirror(bound), name

    def sync(self, mirror: Mirror, fault: Fault) -> None:
        """Mirror with a fault."""
        with self.patch.context() as patch:
            patch.setattr(runs, "connect", lambda _: FaultyClient(mlflow.MlflowClient(), fault))
            mirror.sync()

    def calls(self) -> list[str]:
        """The calls of an undisturbed mirroring."""
        mirror, _ = self.mirror()
        fault = Fault()
        self.sync(mirror, fault)
        return fault.calls


@pytest.fixture(scope="module")
def trials(
    tmp_path_factory: pytest.TempPathFactory, tracking_store: Callable[[Path], str], small_data: Path
) -> Iterator[Trials]:
    folder = tmp_path_factory.mktemp("every-call")
    (folder / "small.yaml").write_text(GRID, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", tracking_store(folder / "mlflow.db"))
        patch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", str(folder / "artifacts"))
        run = prepare(load_grid(str(folder / "small.yaml")), small_data, folder / "run")
        assert launch(run, INLINE, Selection(), QUIET).ok
        yield Trials(Run.open(folder / "run"), patch)


def view(experiment: str) -> dict[str, Any]:
    """All that MLflow shows of an experiment, by run name, without ids and what MLflow adds itself."""
    client = mlflow.MlflowClient()
    known = client.get_experiment_by_name(experiment)
    assert known is not None
    found = client.search_runs([known.experiment_id], run_view_type=ViewType.ACTIVE_ONLY)
    names = {run.info.run_id: run.info.run_name for run in found}
    assert sorted(names.values()) == RUNS, "one run per signature"
    return {
        run.info.run_name: {
            "parent": names[run.data.tags["mlflow.parentRunId"]] if "mlflow.parentRunId" in run.data.tags else None,
            "times": (run.info.start_time, run.info.end_time),
            "status": run.info.status,
            "params": run.data.params,
            "tags": {
                key: value
                for key, value in run.data.tags.items()
                if key.startswith("sonogrid.") and key != "sonogrid.grid"
            },
            "points": {
                key: [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, key)]
                for key in run.data.metrics
            },
            "dataset": [each.dataset.digest for each in run.inputs.dataset_inputs],
            "description": run.data.tags["mlflow.note.content"].replace(experiment, "GRID"),
            "files": sorted(
                file.path
                for place in client.list_artifacts(run.info.run_id)
                for file in client.list_artifacts(run.info.run_id, place.path)
            ),
        }
        for run in found
    }


@pytest.fixture(scope="module")
def expected(trials: Trials) -> dict[str, Any]:
    """What MLflow shows if nothing happens."""
    mirror, name = trials.mirror()
    mirror.sync()
    found = view(name)
    for each in found.values():
        assert each["status"] == "FINISHED"
        assert each["params"]
        assert each["points"]
        assert len(each["dataset"]) == 1
        assert "system/wall_seconds" in each["points"]
    assert found["plain fold 1"]["parent"] == "plain"
    of_fold = found["plain fold 1"]["points"]
    assert {len(points) for name, points in of_fold.items() if name in ("lwlrap", "lr", CPU)} == {2}
    assert {len(points) for name, points in of_fold.items() if name.startswith(("best_", "system/wall"))} == {1}
    assert "predictions/test.npy" in found["plain fold 1"]["files"]
    return found


def killed() -> None:
    raise KilledError


def away() -> None:
    raise ConnectionError("MLflow is away")


@pytest.mark.parametrize("where", ["each method", pytest.param("anywhere", marks=pytest.mark.long)])
def test_a_mirror_that_was_killed_at_any_call_is_completed_by_the_next(
    trials: Trials, expected: dict[str, Any], where: str
) -> None:
    calls = trials.calls()
    first = [calls.index(method) for method in dict.fromkeys(calls)]
    for call in first if where == "each method" else range(len(calls)):
        mirror, name = trials.mirror()
        with pytest.raises(KilledError):
            trials.sync(mirror, Fault(call, before=killed))
        Mirror(mirror.run).sync()
        assert view(name) == expected, f"killed before call {call}"


@pytest.mark.parametrize("where", ["create_run", pytest.param("anywhere", marks=pytest.mark.long)])
def test_two_processes_that_mirror_at_the_same_time_leave_one_run_each(
    trials: Trials, expected: dict[str, Any], where: str
) -> None:
    for call, method in enumerate(trials.calls()):
        if where in ("anywhere", method):
            mirror, name = trials.mirror()
            trials.sync(mirror, Fault(call, before=Mirror(mirror.run).sync))
            assert view(name) == expected, f"another process came before call {call}"


@pytest.mark.long
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_call_that_fails_is_made_up_for_in_the_same_mirroring(
    trials: Trials, expected: dict[str, Any], moment: str
) -> None:
    for call in range(len(trials.calls())):
        mirror, name = trials.mirror()
        try:
            trials.sync(mirror, Fault(call, **{moment: away}))
        except ConnectionError:
            mirror.sync()  # it could not even connect
        assert view(name) == expected, f"failed {moment} call {call}"


@pytest.mark.long
@pytest.mark.parametrize("what", [*RUNS, "experiment"])
def test_what_a_person_deletes_at_any_call_is_there_again(trials: Trials, expected: dict[str, Any], what: str) -> None:
    client = mlflow.MlflowClient()

    def delete(name: str) -> None:
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            return
        if what == "experiment":
            client.delete_experiment(experiment.experiment_id)
            return
        for run in client.search_runs([experiment.experiment_id]):
            if run.info.run_name == what:
                client.delete_run(run.info.run_id)

    for call in range(len(trials.calls())):
        mirror, name = trials.mirror()
        trials.sync(mirror, Fault(call, before=lambda name=name: delete(name)))
        mirror.forget()
        mirror.sync()
        assert view(name) == expected, f"{what} was deleted before call {call}"

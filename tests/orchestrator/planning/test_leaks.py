"""Which labels reach a prediction: by the graph, and by changing the labels of a fold and looking at what moves."""

import shutil
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from features.errors import GridError
from features.files import load_npy, read_json
from orchestrator.grids.load import load_grid
from orchestrator.launch import launch
from orchestrator.planning.graph import Graph, build_graph
from orchestrator.planning.leaks import Overlaps, labels_seen, leaky_conditions, leaky_on_test
from orchestrator.run.bound import Run
from orchestrator.run.selection import Selection, prepare
from orchestrator.store.results import PredictResult
from orchestrator.tracking import Place
from tests.fixtures.harm import INLINE, QUIET
from tests.fixtures.manifests import manifest_of

GRID = """
name: leaks
data: {folds: 3}
features: {mel: {n_mels: 16, hop_samples: 1000}}
defaults:
  network: {kind: resnet, depth: 10, width: 4, head_units: 8}
  crop: 16
  batch_size: 4
  cycles: 1
  epochs: 1
  predict: {pads: [2]}
conditions:
  plain: {}
  A: {multitask: true, init_from: plain}
  same: {pseudo: {teacher: A, folds: same}}
  again: {pseudo: {teacher: A, folds: same, rounds: 2}}
  again_all: {pseudo: {teacher: A, folds: all, rounds: 2}}
  all: {pseudo: {teacher: A, folds: all}}
  crossed: {pseudo: {teacher: A, folds: crossed}}
  from_all: {init_from: all}
  student: {distill: {teachers: [A, same]}}
  student_all: {distill: {teachers: [plain, all]}}
members: [A, same, crossed]
blend: {trials: 0}
"""


EVERYTHING = [
    "plain", "A", "same", "again", "again_all", "all", "crossed", "from_all", "student", "student_all", "blend",
]  # fmt: skip
"""All conditions and the blend; only `plain` learns from no noisy clip."""


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("grid") / "leaks.yaml"
    path.write_text(GRID, encoding="utf-8")
    return path


def run_of(grid: Path, data: Path, out: Path) -> Run:
    run = prepare(load_grid(str(grid)), data, out)
    result = launch(run, INLINE, Selection(), QUIET)
    assert result.ok, result.failed
    return Run.open(out)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, small_data: Path, grid: Path) -> Run:
    return run_of(grid, small_data, tmp_path_factory.mktemp("leaks") / "run")


@pytest.fixture(scope="module")
def graph(grid: Path) -> Graph:
    """The grid's nodes, none of which is run."""
    return build_graph(load_grid(str(grid)), manifest_of([0, 1, 2, 0, 1, 2]))


def test_labels_seen_follow_every_edge(graph: Graph) -> None:
    seen = labels_seen(graph, 3)
    by_name = {node.name: seen[node.signature] for node in graph.nodes.values()}
    assert by_name["predict-plain-0"] == by_name["predict-A-0"] == by_name["predict-same-0"] == {1, 2}
    assert by_name["predict-noisy-again.1-0"] == by_name["pseudo-again.1-0"] == by_name["predict-again-0"] == {1, 2}
    assert by_name["predict-again_all-0"] == by_name["pseudo-again_all.1-all"] == {0, 1, 2}
    assert by_name["predict-all-0"] == by_name["predict-from_all-0"] == by_name["pseudo-A-all"] == {0, 1, 2}
    assert by_name["distill-student-0"] == by_name["predict-student-0"] == {1, 2}, "its teachers held out its fold"
    assert by_name["distill-student_all-0"] == by_name["predict-student_all-0"] == {0, 1, 2}
    assert by_name["predict-noisy-A-0-1"] == {2}, "a teacher of crossed labels holds out a pair"
    assert by_name["pseudo-A-0x"] == by_name["predict-crossed-0"] == {1, 2}
    assert not any(seen[node.signature] for node in graph.nodes.values() if node.kind == "shard")


def test_a_pair_is_trained_once_for_both_of_its_folds(graph: Graph) -> None:
    pairs = sorted(node.name for node in graph.nodes.values() if node.kind == "train" and len(node.held_out) == 2)
    assert pairs == [f"train-{name}-{pair}" for name in ("A", "plain") for pair in ("0-1", "0-2", "1-2")]
    crossed = next(node for node in graph.nodes.values() if node.name == "pseudo-A-1x")
    assert {graph.nodes[parent].name for parent in crossed.parents} == {
        "predict-noisy-A-0-1",
        "predict-noisy-A-1-2",
    }


def test_leaky_conditions_are_named(graph: Graph, grid: Path) -> None:
    assert leaky_conditions(load_grid(str(grid)), graph, {}) == ["again_all", "all", "from_all", "student_all"]
    blended = load_grid(str(grid), ["members=[A, from_all]"])
    assert leaky_conditions(blended, graph, {}) == ["again_all", "all", "from_all", "student_all", "blend"]


def test_predictions_keep_what_they_saw(run: Run) -> None:
    about = {
        name: PredictResult.of(run.store.done(run.graph.nodes[run.graph.predict[name, 1]])) for name in ("same", "all")
    }
    assert about["same"].labels_seen == (0, 2)
    assert about["all"].labels_seen == (0, 1, 2)


def test_other_labels_in_a_fold_move_only_leaky_predictions_of_it(
    run: Run, grid: Path, small_data: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(small_data, data)
    path = data / "train_curated.csv"
    frame = pd.read_csv(path)
    curated = run.manifest.subset("curated")
    clips = curated.loc[curated["fold"] == 0, "clip"]
    assert len(clips) > 1
    labels = frame.set_index("fname")["labels"]
    other = [name for name in run.manifest.classes if name not in set(labels[clips])]
    frame.loc[frame["fname"].isin(clips), "labels"] = (other or list(run.manifest.classes))[0]
    frame.to_csv(path, index=False)
    changed = run_of(grid, data, tmp_path / "run")
    for name in run.recipe.conditions:
        for fold in range(3):
            before, after = (
                load_npy(r.store.results(r.graph.nodes[r.graph.predict[name, fold]]) / "curated.npy")
                for r in (run, changed)
            )
            saw = fold != 0 or name in ("all", "again_all", "from_all", "student_all")
            assert np.array_equal(before, after) != saw, f"{name}, fold {fold}"


def test_a_noisy_copy_of_a_clip_that_is_held_out_is_its_label_too(grid: Path, small_data: Path, tmp_path: Path) -> None:
    """Of trainings that use the noisy clips of all folds, and of all that descend from them."""
    data = tmp_path / "data"
    shutil.copytree(small_data, data)
    before = prepare(load_grid(str(grid)), data, tmp_path / "before")
    assert before.overlaps == Overlaps()
    clip = before.manifest.subset("curated").iloc[0]
    noisy = sorted((data / "train_noisy").glob("*.wav"))[0]
    shutil.copy(data / clip["path"], noisy)
    run = prepare(load_grid(str(grid)), data, tmp_path / "run")
    fold = int(clip["fold"])
    assert run.overlaps == Overlaps(noisy=frozenset({fold}))
    seen = {run.graph.nodes[signature].name: folds for signature, folds in run.labels_seen.items()}
    others = {0, 1, 2} - {fold}
    assert seen[f"predict-plain-{fold}"] == others
    assert seen[f"predict-A-{fold}"] == seen[f"predict-same-{fold}"] == {0, 1, 2}
    assert run.leaky == EVERYTHING[1:]
    assert leaky_on_test(run.recipe, run.graph, {}, run.overlaps) == []
    folds = prepare(load_grid(str(grid), ["defaults.noisy=folds"]), data, tmp_path / "folds")
    assert folds.leaky == ["again_all", "all", "from_all", "student_all"]


@pytest.mark.parametrize("subset", ["curated", "noisy"])
def test_a_test_clip_that_was_trained_on_leaks_by_its_audio_or_its_group(
    grid: Path, small_data: Path, tmp_path: Path, subset: str
) -> None:
    copied, grouped = tmp_path / "copied", tmp_path / "grouped"
    shutil.copytree(small_data, copied)
    trained = sorted((copied / f"train_{subset}").glob("*.wav"))[0]
    shutil.copy(trained, sorted((copied / "test").glob("*.wav"))[0])
    shutil.copytree(small_data, grouped)
    for name, part in (("train_curated", "curated"), ("train_noisy", "noisy"), ("sample_submission", "test")):
        frame = pd.read_csv(grouped / f"{name}.csv")
        frame["speaker"] = [f"{part} {row % 8}" for row in range(len(frame))]
        frame.loc[0, "speaker"] = "both" if part in (subset, "test") else "alone"
        frame.to_csv(grouped / f"{name}.csv", index=False)
    vocabulary = [name for name in pd.read_csv(small_data / "sample_submission.csv").columns if name != "fname"]
    rows = "".join(f"{index},{name}\n" for index, name in enumerate(vocabulary))
    (grouped / "vocabulary.csv").write_text(rows, encoding="utf-8")
    for data, changes in ((copied, []), (grouped, ["data.group_by=speaker"])):
        run = prepare(load_grid(str(grid), changes), data, tmp_path / f"run of {data.name}")
        assert (run.overlaps.test_curated, run.overlaps.test_noisy) == (subset == "curated", subset == "noisy")
        wanted = EVERYTHING if subset == "curated" else EVERYTHING[1:]
        assert leaky_on_test(run.recipe, run.graph, {}, run.overlaps) == wanted
        assert any("test" in note for note in run.manifest.notes)


def test_the_report_and_its_file_mark_them(run: Run) -> None:
    report = read_json(run.folder / "report.json")
    assert report["leaky"] == ["again_all", "all", "from_all", "student_all"]
    assert report["leaky_on_test"] == []


def test_the_report_says_what_students_save_and_cost(run: Run) -> None:
    report = read_json(run.folder / "report.json")
    student, other = report["students"]
    assert (student["name"], other["name"]) == ("student", "student_all")
    sizes = [sum(path.stat().st_size for path in snapshots(run, name)) for name in run.recipe.blended]
    assert 0 < student["n_bytes"] < student["blend_bytes"] < sum(sizes)
    assert student["n_bytes"] == pytest.approx(sum(path.stat().st_size for path in snapshots(run, "student")), rel=0.2)
    scores = {one["name"]: one["oof_lwlrap"] for one in report["conditions"]}
    lost = scores["student"] - report["blend"]["oof_lwlrap_nested"]
    assert student["over_blend"]["oof_difference"] == pytest.approx(lost, abs=1e-6)


def test_a_launch_registers_students_and_a_leaky_one_is_no_champion(run: Run) -> None:
    client = mlflow.MlflowClient(Place.of(run.folder).uri)
    aliases = {model.name: [*model.aliases] for model in client.search_registered_models("name LIKE 'leaks%'")}
    assert aliases == {"leaks": ["champion"], "leaks-student": ["champion"], "leaks-student_all": []}


def snapshots(run: Run, name: str) -> list[Path]:
    """Weights of a condition's networks of all folds."""
    folders = [run.store.results(run.graph.nodes[run.graph.train[name, fold]]) for fold in range(3)]
    return [path for folder in folders for path in folder.glob("snapshot-*.safetensors")]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("data.folds=2", r"conditions.crossed.pseudo.folds: crossed holds out two folds and needs at least 3"),
        ("conditions.crossed.pseudo.teacher=same", r"needs a teacher without pseudo labels of its own, and 'same' has"),
        ("conditions.crossed.pseudo.teacher=from_all", r"needs a teacher without pseudo labels .*'all' has them"),
        ("conditions.crossed.pseudo.folds=cross", r"conditions.crossed.pseudo.folds is 'cross'"),
    ],
)
def test_impossible_crossings_are_refused(grid: Path, change: str, sentence: str) -> None:
    with pytest.raises(GridError, match=sentence):
        load_grid(str(grid), [change])

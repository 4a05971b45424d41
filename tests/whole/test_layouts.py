"""From a folder of sounds to tags, as a user types it, for each kind of dataset: init, check, plan, launch, predict."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import sonogrid
from features.synthetic import generate
from orchestrator.cli.main import main
from orchestrator.run.bound import Run
from tests.features.conftest import shared

GRID = """
name: small
data: {folds: 2}
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
  A: {multitask: true, predict: {heads: [curated, noisy]}}
blend: {trials: 2}
"""


def rows_of(path: Path) -> list[tuple[str, str]]:
    """Names of the clips of a CSV in the challenge's form, and the first label of each."""
    with path.open(newline="") as file:
        return [(row["fname"], row["labels"].split(",")[0]) for row in csv.DictReader(file)]


def two_class_folders(data: Path, source: Path) -> None:
    """A folder per class, two classes; neither noisy nor test clips."""
    for name, label in rows_of(source / "train_curated.csv"):
        folder = data / ("Tone" if label in ("Tone", "Bark") else "other")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / "train_curated" / name, folder)


def list_with_folds(data: Path, source: Path) -> None:
    """One list with official folds, and a column that says which rows are for testing; no noisy clips."""
    lines = ["clip;tag;split;fold"]
    (data / "wav").mkdir(parents=True)
    for part, folder, split in (("train_curated", "train_curated", "train"), ("test_labels", "test", "test")):
        for index, (name, label) in enumerate(rows_of(source / f"{part}.csv")):
            shutil.copy(source / folder / name, data / "wav")
            lines.append(f"{name.removesuffix('.wav')};{label};{split};{index % 2}")
    (data / "clips.csv").write_text("\n".join(lines) + "\n")


def verified_list(data: Path, source: Path) -> None:
    """FSDKaggle2018's list, in which a column says which labels were verified; no test clips."""
    lines = ["fname,label,manually_verified"]
    (data / "audio_train").mkdir(parents=True)
    for part, verified in (("train_curated", 1), ("train_noisy", 0)):
        for name, label in rows_of(source / f"{part}.csv"):
            shutil.copy(source / part / name, data / "audio_train")
            lines.append(f"{name},{label},{verified}")
    (data / "train.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("make", [two_class_folders, list_with_folds])
@pytest.mark.usefixtures("own_mlflow")
def test_a_dataset_is_launched(
    make: Callable[[Path, Path], None],
    small_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "data", small_data)
    (tmp_path / "grid.yaml").write_text(GRID)
    assert main(["init", "data"]) == 0
    assert main(["check", "data"]) == 0
    capsys.readouterr()
    assert main(["plan", "grid.yaml", "--data", "data/dataset.yaml"]) == 0
    assert "note: no noisy clips: A is trained without multitask" in capsys.readouterr().out
    launch = ["launch", "grid.yaml", "--out", "run", "--executor", "inline", "--data"]
    assert main([*launch, "data"]) == 0
    assert "note: no noisy clips: A is trained without multitask" in capsys.readouterr().out
    run = Run.open(Path("run"))
    assert {*run.manifest.clips["subset"]} == ({"curated"} if make is two_class_folders else {"curated", "test"})
    assert main(["predict", "run", str(next(iter(sorted((tmp_path / "data").rglob("*.wav")))))]) == 0
    assert run.manifest.classes[0] in capsys.readouterr().out
    scored = sonogrid.report("run").test
    assert (scored is not None) == (make is list_with_folds)
    assert main([*launch, "data/dataset.yaml"]) == 0
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize("make", [two_class_folders, list_with_folds, verified_list])
def test_esc10_is_planned_in_other_layouts(
    make: Callable[[Path, Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    make(data, shared("esc10"))
    assert main(["init", str(data)]) == 0
    assert main(["check", str(data)]) == 0
    said = capsys.readouterr().out
    assert said.count("curated: 134 clips") == 2
    assert ("noisy: 142 clips" in said) == (make is verified_list)
    assert ("test: 70 clips" in said) == (make is list_with_folds)
    assert main(["plan", "demo", "--data", str(data)]) == 0


def test_a_grid_with_a_group_says_what_to_do_without_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generate(tmp_path / "data", seed=0, curated=24, noisy=12, test=2)
    plan = ["plan", "esc10", "--data", str(tmp_path / "data")]
    assert main(plan) == 2
    said = capsys.readouterr().err
    assert "has no column 'group' to group clips by: it has fname, labels; add the column" in said
    assert "did you mean" not in said
    assert main([*plan, "--set", "data.group_by=null"]) == 0

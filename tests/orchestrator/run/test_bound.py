import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from features.errors import DamagedInputError, InputError, SupersededError
from features.files import read_json, write_json
from features.manifest import Manifest
from features.settings import EmbeddingSettings
from orchestrator.grids.load import load_grid
from orchestrator.jobs.encoders import encoder_file, seen_lines
from orchestrator.run.bound import Run, read_binding
from orchestrator.run.selection import prepare
from orchestrator.store.marks import DoneMark
from orchestrator.store.open import open_store
from tests.fixtures.encoders import write_onnx


@pytest.fixture
def run(small_data: Path, tiny_grid: Path, tmp_path: Path) -> Run:
    run = prepare(load_grid(str(tiny_grid)), small_data, tmp_path / "run")
    run.save()
    return run


def test_a_run_is_opened_as_it_was_saved(run: Run) -> None:
    again = Run.open(run.folder)
    assert again.recipe == run.recipe
    assert again.graph.nodes.keys() == run.graph.nodes.keys()
    assert (again.identity, again.manifest_name) == (run.identity, run.manifest_name)
    assert read_binding(run.folder) == (run.recipe, run.data_root, run.store.url)


def test_saving_again_mends_a_damaged_manifest(run: Run) -> None:
    folder = run.store.results_of(run.manifest_name)
    (folder / "clips.parquet").write_bytes(b"")
    run.save()
    assert Run.open(run.folder).manifest.content_hash() == run.manifest.content_hash()


def test_a_manifest_that_another_run_finished_and_that_is_damaged_since_is_written_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(run.store.root / run.manifest_name)
    finish, calls = run.store.finish, []

    def lose(*about: Any) -> None:
        calls.append(about)
        if len(calls) == 1:
            raise SupersededError("another attempt has finished before this one")
        finish(*about)

    monkeypatch.setattr(run.store, "finish", lose)
    run.save()
    assert len(calls) == 2
    assert Run.open(run.folder).manifest_name == run.manifest_name


def test_a_recipe_of_another_form_is_named(run: Run) -> None:
    path = run.folder / "run.json"
    content = read_json(path)
    write_json(path, {**content, "recipe": {**content["recipe"], "blend": {"trials": "many"}}})
    with pytest.raises(InputError, match=r"run\.json: recipe\.blend\.trials is not valid"):
        Run.open(run.folder)


def test_labels_seen_follow_teachers_and_starts(run: Run) -> None:
    assert run.labels_seen[run.graph.train["plain", 0]] == {1}
    assert json.dumps(sorted(run.labels_seen[run.graph.predict["B", 1]])) == "[0]"


def test_a_run_has_a_random_word_and_no_two_folders_the_same_identity(run: Run, tmp_path: Path) -> None:
    word = read_json(run.folder / "run.json")["id"]
    assert run.identity.startswith(f"{word}.")
    again = Run.open(run.folder)
    again.save()
    assert read_json(run.folder / "run.json")["id"] == word
    shutil.copytree(run.folder, tmp_path / "copy")
    assert Run.open(tmp_path / "copy").identity != run.identity
    path = run.folder / "run.json"  # as on another host with the same path
    write_json(path, {**read_json(path), "id": "0" * 32})
    assert Run.open(run.folder).identity != run.identity


def test_a_run_of_an_older_version_gets_its_word_when_it_is_saved(run: Run) -> None:
    path = run.folder / "run.json"
    write_json(path, {key: value for key, value in read_json(path).items() if key != "id"})
    old = Run.open(run.folder)
    old.save()
    assert Run.open(run.folder).identity == old.identity


def test_a_manifest_that_another_run_finishes_at_the_same_moment_is_fine(run: Run) -> None:
    shutil.rmtree(run.store.root / run.manifest_name)
    barrier = threading.Barrier(2)

    def save(_: int) -> None:
        mine = Run(run.folder, run.recipe, run.data_root, open_store(run.store.url), run.manifest)
        barrier.wait()
        mine._write(mine.manifest_name, DoneMark("manifest"), mine.manifest.write)

    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(save, range(2)):
            pass
    assert Run.open(run.folder).manifest.content_hash() == run.manifest.content_hash()


def test_a_manifest_that_a_job_found_damaged_is_written_again(run: Run) -> None:
    run.save()
    folder = run.store.results_of(run.manifest_name)
    (folder / "clips.parquet").write_bytes(b"")
    with pytest.raises(DamagedInputError, match=r"clips\.parquet is damaged"):
        open_store(run.store.url, listed=False).results_of(run.manifest_name)
    run.put_given()
    again = open_store(run.store.url, listed=False).results_of(run.manifest_name)
    assert again != folder
    assert Manifest.read(again).content_hash() == run.manifest.content_hash()


EMBEDDED = """
name: embedded
data: {folds: 2}
features: {embedding: {model: tiny.onnx, window_s: 0.5, seen: ids.txt}}
defaults: {network: {kind: pooled, reads: embedding}, crop: 4, predict: {pads: [0]}}
conditions: {linear: {}, finer: {features: {hop_s: 0.25}}}
"""


def test_files_of_a_grid_reach_workers_through_any_store(
    small_data: Path, tmp_path: Path, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = write_onnx(tmp_path / "tiny.onnx").read_bytes()
    (tmp_path / "ids.txt").write_text("a.wav\n")
    (tmp_path / "grid.yaml").write_text(EMBEDDED)
    run = prepare(load_grid("grid.yaml"), small_data, tmp_path / "run", root)
    run.save()
    features = run.recipe.conditions["linear"].features
    assert isinstance(features, EmbeddingSettings)
    for _ in range(2):
        worker = open_store(root, listed=False)
        found = encoder_file(worker, features)
        assert found is not None
        assert found.read_bytes() == content
        assert seen_lines(worker, features) == ["a.wav"]
        worker.close()
        (tmp_path / "tiny.onnx").unlink(missing_ok=True)
        run.save()  # what is in the store is not needed any more

"""A grid on embeddings, from the encoder's file to the tags of a new clip, without the file after its launch."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from features.audio import read_mono
from features.encoders.encoder import Encoder, cut_windows
from features.errors import InputError
from orchestrator.grids.load import load_grid
from orchestrator.launch import launch, resume
from orchestrator.run.bound import Run
from orchestrator.run.selection import Selection, prepare
from orchestrator.tagger.tagger import Tagger
from tests.fixtures.encoders import DIMS, write_onnx
from tests.fixtures.harm import INLINE, QUIET

GRID = """
name: embedded
data: {folds: 2}
features:
  embedding: {model: tiny.onnx, window_s: 0.5, hop_s: 0.25, seen: ids.txt}
  mel: {n_mels: 16, hop_samples: 1000}
defaults:
  network: {kind: pooled, reads: embedding, statistics: [mean, maximum]}
  crop: 4
  batch_size: 4
  cycles: 1
  epochs: 2
  predict: {pads: [0]}
conditions: {linear: {}, mel: {network: {reads: mel}}}
blend: {trials: 5}
"""


@pytest.mark.usefixtures("own_mlflow")
def test_an_encoder_lives_on_in_the_store(tmp_path: Path, small_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    encoder = Encoder(write_onnx(tmp_path / "tiny.onnx"))
    (tmp_path / "grid.yaml").write_text(GRID)
    seen = sorted(path.name for path in (small_data / "test").glob("*.wav"))[:2]
    (tmp_path / "ids.txt").write_text("\n".join(seen))
    run = prepare(load_grid("grid.yaml"), small_data, tmp_path / "run")
    run.save()
    for file in ("tiny.onnx", "ids.txt"):  # from here on only the store has them
        (tmp_path / file).unlink()

    result = resume(run.folder, INLINE, QUIET)
    assert result.ok
    assert result.report.leaky_on_test == result.report.outside == ("linear", "blend")
    assert result.report.leaky == ()
    assert f"the encoder of linear was trained on 2 of 6 test clips: {seen[0]}, {seen[1]}" in result.report.warnings
    again = Run.open(run.folder)
    assert again.clips_seen == {"linear": {"test": frozenset(seen)}}
    shards = [node for node in again.graph.nodes.values() if node.name.startswith("shard-embedding-test")]
    data = np.load(again.store.results(shards[0]) / "data.npy")
    clips = [read_mono(small_data / path, 8_000) for path in again.manifest.subset("test")["path"]]
    np.testing.assert_array_equal(data, np.concatenate([encoder(cut_windows(clip, 4_000, 2_000)) for clip in clips]))
    assert data.shape[1] == DIMS
    scores = Tagger.load(run.folder).scores([small_data / path for path in again.manifest.subset("test")["path"][:2]])
    assert np.isfinite(scores).all()

    moved = tmp_path / "elsewhere"
    shutil.copytree(run.folder, moved)
    for folder in (moved / "store").glob("encoder-*"):
        shutil.rmtree(folder)
    with pytest.raises(InputError, match=r"tiny\.onnx is gone: restore it"):
        launch(prepare(again.recipe, small_data, moved), INLINE, Selection(), QUIET)

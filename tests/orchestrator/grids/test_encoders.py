from pathlib import Path

import pytest

from features.errors import GridError
from features.files import sha256_file
from features.settings import EmbeddingSettings, MelSettings
from orchestrator.grids.encoders import with_encoder
from orchestrator.grids.load import change_recipe, load_grid
from tests.fixtures.encoders import DIMS, write_onnx


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of an encoder in the current directory."""
    write_onnx(tmp_path / "tiny.onnx")
    monkeypatch.chdir(tmp_path)
    return "tiny.onnx"


def test_checksum_rate_and_dimensions_are_filled_in(model: str, tmp_path: Path) -> None:
    settings = EmbeddingSettings.model_validate(with_encoder({"model": model, "window_s": 0.5}, "features.embedding"))
    assert settings.model == str(tmp_path / model)
    assert settings.sha256 == sha256_file(tmp_path / model)
    assert (settings.sample_rate_hz, settings.dims, settings.bands) == (8_000, DIMS, DIMS)
    assert (settings.window_samples, settings.hop_samples) == (4_000, 16_000)


def test_the_signature_has_the_content_and_not_the_place(model: str, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "other.onnx"
    moved.parent.mkdir()
    moved.write_bytes((tmp_path / model).read_bytes())
    (tmp_path / "ids.txt").write_text("1234\n")
    here, there, seen, other, longer = (
        EmbeddingSettings.model_validate(with_encoder(section, "features.embedding")).signed()
        for section in (
            {"model": model},
            {"model": str(moved), "shard_mb": 1},
            {"model": model, "seen": "ids.txt"},
            {"model": str(write_onnx(tmp_path / "rate.onnx", rate="8001"))},
            {"model": model, "window_s": 3.0},
        )
    )
    assert here == there == seen
    assert here != other
    assert here != longer


def test_a_window_of_fixed_length_is_taken_over(tmp_path: Path) -> None:
    fixed = write_onnx(tmp_path / "fixed.onnx", samples=4_000)
    assert with_encoder({"model": str(fixed)}, "features.embedding")["window_s"] == 0.5
    assert with_encoder({"model": str(fixed), "window_s": 0.5}, "features.embedding")["dims"] == DIMS
    with pytest.raises(GridError, match=r"features\.embedding\.window_s: .*fixed\.onnx takes windows of 4000 samples"):
        with_encoder({"model": str(fixed), "window_s": 2.0}, "features.embedding")


def test_what_is_given_is_compared_with_the_file(model: str, tmp_path: Path) -> None:
    found = with_encoder({"model": model}, "features.embedding")
    assert with_encoder(found, "features.embedding") == found
    for name, value in {"sha256": "0" * 64, "sample_rate_hz": 44_100, "dims": 7}.items():
        with pytest.raises(GridError, match=rf"features\.embedding\.{name} is {value}, but of tiny\.onnx it is"):
            with_encoder({"model": model, name: value}, "features.embedding")
    silent = str(write_onnx(tmp_path / "silent.onnx", rate=""))
    with pytest.raises(GridError, match=r"embedding\.sample_rate_hz: .*silent\.onnx does not declare its sample rate"):
        with_encoder({"model": silent}, "features.embedding")
    assert with_encoder({"model": silent, "sample_rate_hz": 16_000}, "features.embedding")["sample_rate_hz"] == 16_000


def test_files_that_are_not_there_are_named(model: str) -> None:
    with pytest.raises(GridError, match=r"features\.embedding\.model: .*absent\.onnx is not a file: give"):
        with_encoder({"model": "absent.onnx"}, "features.embedding")
    with pytest.raises(GridError, match=r"embedding\.seen: ids\.txt is not a file: give a text file of ids"):
        with_encoder({"model": model, "seen": "ids.txt"}, "features.embedding")
    with pytest.raises(GridError, match=r"embedding\.seen: test is not a file.*; for a subset, write \[test\]"):
        with_encoder({"model": model, "seen": "test"}, "features.embedding")


def test_values_of_another_form_are_left_for_pydantic(model: str) -> None:
    for section in (
        {},
        {"kind": "mel"},
        {"model": 3},
        {"model": model, "window_s": "long"},
        {"model": model, "hop": 1},
    ):
        again = with_encoder(section, "features.embedding")
        assert again.items() >= section.items()


def test_a_file_that_changes_is_read_again(model: str, tmp_path: Path) -> None:
    before = with_encoder({"model": model}, "features.embedding")
    write_onnx(tmp_path / model, rate="16000")
    after = with_encoder({"model": model}, "features.embedding")
    assert (before["sample_rate_hz"], after["sample_rate_hz"]) == (8_000, 16_000)


GRID = """
name: embedded
data: {folds: 2}
features: {embedding: {model: tiny.onnx, window_s: 0.5}}
defaults: {network: {kind: pooled, reads: embedding, statistics: [mean, maximum]}, crop: 4, predict: {pads: [0]}}
conditions: {linear: {}, finer: {features: {hop_s: 0.25}}, mel: {network: {reads: mel}}}
"""


def test_a_network_that_reads_embeddings_gets_them(model: str, tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text(GRID)
    conditions = load_grid("grid.yaml").conditions
    linear, finer = conditions["linear"].features, conditions["finer"].features
    assert isinstance(linear, EmbeddingSettings)
    assert isinstance(finer, EmbeddingSettings)
    assert (linear.dims, linear.hop_s, finer.hop_s) == (DIMS, 2.0, 0.25)
    assert conditions["mel"].features == MelSettings()
    with pytest.raises(GridError, match=r"grid\.yaml: features\.embedding\.model: .*gone\.onnx is not a file"):
        load_grid("grid.yaml", ["features.embedding.model=gone.onnx"])
    (tmp_path / "bare.yaml").write_text(GRID.replace("model: tiny.onnx, ", ""))
    with pytest.raises(GridError, match=r"conditions\.linear\.features\.model is missing"):
        load_grid("bare.yaml")


def test_a_recipe_is_changed_with_its_encoder(model: str, tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text(GRID)
    recipe = load_grid("grid.yaml")
    other = write_onnx(tmp_path / "other.onnx", rate="16000")
    changed = change_recipe(recipe, [f"conditions.linear.features.model={other}"]).conditions
    linear = changed["linear"].features
    assert isinstance(linear, EmbeddingSettings)
    assert (linear.sha256, linear.sample_rate_hz) == (sha256_file(other), 16_000)
    assert changed["finer"] == recipe.conditions["finer"]
    (tmp_path / model).unlink()
    hop = change_recipe(recipe, ["conditions.linear.features.hop_s=1.5"]).conditions["linear"].features
    assert isinstance(hop, EmbeddingSettings)
    assert hop.hop_s == 1.5

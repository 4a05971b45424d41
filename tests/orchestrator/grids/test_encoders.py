from pathlib import Path

import pytest

from features.errors import GridError
from features.files import sha256_file
from features.settings import EmbeddingSettings
from orchestrator.grids.encoders import with_encoder
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
    with pytest.raises(GridError, match=r"features\.embedding\.model: .*absent\.onnx does not exist: give"):
        with_encoder({"model": "absent.onnx"}, "features.embedding")
    with pytest.raises(GridError, match=r"embedding\.seen: ids\.txt does not exist: give a text file of ids"):
        with_encoder({"model": model, "seen": "ids.txt"}, "features.embedding")
    with pytest.raises(GridError, match=r"embedding\.seen: test does not exist.*; for a subset, write \[test\]"):
        with_encoder({"model": model, "seen": "test"}, "features.embedding")


def test_values_of_another_form_are_left_for_pydantic(model: str) -> None:
    for section in ({}, {"model": 3}, {"model": model, "window_s": "long"}, {"model": model, "hop": 1}):
        again = with_encoder(section, "features.embedding")
        assert again.items() >= section.items()


def test_a_file_that_changes_is_read_again(model: str, tmp_path: Path) -> None:
    before = with_encoder({"model": model}, "features.embedding")
    write_onnx(tmp_path / model, rate="16000")
    after = with_encoder({"model": model}, "features.embedding")
    assert (before["sample_rate_hz"], after["sample_rate_hz"]) == (8_000, 16_000)

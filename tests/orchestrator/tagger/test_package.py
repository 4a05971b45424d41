"""A tagger in one file: the numbers of the run, and nothing that a reader could be harmed by."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from features.encoders.encoder import Encoder
from features.errors import InputError
from features.settings import EmbeddingSettings
from orchestrator.run.bound import Run
from orchestrator.tagger.package import read_package, write_package
from orchestrator.tagger.tagger import Tagger
from tests.fixtures.encoders import DIMS, write_encoder
from trainers.network import Tagger as Network
from trainers.packing import Precision
from trainers.settings import PooledSettings
from trainers.weights import read_tensors, save_tensors


@pytest.fixture(scope="module")
def tagger(inline_run: Run) -> Tagger:
    return Tagger.load(inline_run.folder)


@pytest.fixture(scope="module")
def file(tagger: Tagger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("package") / "tiny.tagger"
    write_package(path, tagger.classes, tagger.conditions, tagger.calibration, {"grid": "tiny"}, "fp32")
    return path


def test_a_file_has_the_numbers_of_its_run(tagger: Tagger, file: Path, small_data: Path) -> None:
    loaded = Tagger.load(file)
    clips = sorted((small_data / "test").glob("*.wav"))
    assert loaded.classes == tagger.classes
    np.testing.assert_array_equal(loaded.scores(clips), tagger.scores(clips))
    assert loaded.thresholds == tagger.thresholds
    with read_package(file, torch.device("cpu")) as (_, _, _, facts):
        assert facts == {"grid": "tiny"}


@pytest.mark.parametrize(("precision", "share"), [("fp16", 0.6), ("int8", 0.4)])
def test_fewer_bits_make_a_smaller_file(
    precision: Precision, share: float, tagger: Tagger, file: Path, small_data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "few.tagger"
    write_package(path, tagger.classes, tagger.conditions, tagger.calibration, {}, precision)
    clips = sorted((small_data / "test").glob("*.wav"))
    assert 0 < np.abs(Tagger.load(path).scores(clips) - tagger.scores(clips)).max() < 0.1

    def tensors(one: Path) -> int:
        return sum(value.nbytes for value in read_tensors(one)[0].values())

    assert tensors(path) < share * tensors(file)


def test_an_encoder_is_in_the_file_and_its_path_is_not(tagger: Tagger, tmp_path: Path, small_data: Path) -> None:
    (tmp_path / "private").mkdir()
    encoder = write_encoder(tmp_path / "private" / "tiny.onnx")
    settings = EmbeddingSettings(
        model=str(encoder), sha256="0" * 64, sample_rate_hz=Encoder(encoder).sample_rate_hz or 8_000, dims=DIMS,
        seen=str(encoder), seen_sha256="0" * 64,
    )  # fmt: skip
    form = PooledSettings(reads="embedding")
    networks = ((Network(form, len(tagger.classes), noisy_head=False, bands=DIMS),),)
    condition = replace(
        tagger.conditions[0], features=settings, encoder=encoder, form=form, networks=networks, heads=("curated",),
        pads=(0,), weights=np.ones((1, 1, 1)),
    )  # fmt: skip
    path = tmp_path / "embedding.tagger"
    write_package(path, tagger.classes, [condition], tagger.calibration, {}, "fp32")
    clips = sorted((small_data / "test").glob("*.wav"))[:2]
    wanted = Tagger(tagger.classes, [condition], tagger.device, lambda: tagger.calibration).scores(clips)
    encoder.unlink()
    np.testing.assert_array_equal(Tagger.load(path).scores(clips), wanted)
    assert b"private" not in path.read_bytes()


def test_what_is_no_tagger_is_refused_in_a_sentence(file: Path, tmp_path: Path) -> None:
    tensors, about = read_tensors(file)
    path = tmp_path / "bad.tagger"

    def refusal() -> str:
        with pytest.raises(InputError) as error:
            Tagger.load(path)
        assert str(path) in str(error.value)
        assert "export it again" in str(error.value)
        return str(error.value)

    assert "is missing" in refusal()
    path.write_bytes(b"\x80\x04pickle")
    assert "is damaged" in refusal()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert "its checksum does not match" in refusal()
    changed: list[tuple[dict[str, Any], str]] = [
        ({"format": 2}, "format"),
        ({"classes": []}, "classes"),
        ({"conditions": []}, "conditions"),
        ({"calibration": {}}, "slopes"),
        ({"extra": 1}, "extra"),
    ]
    for change, word in changed:
        save_tensors(path, tensors, {**about, **change})
        assert word in refusal()


@pytest.mark.parametrize(
    ("field", "value"),
    [("folds", 3), ("weights", [[[1.0]]]), ("network", {"kind": "resnet", "width": 512}), ("crop", 0)],
)
def test_a_header_that_does_not_fit_the_tensors_is_refused(field: str, value: Any, file: Path, tmp_path: Path) -> None:
    """Without making networks of the size that it claims."""
    tensors, about = read_tensors(file)
    about["conditions"][0][field] = value
    save_tensors(tmp_path / "bad.tagger", tensors, about)
    with pytest.raises(InputError, match="is not a tagger that this version of sonogrid reads"):
        Tagger.load(tmp_path / "bad.tagger")


def test_a_file_is_used_as_it_is(file: Path) -> None:
    for choice in ({"condition": "A"}, {"members": 2}):
        with pytest.raises(InputError, match="choose a condition or members when you export"):
            Tagger.load(file, **choice)  # type: ignore[arg-type]
    with safe_open(file, framework="pt") as opened:
        assert json.loads(opened.metadata()["about"])["format"] == 1

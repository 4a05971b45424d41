from pathlib import Path

import numpy as np
import pytest
import torch

from features.encoders.encoder import Encoder
from features.encoders.export import export_encoder
from features.errors import InputError
from tests.fixtures.encoders import DIMS, TinyEncoder


@pytest.mark.parametrize("ending", ["onnx", "pt2"])
def test_the_file_computes_what_the_module_computes(tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"tiny.{ending}"
    export_encoder(TinyEncoder().eval(), out, 8_000, {"licence": "ours"})
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    assert str(Path(__file__).parent).encode() not in out.read_bytes() or ending == "pt2"
    encoder = Encoder(out)
    assert (encoder.sample_rate_hz, encoder.window_samples) == (8_000, None)
    windows = np.random.default_rng(0).uniform(-1, 1, (3, 5_000)).astype(np.float32)
    with torch.no_grad():
        np.testing.assert_allclose(encoder(windows), TinyEncoder()(torch.from_numpy(windows)).numpy(), atol=1e-5)
    assert encoder.dims(1_000) == DIMS


def test_only_two_formats_are_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tiny\.pth is not the name of an encoder: let it end in \.onnx or \.pt2"):
        export_encoder(TinyEncoder(), tmp_path / "tiny.pth", 8_000, {})


def test_a_module_that_is_no_encoder_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"returns float32\[2, 1, 16000\]"):
        export_encoder(torch.nn.Unflatten(1, (1, -1)), tmp_path / "image.pt2", 8_000, {})
    assert list(tmp_path.iterdir()) == []

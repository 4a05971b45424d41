from pathlib import Path

import numpy as np
import pytest

from features.encoders.aisfx_wheel import LICENCE, write_aisfx
from features.encoders.encoder import Encoder
from features.errors import InputError
from tests.fixtures.aisfx_golden import EMBEDDING, signal


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "aisfx.whl"
    with pytest.raises(InputError, match=r"aisfx\.whl can't be read \(No such file or directory\): give the wheel of"):
        write_aisfx(tmp_path / "a.onnx", wheel)
    wheel.write_bytes(b"another")
    with pytest.raises(InputError, match=r"aisfx\.whl is not the wheel of aisfx==0\.1\.2: its SHA-256 is [0-9a-f]{64}"):
        write_aisfx(tmp_path / "a.onnx", wheel)
    with pytest.raises(InputError, match=r"a\.h5 is not the name of an encoder: let it end in \.onnx or \.pt2"):
        write_aisfx(tmp_path / "a.h5", wheel)
    assert [path.name for path in tmp_path.iterdir()] == ["aisfx.whl"]


def test_without_a_registry_a_wheel_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(
        InputError, match=r"pip can't download aisfx==0\.1\.2 \(ERROR: .*or give its wheel with --wheel"
    ):
        write_aisfx(tmp_path / "a.onnx")


def test_the_licence_says_who_made_what() -> None:
    assert "A.B. Ma and A. Lerch" in LICENCE
    assert "Attribution 4.0" in LICENCE


@pytest.mark.long
def test_the_file_computes_what_the_package_computes(tmp_path: Path) -> None:
    try:
        write_aisfx(tmp_path / "aisfx.onnx")
    except InputError as error:
        if "pip can't download" not in str(error):
            raise
        pytest.skip(str(error))
    encoder = Encoder(tmp_path / "aisfx.onnx")
    assert (encoder.sample_rate_hz, encoder.window_samples) == (44_100, None)
    np.testing.assert_allclose(encoder(signal()[None])[0, ::16], EMBEDDING, atol=2e-4)

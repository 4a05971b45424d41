"""Datasets, and what grids read beside them."""

from pathlib import Path

import pytest

from features.errors import DataError, InputError
from orchestrator import api


def test_check_returns_a_summary_or_raises_all_problems(small_data: Path, tmp_path: Path) -> None:
    summary = api.check(str(small_data))
    assert {name: one.clips for name, one in summary.subsets.items()} == {"curated": 16, "noisy": 12, "test": 6}
    with pytest.raises(InputError, match="is not a folder"):
        api.check(tmp_path / "nowhere")
    (tmp_path / "train_curated").mkdir()
    (tmp_path / "train_curated.csv").write_text("fname,labels\na.wav,A\nb.wav,B\n")
    with pytest.raises(DataError) as error:
        api.check(tmp_path)
    assert len(error.value.problems) == 2


def test_an_encoder_is_made_of_what_is_known_and_overwrites_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no encoder 'bird': choose aisfx, or bring your own"):
        api.encoder("bird", tmp_path / "a.onnx")
    (tmp_path / "a.onnx").touch()
    with pytest.raises(InputError, match=r"--out .*a\.onnx is there already"):
        api.encoder("aisfx", tmp_path / "a.onnx")
    with pytest.raises(InputError, match=r"absent\.whl can't be read"):
        api.encoder("aisfx", tmp_path / "b.onnx", wheel=tmp_path / "absent.whl")

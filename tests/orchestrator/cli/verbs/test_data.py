"""Verbs: datasets, and what grids read beside them."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from features.encoders.aisfx_wheel import LICENCE
from features.encoders.encoder import Encoder
from orchestrator.cli.main import main
from tests.fixtures.typed import said


def test_init_proposes_a_grid_of_the_size_of_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = tmp_path / "data" / "dog" / "0.wav"
    for name in ("dog", "cat"):
        (tmp_path / "data" / name).mkdir(parents=True)
    soundfile.write(first, np.zeros(8, np.int16), 16_000)
    (tmp_path / "data" / "cat" / "0.wav").hardlink_to(first)
    assert f"sonogrid launch small --data {tmp_path / 'data'} --out runs/data\n" in said(
        capsys, "init", tmp_path / "data"
    )
    for number in range(1, 999):
        (first.parent / f"{number}.wav").hardlink_to(first)
    assert json.loads(said(capsys, "init", tmp_path / "data", "--json"))["clips"] == {"curated": 1000}
    assert "sonogrid launch default --data " in said(capsys, "init", tmp_path / "data")


def test_check(small_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "check", small_data)
    assert "curated: 16 clips, " in text
    assert text.endswith("no problems\n")
    found = json.loads(said(capsys, "check", small_data, "--json"))
    assert {name: subset["clips"] for name, subset in found["subsets"].items()} == {
        "curated": 16, "noisy": 12, "test": 6
    }  # fmt: skip


@pytest.mark.long
def test_encoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "aisfx.pt2"
    if main(["encoder", "aisfx", "--out", str(out)]) != 0:
        message = capsys.readouterr().err
        assert "pip can't download" in message
        pytest.skip(message)
    text = capsys.readouterr().out
    assert text.splitlines()[:-1] == LICENCE.splitlines()
    assert text.endswith(f"wrote {out}; name it in a grid as features.embedding.model\n")
    assert Encoder(out).dims(88_200) == 512
    assert main(["encoder", "aisfx", "--out", str(out)]) == 2
    assert "is there already" in capsys.readouterr().err

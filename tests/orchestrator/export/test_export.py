"""What `sonogrid export` writes, refuses and says."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.audio import read_mono
from features.encoders.encoder import Encoder
from features.errors import InputError, JobError
from orchestrator.export import export
from orchestrator.export.export import Exported, export_tagger
from orchestrator.run.bound import Run
from orchestrator.tagger.tagger import Tagger


def test_a_blend_in_onnx_has_the_scores_of_its_run(onnx_export: Exported, inline_run: Run) -> None:
    assert onnx_export.comparison.largest < 1e-5
    assert onnx_export.comparison.clips == len(inline_run.manifest.subset("test"))
    encoder, tagger = Encoder(onnx_export.path), Tagger.load(inline_run.folder)
    path = inline_run.data_root / inline_run.manifest.subset("curated")["path"].iloc[0]
    samples = read_mono(path, onnx_export.sample_rate_hz)
    np.testing.assert_allclose(encoder(samples[None])[0], tagger.scores([path])[0], atol=1e-5)
    assert "4 networks" not in " ".join(onnx_export.lines())
    assert onnx_export.as_dict()["comparison"]["largest"] == onnx_export.comparison.largest
    assert [path.name for path in onnx_export.path.parent.iterdir()] == ["tiny.onnx"]


def test_a_snapshot_in_pt2_has_the_scores_of_its_networks(inline_run: Run, tmp_path: Path) -> None:
    made = export_tagger(inline_run.folder, tmp_path / "one.pt2", condition="A", fold=1, cycle=2, precision="fp16")
    assert (made.networks, made.precision) == (1, "fp16")
    assert 0 < made.comparison.largest < 1e-2
    with zipfile.ZipFile(made.path) as archive:
        extra = [name for name in archive.namelist() if name.endswith("extra/labels")]
        assert len(extra) == 1


def test_a_tagger_file_has_the_scores_of_its_run(inline_run: Run, tmp_path: Path) -> None:
    made = export_tagger(inline_run.folder, tmp_path / "tiny.tagger", members=3)
    assert made.comparison.largest < 1e-6
    assert "largest difference to the run: 0" in " ".join(made.lines())


def test_a_file_with_other_scores_is_not_kept(inline_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(export.LIMITS, "int8", 1e-9)
    with pytest.raises(JobError, match="a score differs from the run's by"):
        export_tagger(inline_run.folder, tmp_path / "tiny.tagger", precision="int8")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("to", "choice", "message"),
    [
        ("x.h5", {}, r"choose one of \.onnx, \.pt2, \.tagger"),
        ("there.onnx", {}, "is there already"),
        ("x.onnx", {"fold": 0}, "name it with --condition"),
        ("x.onnx", {"condition": "A", "fold": 2}, "A has the folds 0 to 1"),
        ("x.onnx", {"condition": "A", "cycle": 3}, "A has the cycles 1 to 2"),
        ("x.onnx", {"condition": "Z"}, "there is no condition 'Z'"),
        ("x.onnx", {"condition": "A", "members": 1}, "exclude each other"),
    ],
)
def test_a_mistake_is_refused(to: str, choice: dict[str, Any], message: str, inline_run: Run, tmp_path: Path) -> None:
    (tmp_path / "there.onnx").write_text("mine")
    with pytest.raises(InputError, match=message):
        export_tagger(inline_run.folder, tmp_path / to, **choice)
    assert [path.name for path in tmp_path.iterdir()] == ["there.onnx"]
    assert (tmp_path / "there.onnx").read_text() == "mine"


def test_weights_beyond_the_limit_of_onnx_are_refused(
    inline_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MOST_BYTES", 1_000)
    with pytest.raises(InputError, match=r"a \.onnx file holds 2: name a condition"):
        export_tagger(inline_run.folder, tmp_path / "x.onnx", condition="plain")

from pathlib import Path

import pytest

from features.errors import DamagedInputError, InputError
from features.files import sha256_file
from features.settings import EmbeddingSettings, MelSettings
from orchestrator.jobs.encoders import copy_given, encoder_file, given_files, seen_lines
from orchestrator.store.local import LocalNodeStore
from tests.fixtures.encoders import write_onnx


def settings(model: Path, seen: Path) -> EmbeddingSettings:
    return EmbeddingSettings(
        model=str(model), sha256=sha256_file(model), sample_rate_hz=8_000, dims=32, seen=str(seen),
        seen_sha256=sha256_file(seen),
    )  # fmt: skip


def test_copies_lie_under_their_checksums(tmp_path: Path) -> None:
    model, seen = write_onnx(tmp_path / "a.onnx"), tmp_path / "ids.txt"
    seen.write_text("\ufeff123\nbark.wav\n", encoding="utf-8")
    chosen = settings(model, seen)
    files = given_files(chosen)
    assert [name for name, _, _ in files] == [f"encoder-{chosen.sha256[:12]}", f"seen-{chosen.seen_sha256[:12]}"]
    assert given_files(MelSettings()) == []
    for _, source, sha256 in files:
        (copied,) = copy_given(source, sha256, tmp_path / "copy")
        assert copied.read_bytes() == source.read_bytes()
    store = LocalNodeStore(tmp_path / "store")
    assert encoder_file(store, MelSettings()) is None
    with pytest.raises(DamagedInputError, match=r"encoder-.* its results are missing"):
        encoder_file(store, chosen)
    assert seen_lines(store, chosen.model_copy(update={"seen": ("test",), "seen_sha256": None})) == []


def test_a_file_that_changed_since_leaves_nothing(tmp_path: Path) -> None:
    model, seen = write_onnx(tmp_path / "a.onnx"), tmp_path / "ids.txt"
    seen.touch()
    chosen = settings(model, seen)
    write_onnx(model, rate="1000")
    (_, source, sha256), _ = given_files(chosen)
    with pytest.raises(InputError, match=r"a\.onnx has changed since the grid was read: launch again"):
        copy_given(source, sha256, tmp_path / "copy")
    model.unlink()
    with pytest.raises(InputError, match=r"a\.onnx is gone: restore it"):
        copy_given(source, sha256, tmp_path / "copy")
    assert list((tmp_path / "copy").iterdir()) == []

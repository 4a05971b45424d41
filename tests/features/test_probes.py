"""Files that passed are not opened again until they change."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import features.probes
from features.audio import AudioInfo
from features.errors import DataError
from features.manifest import build_manifest
from features.settings import DataSettings

Writer = Callable[..., np.ndarray]


def test_cache_spares_unchanged_files(tiny: Path, monkeypatch: pytest.MonkeyPatch, audio_writer: Writer) -> None:
    opened: list[str] = []
    real = features.probes.probe

    def counting(path: Path) -> AudioInfo:
        opened.append(path.name)
        return real(path)

    monkeypatch.setattr(features.probes, "probe", counting)
    cache = tiny / "cache.json"
    first = build_manifest(tiny, DataSettings(), cache=cache)
    assert len(opened) == 10
    second = build_manifest(tiny, DataSettings(), cache=cache)
    assert len(opened) == 10
    pd.testing.assert_frame_equal(first.clips, second.clips)

    changed = tiny / "train_curated" / "a4.wav"
    audio_writer(changed, seed=77)
    os.utime(changed, ns=(1, 1))
    third = build_manifest(tiny, DataSettings(), cache=cache)
    assert opened[10:] == ["a4.wav"]
    assert third.content_hash() != first.content_hash()
    cache.write_text("not json")
    build_manifest(tiny, DataSettings(), cache=cache)
    assert len(opened) == 21


@pytest.mark.parametrize("in_place", [True, False])
def test_a_file_that_is_replaced_with_its_size_and_time_is_checked_again(
    in_place: bool, tiny: Path, tmp_path: Path, audio_writer: Writer
) -> None:
    """As `cp -p` and `rsync --times` do."""
    cache = tmp_path / "cache.json"
    first = build_manifest(tiny, DataSettings(), cache=cache)
    path, other = tiny / "train_curated" / "a4.wav", tmp_path / "other.wav"
    audio_writer(other, seed=77)
    before = path.stat()
    if in_place:
        path.write_bytes(other.read_bytes())
    else:
        other.replace(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert build_manifest(tiny, DataSettings(), cache=cache).content_hash() != first.content_hash()


def test_cache_keeps_no_bad_file(tiny: Path) -> None:
    (tiny / "train_curated" / "a4.wav").write_text("text")
    cache = tiny / "cache.json"
    for _ in range(2):
        with pytest.raises(DataError, match=r"a4\.wav is not readable audio"):
            build_manifest(tiny, DataSettings(), cache=cache)

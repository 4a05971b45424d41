from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import features.shards
from features.audio import read_mono
from features.encoders.encoder import Encoder, cut_windows
from features.errors import DataError, StoreError
from features.manifest import Manifest, build_manifest
from features.mel import MelSpectrogram
from features.settings import DataSettings, EmbeddingSettings, MelSettings, WaveformSettings
from features.shard_plan import plan_shards
from features.shards import ShardSet, build_shard, require_free_space
from tests.fixtures.encoders import DIMS, write_onnx

AnySettings = MelSettings | WaveformSettings
BOTH = pytest.mark.parametrize("settings", [MelSettings(shard_mb=1), WaveformSettings(shard_mb=1)], ids=["mel", "wave"])


def build_all(root: Path, manifest: Manifest, settings: AnySettings, store: Path, subset: str) -> list[Path]:
    plans = [plan for plan in plan_shards(manifest, settings) if plan.subset == subset]
    for plan in plans:
        build_shard(plan, root, settings, store / plan.name)
    return [store / plan.name for plan in plans]


@pytest.fixture
def odd(tiny: Path) -> Path:
    """`tiny` with one sample, silence, 60 s, full scale, stereo 24-bit at 48 kHz and 8 kHz among its clips."""
    folder = tiny / "train_curated"
    random = np.random.default_rng(0)
    soundfile.write(folder / "a0.wav", np.array([0.5]), 44_100)
    soundfile.write(folder / "a1.wav", np.zeros(44_100), 44_100)
    soundfile.write(folder / "a2.wav", random.uniform(-1, 1, 60 * 44_100), 44_100)
    soundfile.write(folder / "a3.wav", np.array([-1.5, 1.5, 1.0, -1.0]), 44_100, subtype="FLOAT")
    soundfile.write(folder / "a4.wav", random.uniform(-1, 1, (5_001, 2)), 48_000, subtype="PCM_24")
    soundfile.write(folder / "a5.wav", random.uniform(-1, 1, 801), 8_000)
    return tiny


@BOTH
def test_odd_clips_are_finite_and_as_long_as_planned(odd: Path, tmp_path: Path, settings: AnySettings) -> None:
    manifest = build_manifest(odd, DataSettings())
    folders = build_all(odd, manifest, settings, tmp_path / "store", "curated")
    shards = ShardSet.open(folders)
    assert shards.clips == list(manifest.subset("curated")["clip"])
    assert shards.n_mels == (128 if isinstance(settings, MelSettings) else None)
    assert len(shards) == 10
    for index, clip in enumerate(shards.clips):
        samples = read_mono(odd / "train_curated" / clip, 44_100)
        array = shards.array(index)
        assert len(array) == shards.lengths[index] >= 1
        assert np.isfinite(array).all()
        assert not array.flags.writeable
        if isinstance(settings, MelSettings):
            np.testing.assert_array_equal(array, MelSpectrogram(settings)(samples))
        else:
            np.testing.assert_array_equal(array, np.rint(samples * 32_768).clip(-32_768, 32_767))


def test_embeddings_are_those_of_the_windows(odd: Path, tmp_path: Path) -> None:
    file = write_onnx(tmp_path / "tiny.onnx")
    settings = EmbeddingSettings(
        model="elsewhere.onnx", sha256="0" * 64, sample_rate_hz=8_000, dims=DIMS, window_s=1.0, hop_s=0.5
    )
    manifest = build_manifest(odd, DataSettings())
    (plan,) = plan_shards(manifest, settings)
    build_shard(plan, odd, settings, tmp_path / "store", encoder=file)
    shards = ShardSet.open([tmp_path / "store"])
    assert shards.n_mels == DIMS
    encoder = Encoder(file)
    for index, clip in enumerate(shards.clips):
        windows = cut_windows(read_mono(odd / "train_curated" / clip, 8_000), 8_000, 4_000)
        np.testing.assert_array_equal(shards.array(index), encoder(windows))
    assert shards.lengths.max() == 119  # of 60 s


def test_sixteen_bit_waveforms_are_exact(tmp_path: Path, odd: Path) -> None:
    settings = WaveformSettings()
    written = np.arange(-32_768, 32_768, dtype=np.int16)
    soundfile.write(odd / "train_curated" / "a9.wav", written, 44_100)
    folders = build_all(odd, build_manifest(odd, DataSettings()), settings, tmp_path / "store", "curated")
    shards = ShardSet.open(folders)
    stored = shards.array(shards.row("a9.wav"))
    assert stored.dtype == np.int16
    np.testing.assert_array_equal(stored, written)
    # -1.5, 1.5, 1 and -1 as floating-point numbers, of which no 16 bits hold the first two: scaled, not cut off.
    np.testing.assert_array_equal(shards.array(shards.row("a3.wav")), [-32_768, 32_767, 21_845, -21_845])


def test_build_tells_facts_and_repeats_itself(demo: Path, tmp_path: Path) -> None:
    plan = plan_shards(build_manifest(demo, DataSettings()), MelSettings())[0]
    facts = build_shard(plan, demo, MelSettings(), tmp_path / "a")
    build_shard(plan, demo, MelSettings(), tmp_path / "b")
    seconds = sum(soundfile.info(demo / path).duration for path in plan.paths)
    assert facts["clips"] == len(plan.clips)
    assert facts["bytes"] == plan.n_bytes
    assert facts["audio_s"] == pytest.approx(seconds, abs=0.01)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["data.npy", "index.parquet"]
    assert (tmp_path / "a" / "data.npy").read_bytes() == (tmp_path / "b" / "data.npy").read_bytes()
    array = np.load(tmp_path / "a" / "data.npy")
    assert array.shape == (plan.n_rows, 128)


def test_a_changed_clip_is_refused_and_leaves_nothing(
    tiny: Path, tmp_path: Path, audio_writer: Callable[..., np.ndarray]
) -> None:
    plan = plan_shards(build_manifest(tiny, DataSettings()), MelSettings())[0]
    audio_writer(tiny / "train_curated" / "a4.wav", seed=123)
    with pytest.raises(DataError, match=r"a4\.wav has changed since it was checked"):
        build_shard(plan, tiny, MelSettings(), tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == []
    (tiny / "train_curated" / "a4.wav").unlink()
    with pytest.raises(DataError, match=r"a4\.wav can no longer be read"):
        build_shard(plan, tiny, MelSettings(), tmp_path / "store")


def test_a_folder_that_cannot_be_written_is_told(tiny: Path, tmp_path: Path) -> None:
    plan = plan_shards(build_manifest(tiny, DataSettings()), MelSettings())[0]
    (tmp_path / "store").write_text("a file")
    with pytest.raises(StoreError, match="cannot be written"):
        build_shard(plan, tiny, MelSettings(), tmp_path / "store")


def test_select_is_a_view_in_the_asked_order(demo: Path, tmp_path: Path) -> None:
    settings = MelSettings(shard_mb=1)
    shards = ShardSet.open(build_all(demo, build_manifest(demo, DataSettings()), settings, tmp_path, "curated"))
    chosen = shards.select(shards.clips[::-2])
    assert chosen.clips == shards.clips[::-2]
    assert chosen.row(shards.clips[-1]) == 0
    assert chosen.n_mels == 128
    np.testing.assert_array_equal(chosen.lengths, shards.lengths[::-2])
    for index, clip in enumerate(chosen.clips):
        np.testing.assert_array_equal(chosen.array(index), shards.array(shards.row(clip)))
    with pytest.raises(StoreError, match=r"no shard holds absent\.wav"):
        shards.select(["absent.wav"])
    assert len(shards.select([])) == 0


def test_damaged_shards_are_named(tiny: Path, tmp_path: Path) -> None:
    manifest = build_manifest(tiny, DataSettings())
    folders = build_all(tiny, manifest, MelSettings(), tmp_path / "mel", "curated")
    data, index = folders[0] / "data.npy", folders[0] / "index.parquet"
    whole = data.read_bytes()
    for content in (whole[:-100], whole[:50], b"", b"not an array"):
        data.write_bytes(content)
        with pytest.raises(StoreError, match=r"data\.npy"):
            ShardSet.open(folders)
    np.save(data, np.zeros((7, 128), np.float32))
    with pytest.raises(StoreError, match=r"data\.npy is damaged: its shape \(7, 128\)"):
        ShardSet.open(folders)
    data.write_bytes(whole)
    waves = build_all(tiny, manifest, WaveformSettings(), tmp_path / "wave", "curated")
    with pytest.raises(StoreError, match="other shards of the set hold"):
        ShardSet.open([*folders, *waves])
    with pytest.raises(StoreError, match="two shards hold the same clip"):
        ShardSet.open([*folders, *folders])
    index.write_bytes(b"PAR1")
    with pytest.raises(StoreError, match=r"index\.parquet is damaged"):
        ShardSet.open(folders)
    index.unlink()
    with pytest.raises(StoreError, match=r"index\.parquet is missing"):
        ShardSet.open(folders)


def test_free_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_free_space(tmp_path / "not" / "yet", 1_000)
    monkeypatch.setattr(features.shards.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 2_000_000_000}))
    require_free_space(tmp_path, 1_900_000_000)
    with pytest.raises(DataError, match=r"has 2\.0 GB free and the features need 2\.1 GB"):
        require_free_space(tmp_path, 2_000_000_000)

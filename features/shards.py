"""Features on disk: written once, and read as memory-mapped arrays.

A shard is a folder with `data.npy`, all its clips one after another, and `index.parquet` (clip, offset, length in
rows). A row is a frame of n_mels float32 power values, or one int16 sample.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.audio import read_mono
from features.encoders.encoder import Encoder, cut_windows
from features.errors import DataError, StoreError
from features.files import atomic, load_npy, sha256_file
from features.mel import MelSpectrogram
from features.settings import EmbeddingSettings, FeatureSettings, MelSettings
from features.shard_plan import ShardPlan, row_bytes, row_count

__all__ = [
    "FeatureExtractor",
    "ShardSet",
    "build_shard",
    "estimate_bytes",
    "require_free_space",
]


def estimate_bytes(plans: Sequence[ShardPlan]) -> int:
    """Bytes that the shards will take."""
    return sum(plan.n_bytes for plan in plans)


def require_free_space(folder: Path, n_bytes: int) -> None:
    """Refuse to write what would fill the disk, with 5 % to spare.

    Raises:
        DataError: it does not fit.
    """
    place = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if n_bytes * 1.05 > free:
        raise DataError(
            [
                f"{folder} has {free / 1e9:.1f} GB free and the features need {n_bytes * 1.05 / 1e9:.1f} GB: "
                "free some space or choose another store"
            ]
        )


def build_shard(
    plan: ShardPlan,
    root: Path,
    settings: FeatureSettings,
    folder: Path,
    progress: Callable[[], None] = lambda: None,
    encoder: Path | None = None,
) -> dict[str, float]:
    """Compute one shard, one clip at a time, straight into its file.

    Args:
        plan: what goes in.
        root: the dataset folder.
        settings: those the plan was made with.
        folder: where `data.npy` and `index.parquet` go.
        progress: called after each clip.
        encoder: file of the encoder, for embeddings.

    Returns:
        Facts for the log: `clips`, `audio_s` (seconds of audio) and `bytes`.

    Raises:
        DataError: a clip is missing, unreadable, or not the one that was checked.
        StoreError: the shard cannot be written.
    """
    features = FeatureExtractor(settings, encoder)
    header = {"descr": features.dtype.str, "fortran_order": False, "shape": (plan.n_rows, *features.row_shape)}
    audio_samples = 0
    try:
        with atomic(folder / "data.npy") as temporary, temporary.open("wb") as file:
            # Written in sequence and not through a memory map, where a full disk would end the process with SIGBUS.
            np.lib.format.write_array_header_1_0(file, header)
            for clip, path, sha256, length in zip(plan.clips, plan.paths, plan.sha256s, plan.lengths, strict=True):
                samples = _read_checked(root / path, sha256, settings.sample_rate_hz)
                rows = features.compute(samples)
                assert len(rows) == length, f"{clip}: {len(rows)} rows, planned {length}"
                file.write(rows.data)
                audio_samples += len(samples)
                progress()
        with atomic(folder / "index.parquet") as temporary:
            offsets = np.cumsum([0, *plan.lengths[:-1]])
            pq.write_table(pa.table({"clip": plan.clips, "offset": offsets, "length": plan.lengths}), temporary)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written ({error}): free some space or check the store") from None
    return {"clips": len(plan.clips), "audio_s": audio_samples / settings.sample_rate_hz, "bytes": plan.n_bytes}


def _read_checked(path: Path, sha256: str, sample_rate_hz: int) -> np.ndarray:
    try:
        found = sha256_file(path)
    except OSError as error:
        raise DataError([f"{path} can no longer be read ({error.strerror}): restore it"]) from None
    if found != sha256:
        raise DataError([f"{path} has changed since it was checked: launch again, which checks it again"])
    return read_mono(path, sample_rate_hz)


class FeatureExtractor:
    """Computes the features of a clip, as the settings say: a mel spectrogram, a waveform, or embeddings.

    Args:
        settings: kind of features.
        encoder: file of the encoder, for embeddings.
    """

    def __init__(self, settings: FeatureSettings, encoder: Path | None = None) -> None:
        self._settings = settings
        self._compute = _function(settings, encoder)
        self.dtype = np.dtype(np.int16 if settings.bands is None else np.float32)
        self.row_shape = () if settings.bands is None else (settings.bands,)
        self.row_bytes = row_bytes(settings)

    def length(self, n_samples: int, sample_rate_hz: int) -> int:
        """Rows of a clip, from its length and rate on disk."""
        return row_count(self._settings, n_samples, sample_rate_hz)

    def compute(self, samples: np.ndarray) -> np.ndarray:
        """float32 (samples,) to float32 (frames, n_mels), float32 (windows, dims), or int16 (samples,).

        int16 is exact for 16-bit sources.
        """
        return self._compute(samples)


def _function(settings: FeatureSettings, encoder: Path | None) -> Callable[[np.ndarray], np.ndarray]:
    """What computes features of a kind."""
    if isinstance(settings, MelSettings):
        return MelSpectrogram(settings)
    if isinstance(settings, EmbeddingSettings):
        assert encoder is not None, "embeddings need an encoder"
        network, window, hop = Encoder(encoder), settings.window_samples, settings.hop_samples
        return lambda samples: network(cut_windows(samples, window, hop))
    return _waveform


def _waveform(samples: np.ndarray) -> np.ndarray:
    scaled = np.rint(samples * 32_768.0)
    waveform: np.ndarray = scaled.clip(-32_768, 32_767).astype(np.int16)
    return waveform


class ShardSet:
    """Clips of one subset, read through memory maps; nothing is loaded until an array is touched."""

    def __init__(
        self, clips: Sequence[str], lengths: np.ndarray, offsets: np.ndarray, shards: np.ndarray, maps: list[np.ndarray]
    ) -> None:
        """Use `ShardSet.open`."""
        self.clips = list(clips)
        """fnames, in the order of the shards or of `select`."""
        self.lengths = lengths
        """int64 (clips,): frames or samples of each clip."""
        self._offsets = offsets
        self._shards = shards
        self._maps = maps
        self._rows = {clip: row for row, clip in enumerate(self.clips)}
        if len(self._rows) < len(self.clips):
            raise StoreError("two shards hold the same clip: they belong to different subsets or datasets")

    @classmethod
    def open(cls, folders: Sequence[Path]) -> "ShardSet":
        """Open the shards of one subset.

        Args:
            folders: of the shards, each with `data.npy` and `index.parquet`, in order.

        Raises:
            StoreError: a file is missing, truncated, damaged, or of another shape than its neighbours.
        """
        clips: list[str] = []
        lengths: list[np.ndarray] = []
        offsets: list[np.ndarray] = []
        maps: list[np.ndarray] = []
        for folder in folders:
            index, data = _read_index(folder / "index.parquet"), load_npy(folder / "data.npy", mmap=True)
            length = index["length"].to_numpy()
            offset = index["offset"].to_numpy()
            whole = len(length) > 0 and (length > 0).all() and np.array_equal(offset, np.cumsum(length) - length)
            if data.ndim not in {1, 2} or not whole or length.sum() != len(data):
                raise StoreError(f"{folder / 'data.npy'} is damaged: its shape {data.shape} does not fit its index")
            if maps and (data.dtype, data.shape[1:]) != (maps[0].dtype, maps[0].shape[1:]):
                raise StoreError(
                    f"{folder / 'data.npy'} holds {data.dtype}{list(data.shape[1:])}, other shards of the set hold "
                    f"{maps[0].dtype}{list(maps[0].shape[1:])}"
                )
            clips += index["clip"].to_pylist()
            lengths.append(length)
            offsets.append(offset)
            maps.append(data)
        shards = np.repeat(np.arange(len(maps)), [len(length) for length in lengths])
        none = np.empty(0, np.int64)
        return cls(clips, np.concatenate([none, *lengths]), np.concatenate([none, *offsets]), shards, maps)

    @property
    def n_mels(self) -> int | None:
        """Mel bands of a frame or values of an embedding; None for waveforms."""
        return int(self._maps[0].shape[1]) if self._maps and self._maps[0].ndim == 2 else None

    def __len__(self) -> int:
        return len(self.clips)

    def row(self, clip: str) -> int:
        """Place of a clip in `clips`.

        Raises:
            StoreError: the set does not hold it.
        """
        try:
            return self._rows[clip]
        except KeyError:
            raise StoreError(f"no shard holds {clip}: the features belong to another dataset") from None

    def array(self, i: int) -> np.ndarray:
        """Clip `i` whole, as a read-only view: float32 (frames, n_mels) or (windows, dims), or int16 (samples,)."""
        offset = int(self._offsets[i])
        view: np.ndarray = self._maps[int(self._shards[i])][offset : offset + int(self.lengths[i])]
        return view

    def select(self, clips: Sequence[str]) -> "ShardSet":
        """The named clips, in that order, over the same maps."""
        rows = np.array([self.row(clip) for clip in clips], np.int64)
        return ShardSet(clips, self.lengths[rows], self._offsets[rows], self._shards[rows], self._maps)


def _read_index(path: Path) -> dict[str, Any]:
    try:
        table = pq.read_table(path)
        return {
            "clip": table["clip"].cast(pa.string()),
            "offset": table["offset"].cast(pa.int64()),
            "length": table["length"].cast(pa.int64()),
        }
    except FileNotFoundError:
        raise StoreError(f"{path} is missing") from None
    except (OSError, KeyError, pa.ArrowException) as error:
        raise StoreError(f"{path} is damaged: {error}") from None

"""Which clips go into which shard, and how large it will be. Imports no torch: planning a run needs only this."""

from dataclasses import dataclass

from features.audio import resampled_length
from features.manifest import SUBSETS, Manifest
from features.settings import FeatureSettings

__all__ = ["ShardPlan", "plan_shards", "row_bytes", "row_count"]

_MB = 1 << 20


@dataclass(frozen=True)
class ShardPlan:
    """One shard before it exists."""

    name: str
    """Like 'curated-0003'."""
    subset: str
    clips: tuple[str, ...]
    paths: tuple[str, ...]
    """Below the dataset's root."""
    sha256s: tuple[str, ...]
    """Of the audio files."""
    lengths: tuple[int, ...]
    """Rows of each clip."""
    row_bytes: int

    @property
    def n_rows(self) -> int:
        """Rows of the shard's array."""
        return sum(self.lengths)

    @property
    def n_bytes(self) -> int:
        """Bytes of the shard's array."""
        return self.n_rows * self.row_bytes

    @property
    def content_key(self) -> list[list[str]]:
        """What of the plan enters a signature: (clip, checksum) pairs."""
        return [list(pair) for pair in zip(self.clips, self.sha256s, strict=True)]


def plan_shards(manifest: Manifest, settings: FeatureSettings) -> list[ShardPlan]:
    """Cut each subset, in manifest order, into shards of at most `shard_mb` (MiB); a larger clip gets its own."""
    n_bytes = row_bytes(settings)
    plans: list[ShardPlan] = []
    for subset in SUBSETS:
        frame = manifest.subset(subset)
        columns = (frame[name].tolist() for name in ("clip", "path", "sha256", "n_samples", "sample_rate_hz"))
        cut: list[list[tuple[str, str, str, int]]] = []
        used = 0
        for clip, path, sha256, n_samples, rate_hz in zip(*columns, strict=True):
            length = row_count(settings, n_samples, rate_hz)
            if not cut or used + length * n_bytes > settings.shard_mb * _MB:
                cut.append([])
                used = 0
            cut[-1].append((clip, path, sha256, length))
            used += length * n_bytes
        for number, members in enumerate(cut):
            clips, paths, sha256s, lengths = zip(*members, strict=True)
            plans.append(ShardPlan(f"{subset}-{number:04d}", subset, clips, paths, sha256s, lengths, n_bytes))
    return plans


def row_count(settings: FeatureSettings, n_samples: int, sample_rate_hz: int) -> int:
    """Rows of a clip, mel frames, samples or windows, from its length and rate on disk."""
    return settings.rows(resampled_length(n_samples, sample_rate_hz, settings.sample_rate_hz))


def row_bytes(settings: FeatureSettings) -> int:
    """Bytes of a row: float32 bands of a frame, float32 values of an embedding, or an int16 sample."""
    return 2 if settings.bands is None else 4 * settings.bands

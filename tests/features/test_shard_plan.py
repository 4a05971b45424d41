import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from features.manifest import build_manifest
from features.settings import DataSettings, MelSettings, WaveformSettings
from features.shard_plan import plan_shards, row_bytes, row_count
from features.shards import FeatureExtractor, estimate_bytes

AnySettings = MelSettings | WaveformSettings
BOTH = pytest.mark.parametrize("settings", [MelSettings(shard_mb=1), WaveformSettings(shard_mb=1)], ids=["mel", "wave"])


@BOTH
def test_plans_cover_every_clip_once(demo: Path, settings: AnySettings) -> None:
    manifest = build_manifest(demo, DataSettings())
    plans = plan_shards(manifest, settings)
    assert plans == plan_shards(manifest, settings)
    for subset in ("curated", "noisy", "test"):
        of_subset = [plan for plan in plans if plan.subset == subset]
        assert [clip for plan in of_subset for clip in plan.clips] == list(manifest.subset(subset)["clip"])
        assert [plan.name for plan in of_subset] == [f"{subset}-{number:04d}" for number in range(len(of_subset))]
    assert len(plans) > 3
    assert all(plan.n_bytes <= 1 << 20 or len(plan.clips) == 1 for plan in plans)
    assert estimate_bytes(plans) == sum(plan.n_bytes for plan in plans)
    assert len({str(plan.content_key) for plan in plans}) == len(plans)


@BOTH
@pytest.mark.parametrize("n_samples", [1, 346, 347, 44_100, 44_101])
def test_rows_are_those_of_the_computed_features(settings: AnySettings, n_samples: int) -> None:
    rows = FeatureExtractor(settings).compute(np.zeros(n_samples, np.float32))
    assert len(rows) == row_count(settings, n_samples, 44_100)
    assert rows.nbytes == len(rows) * row_bytes(settings)


def test_a_large_clip_gets_a_shard_of_its_own(demo: Path) -> None:
    manifest = build_manifest(demo, DataSettings())
    wide = MelSettings(shard_mb=1, n_mels=1_024, hop_samples=64)
    assert any(plan.n_bytes > 1 << 20 and len(plan.clips) == 1 for plan in plan_shards(manifest, wide))


def test_planning_does_not_import_torch() -> None:
    code = "import sys, features.shard_plan; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

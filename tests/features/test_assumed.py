"""The manifest that stands in for FSDKaggle2019."""

import numpy as np
import pytest

from features.assumed import assumed_manifest
from features.settings import DataSettings


def test_counts_means_and_ranges_are_the_datasets() -> None:
    manifest = assumed_manifest(DataSettings())
    facts = {}
    for subset in ("curated", "noisy", "test"):
        clips = manifest.subset(subset)
        facts[subset] = (clips["n_samples"] / clips["sample_rate_hz"]).to_numpy()
    assert {subset: len(seconds) for subset, seconds in facts.items()} == {
        "curated": 4_970,
        "noisy": 19_815,
        "test": 4_481,
    }
    curated, noisy, test = facts.values()
    assert curated.mean() == pytest.approx(7.65, abs=0.02)
    assert np.median(curated) == pytest.approx(4.7, abs=0.05)
    assert (curated.min(), curated.max()) == (0.3, 57.6)
    assert noisy.mean() == pytest.approx(14.6, abs=0.02)
    assert (noisy == 15.0).mean() > 0.5
    assert (noisy.min(), noisy.max()) == (1.0, 16.0)
    assert test.sum() / 3600 == pytest.approx(12.9, abs=0.1)
    assert len(manifest.classes) == 80
    assert manifest.targets("noisy").sum(axis=1).tolist() == [1.0] * 19_815


def test_every_fold_holds_a_fifth_and_the_test_clips_none() -> None:
    manifest = assumed_manifest(DataSettings())
    assert np.bincount(manifest.subset("curated")["fold"]).tolist() == [994] * 5
    assert set(manifest.subset("test")["fold"]) == {-1}

from dataclasses import replace
from pathlib import Path

import pytest

from features.manifest import build_manifest
from features.settings import DataSettings
from orchestrator.grids.load import grid_names, load_grid
from orchestrator.run.fit import fit_recipe


@pytest.mark.parametrize("grid", grid_names())
def test_every_shipped_grid_fits_data_without_noisy_clips(grid: str, small_data: Path) -> None:
    recipe = load_grid(grid)
    manifest = build_manifest(small_data, DataSettings(folds=2))
    assert fit_recipe(recipe, manifest) == (recipe, ())
    clean = replace(manifest, clips=manifest.clips[manifest.clips["subset"] != "noisy"])
    fitted, notes = fit_recipe(recipe, clean)
    needing = [name for name, one in recipe.conditions.items() if one.train.multitask or one.train.pseudo]
    assert bool(notes) == bool(needing)
    for name, condition in fitted.conditions.items():
        train = condition.train
        assert not any((train.multitask, train.pseudo, train.semi, train.validate_noisy))
        assert condition.predict.heads == ("curated",)
        if name not in needing:
            assert condition == recipe.conditions[name]
    assert fit_recipe(fitted, clean) == (fitted, ())


def test_what_is_left_out_is_said_in_one_line(small_data: Path) -> None:
    manifest = build_manifest(small_data, DataSettings(folds=2))
    clean = replace(manifest, clips=manifest.clips[manifest.clips["subset"] != "noisy"])
    _, notes = fit_recipe(load_grid("demo"), clean)
    assert notes == ("no noisy clips: A, B, D are trained without multitask, pseudo",)

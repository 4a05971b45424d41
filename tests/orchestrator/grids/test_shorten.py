import pytest

from orchestrator.grids.load import grid_names, load_grid
from orchestrator.grids.shorten import last_to_spare, shortened


@pytest.mark.parametrize("grid", grid_names())
def test_every_shipped_grid_can_be_shortened_to_one_condition(grid: str) -> None:
    recipe = load_grid(grid)
    kept = tuple(recipe.conditions)
    while (spare := last_to_spare(recipe, kept)) is not None:
        kept = tuple(name for name in kept if name != spare)
        less = shortened(recipe, kept, 0.5)
        assert tuple(less.conditions) == kept
        assert less.blended
        for name, condition in less.conditions.items():
            whole = recipe.conditions[name].train
            assert condition.train.epochs == max(1, round(0.5 * whole.epochs))
            assert condition.train.cycles == whole.cycles
    assert len(kept) >= 1


def test_all_of_a_grid_is_the_grid() -> None:
    recipe = load_grid("small")
    assert shortened(recipe, tuple(recipe.conditions), 1.0) == recipe


def test_what_names_a_condition_goes_with_it() -> None:
    recipe = load_grid("paper")
    less = shortened(recipe, [name for name in recipe.conditions if name != "B"], 1.0)
    assert "B" not in less.paper_weights
    assert "B" not in less.published.cv
    assert all("B" not in one.members for one in less.ensembles.values())
    assert all("B" not in pair for pair in less.comparisons.values())
    assert less.ensembles.keys() < recipe.ensembles.keys()
    assert less.ensembles


def test_numbers_of_epochs_shrink_alike() -> None:
    recipe = load_grid("paper", ["conditions.A.rescue={'0': {after: 100, lr_factor: 0.5}}"], ["self-training"])
    half = shortened(recipe, tuple(recipe.conditions), 0.5)
    assert half.conditions["A"].train.rescue["0"].after == 50
    for name, condition in recipe.conditions.items():
        for ramp in ("ramp_start", "ramp_end", "ramp_epochs"):
            if (before := getattr(condition.train.semi, ramp, None)) is not None:
                assert getattr(half.conditions[name].train.semi, ramp) == before / 2

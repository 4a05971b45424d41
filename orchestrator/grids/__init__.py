"""A grid file in, a complete Recipe out: what is to be computed.

    load.py        reads a grid file, applies overlays and --set, resolves rows; errors name the field
    recipe.py      the Recipe: a whole grid, validated
    condition.py   one row of a grid
    ensembles.py   ensembles with fixed weights, published figures, comparisons
    shorten.py     a grid with fewer conditions and epochs
    reference.py   the page docs/grids.md, made from the settings
    *.yaml         the grids that ship with sonogrid

- A Recipe is immutable and complete: every default is filled in, so equal Recipes have equal signatures.
- Bad input raises GridError with one sentence that names the file, the field and the value.
- Nothing here imports torch, pandas or a service's library: reading a grid is fast.
"""

from orchestrator.grids.load import change_recipe, grid_names, load_grid
from orchestrator.grids.recipe import Recipe

__all__ = ["Recipe", "change_recipe", "grid_names", "load_grid"]

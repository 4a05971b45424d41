"""Arguments that several functions share."""

from pathlib import Path

import pytest

import sonogrid
from features.errors import GridError, InputError
from orchestrator import api
from orchestrator.run.execution import Execution
from tests.fixtures.harm import INLINE


def test_bad_input_raises(tiny_grid: Path, small_data: Path, tmp_path: Path) -> None:
    recipe = sonogrid.load_grid(tiny_grid)
    with pytest.raises(GridError, match="--only Z"):
        api.launch(recipe, small_data, tmp_path / "run", only=["Z"], execution=INLINE)
    with pytest.raises(InputError, match="give them to load_grid"):
        api.launch(recipe, small_data, tmp_path / "run", settings=["defaults.epochs=1"], execution=INLINE)
    with pytest.raises(InputError, match="through Ray Client"):
        api.launch(recipe, small_data, tmp_path / "run", execution=Execution(address="ray://head:10001"))
    with pytest.raises(InputError, match="is the dataset"):
        api.launch(recipe, small_data, small_data, execution=INLINE)
    with pytest.raises(InputError, match="holds no run"):
        api.report(tmp_path)
    assert not (tmp_path / "run").exists()

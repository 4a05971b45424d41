"""Grids survive being written and read: YAML of plain values, and whole Recipes in the form of a grid file."""

import json
import tempfile
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InputError
from features.plain_yaml import MAX_INT, load_plain
from orchestrator.grids.load import grid_names, load_grid, parse_grid
from orchestrator.grids.recipe import Recipe
from trainers.network_settings import Statistic

# YAML knows surrogate pairs as two characters, so text stays in the basic plane.
TEXT = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["C", "Zl", "Zp"]), max_size=20)
NUMBERS = st.integers(-MAX_INT, MAX_INT) | st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
NAMES = st.from_regex(r"[A-Z][A-Za-z0-9_+-]{0,8}", fullmatch=True)


@given(PLAIN)
def test_json_is_read_as_the_values_it_was_written_from(value: object) -> None:
    assert load_plain(json.dumps(value, ensure_ascii=False)) == value
    assert load_plain(json.dumps(value, ensure_ascii=False, indent=2)) == value


@given(TEXT, st.integers(2, 5))
def test_no_key_is_taken_twice(key: str, times: int) -> None:
    pairs = ", ".join([f"{json.dumps(key, ensure_ascii=False)}: 1"] * times)
    with pytest.raises(InputError, match="twice"):
        load_plain(f"{{{pairs}}}")


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """A row of a grid, on mel features or on waveforms."""
    cycles = draw(st.integers(1, 4))
    low, high = sorted(draw(st.tuples(*[st.floats(1e-9, 1)] * 2)))
    row: dict[str, Any] = {
        "cycles": cycles, "epochs": draw(st.integers(1, 100)), "lr_min": low, "lr_max": high,
        "optimizer": draw(st.sampled_from(["adam", "sgd"])), "seed": draw(st.integers(0, 2**32 - 1)),
        "padding": draw(st.sampled_from(["zeros", "repeat"])), "batch_size": draw(st.integers(2, 64)),
        "predict": {"pads": draw(st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True))},
        "multitask": draw(st.booleans()),
        "rescue": draw(st.sampled_from([{}, {"0": {"after": 0, "lr_factor": 0.5}}])),
    }  # fmt: skip
    if draw(st.booleans()):
        crops = draw(st.lists(st.integers(16, 600), min_size=1, max_size=3, unique=True))
        statistics = draw(st.lists(st.sampled_from(get_args(Statistic)), unique=True))
        resnet = {"kind": "resnet", "depth": draw(st.sampled_from([10, 18, 34])), "width": 8, "statistics": statistics}
        pooled = {"kind": "pooled", "statistics": statistics or True}
        row |= {"network": draw(st.sampled_from([resnet, pooled])), "crop": crops}
        row["augment"] = draw(st.sampled_from([{}, {"mixup": {}}, {"gain": {"low": 0.5}, "frequency_mask": {}}]))
        row["features"] = {"n_mels": draw(st.integers(8, 128)), "fmin_hz": draw(st.floats(0, 100))}
    else:
        row |= {
            "network": {"kind": "envnet", "width": draw(st.integers(4, 32))},
            "crop": draw(st.integers(30_000, 99_999)),
        }
        row["augment"] = draw(st.sampled_from([{}, {"bc_mix": {}}, {"gain_db": {}}]))
    if draw(st.booleans()):
        row |= {"optimizer": "adamw", "weight_decay": draw(st.floats(0, 10))}
    row["label_smoothing"] = draw(st.floats(0, 0.9))
    if draw(st.booleans()):
        row["ema"] = draw(st.floats(0, 0.999))
    elif draw(st.booleans()):
        row["semi"] = {"method": "mean_teacher", "decay": draw(st.floats(0, 0.999))}
    return row


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """A grid with several conditions, soft labels, an ensemble and what is compared."""
    names = draw(st.lists(NAMES, min_size=2, max_size=4, unique=True))
    conditions = {name: draw(rows()) for name in names}
    teacher, student = names[:2]
    conditions[student]["pseudo"] = {"teacher": teacher, "weight": draw(st.floats(0.001, 100))}
    raw = {
        "name": "drawn",
        "data": {"folds": draw(st.integers(2, 9)), "stratify": draw(st.booleans())},
        "conditions": conditions,
        "blend": {"trials": draw(st.integers(0, 500))},
        "members": draw(st.lists(st.sampled_from(names), unique=True)),
        "ensembles": {"mean-of-all": {"members": {name: {} for name in names}, "weights": {teacher: 2.5}}},
        "published": {"cv": {teacher: draw(st.floats(0, 1))}},
        "comparisons": {"one against all": [student, "mean-of-all"]},
    }
    return parse_grid(raw, "drawn")


def grid_form(recipe: Recipe) -> dict[str, Any]:
    """A Recipe as a plain grid file: the training fields of a condition lie flat in its row."""
    raw = recipe.model_dump(mode="json")
    raw["conditions"] = {
        name: {**row["train"], "features": row["features"], "predict": row["predict"], "cv": row["cv"]}
        for name, row in raw["conditions"].items()
    }
    return raw


def assert_comes_back(recipe: Recipe) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "grid.yaml"
        for text in (yaml.safe_dump(grid_form(recipe), sort_keys=False), json.dumps(grid_form(recipe))):
            path.write_text(text, encoding="utf-8")
            again = load_grid(str(path))
            assert again == recipe
            assert list(again.conditions) == list(recipe.conditions)


@given(recipes())
def test_a_recipe_written_as_a_grid_is_read_as_the_same_recipe(recipe: Recipe) -> None:
    assert_comes_back(recipe)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe, "as run.json keeps it"


@pytest.mark.parametrize("name", grid_names())
def test_so_is_each_grid_that_ships(name: str) -> None:
    assert_comes_back(load_grid(name))

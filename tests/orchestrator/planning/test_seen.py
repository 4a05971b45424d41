from collections.abc import Sequence
from pathlib import Path

import pytest

from features.manifest import Manifest
from features.settings import EmbeddingSettings
from orchestrator.grids.load import parse_grid
from orchestrator.grids.recipe import Recipe
from orchestrator.planning.graph import build_graph
from orchestrator.planning.leaks import leaky_conditions, leaky_on_test
from orchestrator.planning.seen import SeenClips, clips_seen, outside_conditions
from tests.fixtures.encoders import write_onnx
from tests.fixtures.manifests import manifest_of


@pytest.fixture
def manifest() -> Manifest:
    manifest = manifest_of([0, 1, 0, 1])
    names = ["1-100032-A-0.wav", "100038.wav", "rain12.wav", "x.y.wav", "n1.wav", "n2.wav", "t-5555.wav", "t-17.wav"]
    clips = manifest.clips.assign(clip=names, group=["g1", "g2", "g3", "4711", "n1", "n2", "", ""])
    return Manifest(clips, manifest.classes)


def recipe_of(folder: Path, seen: object) -> Recipe:
    """Conditions of which `own` has the encoder and `child`, `pupil` and `grandchild` depend on it."""
    embedding = {"model": str(write_onnx(folder / "tiny.onnx")), "seen": seen}
    pooled = {"kind": "pooled", "reads": "embedding"}
    conditions = {
        "mel": {},
        "own": {"network": pooled},
        "child": {"network": pooled, "init_from": "own"},
        "pupil": {"pseudo": {"teacher": "own"}},
        "grandchild": {"init_from": "pupil"},
    }
    raw = {"name": "seen", "data": {"folds": 2}, "features": {"embedding": embedding}, "conditions": conditions}
    return parse_grid({**raw, "members": ["mel"]}, "grid")


def seen_by(recipe: Recipe, manifest: Manifest, lines: Sequence[str] = ()) -> dict[str, SeenClips]:
    return clips_seen(recipe, manifest, lambda _: lines)


def test_subsets_are_seen_whole_and_reach_all_that_descend(tmp_path: Path, manifest: Manifest) -> None:
    recipe = recipe_of(tmp_path, ["test"])
    seen = seen_by(recipe, manifest)
    assert seen == {name: {"test": {"t-5555.wav", "t-17.wav"}} for name in ("own", "child", "pupil", "grandchild")}
    graph = build_graph(recipe, manifest)
    assert leaky_on_test(recipe, graph, seen) == ["own", "child", "pupil", "grandchild"]
    assert leaky_conditions(recipe, graph, seen) == []
    blended = recipe.model_copy(update={"members": ("mel", "child")})
    assert leaky_on_test(blended, graph, seen)[-1] == "blend"


def test_seen_curated_clips_make_out_of_fold_scores_leaky(tmp_path: Path, manifest: Manifest) -> None:
    recipe = recipe_of(tmp_path, ["curated"])
    seen, graph = seen_by(recipe, manifest), build_graph(recipe, manifest)
    assert leaky_conditions(recipe, graph, seen) == ["own", "child", "pupil", "grandchild"]
    assert leaky_on_test(recipe, graph, seen) == []


def test_nothing_declared_is_nothing_seen(tmp_path: Path, manifest: Manifest) -> None:
    assert seen_by(recipe_of(tmp_path, []), manifest) == {}


def test_noisy_clips_alone_leave_scores_honest(tmp_path: Path, manifest: Manifest) -> None:
    recipe = recipe_of(tmp_path, ["noisy"])
    seen = seen_by(recipe, manifest)
    assert seen["own"] == {"noisy": {"n1.wav", "n2.wav"}}
    graph = build_graph(recipe, manifest)
    assert leaky_conditions(recipe, graph, seen) == leaky_on_test(recipe, graph, seen) == []


@pytest.mark.parametrize(
    ("line", "clips"),
    [
        ("100032", {"curated": {"1-100032-A-0.wav"}}),
        ("100038  # by somebody", {"curated": {"100038.wav"}}),
        ("10003", {}),
        ("1", {}),  # a number of one digit is a counter
        ("12", {}),
        ("17", {}),
        ("rain12", {"curated": {"rain12.wav"}}),
        ("x.y.wav", {"curated": {"x.y.wav"}}),
        ("4711", {"curated": {"x.y.wav"}}),  # its group
        ("5555", {"test": {"t-5555.wav"}}),
        ("n2.wav", {"noisy": {"n2.wav"}}),
        ("", {}),
        ("# 5555", {}),
    ],
)
def test_a_line_is_an_id_or_a_name(tmp_path: Path, manifest: Manifest, line: str, clips: SeenClips) -> None:
    (tmp_path / "ids.txt").write_text("")
    recipe = recipe_of(tmp_path, str(tmp_path / "ids.txt"))
    assert isinstance(recipe.conditions["own"].features, EmbeddingSettings)
    assert seen_by(recipe, manifest, [line]).get("own", {}) == clips


def test_outside_data_reaches_all_that_descend(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, [])
    assert outside_conditions(recipe) == ["own", "child", "pupil", "grandchild"]
    assert outside_conditions(recipe.model_copy(update={"members": ()}))[-1] == "blend"
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"weights")
    network = {"kind": "resnet", "init_from": str(weights)}
    started = parse_grid({"name": "x", "conditions": {"A": {"network": network}, "B": {}}}, "grid")
    assert outside_conditions(started) == ["A", "blend"]

"""The file that keeps a blend."""

from pathlib import Path

import pytest

from features.errors import StoreError
from features.files import read_json, write_json
from orchestrator.blending.result import Blend, BlendResult
from orchestrator.grids.ensembles import Member

BLEND = Blend(
    (Member("A", 1, "curated", 2), Member("A", 2, "curated", 2), Member("D", 1, "noisy", 1000)),
    BlendResult((0.25, 0.0, 0.75), 0.9, 0.85, 0.8, None, 0.88, 4, {"bags": 20}, ((1.0, 0.0, 0.0), (0.5, 0.5, 0.0))),
)


def test_a_blend_is_read_as_it_was_written(tmp_path: Path) -> None:
    BLEND.write(tmp_path)
    assert Blend.read(tmp_path) == BLEND


def test_the_file_has_its_documented_form(tmp_path: Path) -> None:
    BLEND.write(tmp_path)
    content = read_json(tmp_path / "blend.json")
    assert content == BLEND.as_dict()
    assert list(content) == [
        "members", "weights", "oof_lwlrap", "oof_lwlrap_nested", "uniform_oof_lwlrap", "paper_oof_lwlrap",
        "greedy_oof_lwlrap", "predictions", "mixture", "fold_weights",
    ]  # fmt: skip
    assert content["members"][2] == {"condition": "D", "cycle": 1, "head": "noisy", "pad": 1000}
    assert content["weights"] == [0.25, 0.0, 0.75]


def test_a_blend_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    BLEND.write(tmp_path)
    content = read_json(tmp_path / "blend.json")
    del content["mixture"], content["fold_weights"]
    write_json(tmp_path / "blend.json", content)
    found = Blend.read(tmp_path)
    assert found.result.weights == BLEND.result.weights
    assert (found.result.mixture, found.result.fold_weights) == ({}, ())


def test_members_without_a_weight_are_left_out() -> None:
    assert list(BLEND.weighted()) == [(BLEND.members[0], 0.25), (BLEND.members[2], 0.75)]


def test_scores_are_named_like_the_fields() -> None:
    assert BLEND.result.scores() == {
        "oof_lwlrap": 0.9, "oof_lwlrap_nested": 0.85, "uniform_oof_lwlrap": 0.8, "paper_oof_lwlrap": None,
        "greedy_oof_lwlrap": 0.88,
    }  # fmt: skip


def test_a_folder_without_a_blend_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"blend\.json is missing"):
        Blend.read(tmp_path)

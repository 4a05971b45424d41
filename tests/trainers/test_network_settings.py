import hashlib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from features.errors import GridError
from orchestrator.grids.load import parse_grid
from trainers.network_settings import STATISTICS, PooledSettings, ResNetSettings, SEResNeXtSettings
from trainers.settings import TrainSettings


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (True, STATISTICS),
        (False, ()),
        ([], ()),
        (["maximum", "mean"], ("mean", "maximum")),
        (["difference"], ("difference",)),
    ],
)
def test_statistics_are_all_none_or_a_choice_in_one_order(given: Any, names: tuple[str, ...]) -> None:
    for settings in (ResNetSettings, SEResNeXtSettings):
        assert settings.model_validate({"statistics": given}).statistics == names
    if names:
        assert PooledSettings.model_validate({"statistics": given}).statistics == names


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"kind": "pooled", "statistics": ["median"]}, r"network\.pooled\.statistics\.0"),
        ({"kind": "pooled", "statistics": ["mean", "mean"]}, "a statistic is given twice in .*; list each once"),
        ({"kind": "pooled", "statistics": []}, "at least 1 item"),
        ({"kind": "pooled", "statistics": "mean"}, r"network\.pooled\.statistics"),
        ({"kind": "pooled", "depth": 18}, r"network\.pooled\.depth\n  Extra inputs"),
        ({"kind": "pooled", "head_units": 4}, r"network\.pooled\.head_units"),
        ({"kind": "envnet", "statistics": True}, r"network\.envnet\.statistics\n  Extra inputs"),
    ],
)
def test_wrong_networks_are_refused(network: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainSettings.model_validate({"network": network, "crop": 30_000})


def test_defaults_of_later_settings_are_not_written() -> None:
    """Signatures are hashes of what is written, so a new setting must not change those of grids without it."""
    plain = TrainSettings()
    assert not {"weight_decay"} & plain.model_dump().keys()
    assert "statistics" not in plain.model_dump()["network"]
    changed = TrainSettings.model_validate(
        {"network": {"kind": "resnet", "statistics": True}, "optimizer": "adamw", "weight_decay": 0.5}
    )
    assert changed.model_dump()["weight_decay"] == 0.5
    assert changed.model_dump()["network"]["statistics"] == STATISTICS
    for settings in (plain, changed):
        assert TrainSettings.model_validate_json(settings.model_dump_json()) == settings


def test_a_file_to_start_from_is_named_and_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "start.safetensors").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    network = ResNetSettings.model_validate({"init_from": "start.safetensors"})
    assert network.init_from == str(tmp_path / "start.safetensors")
    assert network.init_sha256 == hashlib.sha256(b"weights").hexdigest()
    # A recorded grid is read without the file.
    (tmp_path / "start.safetensors").unlink()
    assert ResNetSettings.model_validate_json(network.model_dump_json()) == network
    assert ResNetSettings().init_sha256 is None
    assert not {"init_from", "init_sha256"} & ResNetSettings().model_dump().keys()


def test_a_missing_file_to_start_from_is_named(tmp_path: Path) -> None:
    grid = {
        "name": "g",
        "conditions": {"A": {"network": {"kind": "resnet", "init_from": str(tmp_path / "none.safetensors")}}},
    }
    with pytest.raises(GridError, match=r"network\.init_from: .*none\.safetensors can't be read \(No such file"):
        parse_grid(grid, "g.yaml")

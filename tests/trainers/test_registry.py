"""Declarations agree with the functions, and say what a grid may set."""

import inspect
import subprocess
import sys
from typing import Any, get_args

import pytest

from trainers import augment_mel, augment_waveform
from trainers.augment import FUNCTIONS
from trainers.registry import AUGMENTATIONS, LOSSES, Augmentation, Stage, resolve_augmentations
from trainers.semi import METHODS
from trainers.settings import SemiSettings, TrainSettings

ONE_OF = {stage: [name for name, known in AUGMENTATIONS.items() if known.stage == stage] for stage in ("read", "mix")}


def test_nothing_here_imports_torch() -> None:
    code = "import sys, trainers.registry, trainers.settings; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_augmentation_has_a_function_with_the_declared_parameters() -> None:
    assert FUNCTIONS.keys() == AUGMENTATIONS.keys()
    assert {*augment_mel.__all__, *augment_waveform.__all__} - {"loudest_window_db"} == AUGMENTATIONS.keys()
    for name, function in FUNCTIONS.items():
        parameters = inspect.signature(function).parameters.values()
        own = {p.name: p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
        declared = AUGMENTATIONS[name].parameters
        assert own.keys() == declared.keys(), name
        for key, parameter in own.items():
            assert parameter.default is inspect.Parameter.empty, f"{name}.{key}: the default is declared"
            assert parameter.annotation is type(declared[key].default), f"{name}.{key}"


def test_every_declaration_is_described_and_within_its_own_bounds() -> None:
    for name, declared in AUGMENTATIONS.items():
        assert declared.description, name
        for key, parameter in declared.parameters.items():
            assert parameter.description, f"{name}.{key}"
            assert parameter.low <= parameter.default <= parameter.high, f"{name}.{key}"
    assert all(loss.description for loss in LOSSES.values())


def test_every_method_is_declared_by_its_settings() -> None:
    union = get_args(get_args(SemiSettings)[0])
    assert {part.model_fields["method"].default for part in union} == METHODS.keys()
    assert all(part.model_fields["method"].description for part in union)


def test_defaults_are_the_recipes() -> None:
    assert {name: resolve_augmentations({name: {}})[name] for name in AUGMENTATIONS} == {
        "scale": {"factor": 1.25},
        "additional_crop": {"p": 0.5, "low": 0.25},
        "additional_crop_released": {"p": 0.5, "low": 0.25},
        "mixup": {"p": 0.5, "alpha": 1.0},
        "bc_mix": {"p": 1.0},
        "bc_mix_released": {"p": 1.0},
        "time_warp": {"p": 0.5, "frames": 80},
        "noise": {"p": 0.5, "low": 10.0, "high": 40.0},
        "frequency_mask": {"p": 0.5, "low": 8, "high": 32},
        "frequency_mask_centred": {"p": 0.5, "low": 8, "high": 31},
        "time_mask": {"p": 0.5, "low": 32, "high": 128},
        "gain": {"p": 0.5, "low": 0.8, "high": 1.2},
        "gain_db": {"p": 1.0, "range_db": 6.0},
    }


def test_given_values_win_and_keep_the_defaults_type() -> None:
    chosen = resolve_augmentations({"frequency_mask": {"high": 16.0, "p": 1}, "additional_crop": {}})
    assert chosen == {"additional_crop": {"p": 0.5, "low": 0.25}, "frequency_mask": {"p": 1.0, "low": 8, "high": 16}}
    assert [type(value) for value in chosen["frequency_mask"].values()] == [float, int, int]
    assert resolve_augmentations(chosen) == chosen
    assert resolve_augmentations({}) == {}


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"mixpu": {}}, "'mixpu' is not an augmentation; there are additional_crop, additional_crop_released, mixup"),
        ({"gain": {"hi": 1.1}}, r"'gain\.hi' is not a parameter; there are p, low, high"),
        ({"gain": {"low": "0.9"}}, r"'gain\.low' must be a number, not '0\.9'"),
        ({"gain": {"low": None}}, r"'gain\.low' must be a number"),
        ({"gain": {"p": True}}, r"'gain\.p' must be a number, not True"),
        ({"frequency_mask": {"low": 8.5}}, r"'frequency_mask\.low' must be a whole number, not 8\.5"),
        ({"mixup": {"p": 1.01}}, r"'mixup\.p' is a probability and must lie in 0\.\.1, not 1\.01"),
        ({"mixup": {"p": -0.01}}, r"'mixup\.p' is a probability"),
        ({"gain": {"low": float("nan")}}, r"'gain\.low' must be a finite number"),
        ({"mixup": {"p": float("nan")}}, r"'mixup\.p' must be a finite number"),
        ({"gain": {"high": float("inf")}}, r"'gain\.high' must be a finite number"),
        ({"frequency_mask": {"high": float("inf")}}, r"'frequency_mask\.high' must be a finite number"),
        ({"gain": {"low": 1.5}}, r"'gain\.low' 1\.5 is above 'gain\.high' 1\.2"),
        ({"frequency_mask": {"high": 4}}, r"'frequency_mask\.low' 8 is above 'frequency_mask\.high' 4"),
        ({"time_mask": {"low": -1}}, r"'time_mask\.low' is a width and must not be negative, not -1"),
        ({"time_warp": {"frames": -80}}, r"'time_warp\.frames' is a width and must not be negative"),
        ({"bc_mix_released": {}, "bc_mix": {}}, "bc_mix_released and bc_mix exclude each other; choose one of them"),
    ],
)
def test_what_cannot_be_resolved_is_named(chosen: dict[str, dict[str, Any]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_augmentations(chosen)


@pytest.mark.parametrize("stage", ["read", "mix"])
@pytest.mark.usefixtures("registry")
def test_a_stage_that_takes_one_refuses_two(stage: Stage) -> None:
    AUGMENTATIONS["rival"] = Augmentation(("mel",), stage, "")
    assert list(resolve_augmentations({"rival": {}})) == ["rival"]
    for name in ONE_OF[stage]:
        with pytest.raises(ValueError, match=f"{name} and rival exclude each other; choose one of them"):
            resolve_augmentations({name: {}, "rival": {}})


@pytest.mark.parametrize("augment", [3, [], {"gain": 3}, {"gain": None}])
def test_augmentations_of_another_form_are_rejected(augment: Any) -> None:
    with pytest.raises(ValueError, match=r"augment[\s\S]*valid dictionary"):
        TrainSettings.model_validate({"augment": augment})

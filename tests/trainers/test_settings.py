from typing import Any

import pytest
from pydantic import ValidationError

from trainers.registry import LOSSES
from trainers.settings import EnvNetSettings, PredictSettings, PseudoSettings, ResNetSettings, TrainSettings


def test_defaults_are_condition_a_without_its_streams() -> None:
    settings = TrainSettings.model_validate({})
    assert settings.network == ResNetSettings(depth=34, width=64, head_units=1024, activation="sigmoid")
    assert (settings.crop, settings.batch_size, settings.cycles, settings.epochs) == (512, 64, 8, 64)
    assert (settings.optimizer, settings.lr_max, settings.lr_min) == ("adam", 1e-3, 1e-6)
    assert settings.total_epochs == 512
    assert PseudoSettings(teacher="A").model_dump() == {
        "teacher": "A", "folds": "same", "labels": "soft", "pads": (0,), "partners": "balanced", "weight": 20.0,
        "temperature": 2.0, "loss": "mse",
    }  # fmt: skip
    assert EnvNetSettings().width == 32
    assert PredictSettings().pads == (8, 32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bach_size": 4}, "bach_size\n  Extra inputs are not permitted"),
        ({"network": {"kind": "resnet", "layers": 3}}, r"network\.resnet\.layers\n  Extra inputs are not permitted"),
        ({"network": {"kind": "envnet", "depth": 34}}, r"network\.envnet\.depth\n  Extra inputs are not permitted"),
        ({"pseudo": {"teacher": "A", "weigth": 1.0}}, r"pseudo\.weigth\n  Extra inputs are not permitted"),
        ({"network": {"kind": "vgg"}}, "'resnet', 'seresnext', 'envnet', 'pooled'"),
        ({"network": {"kind": "resnet", "depth": 50}}, r"network\.resnet\.depth"),
        ({"batch_size": "4"}, "batch_size"),
        ({"batch_size": 4.5}, "batch_size"),
        ({"batch_size": 1}, "batch_size"),
        ({"multitask": 1}, "multitask"),
        ({"weight_decay": 0.1}, "weight_decay needs 'optimizer: adamw', not adam"),
        ({"lr_max": float("inf")}, "lr_max"),
        ({"lr_max": 0.0}, "lr_max"),
        ({"lr_max": 1e-4, "lr_min": 1e-3}, r"lr_min 0\.001 is above lr_max 0\.0001"),
        ({"loss": "focal"}, "'focal' is not a loss; there are bce, bce_twice, kl, kl_mean, mse"),
        ({"noisy_loss": "focal"}, "'focal' is not a loss"),
        ({"validate_noisy": True}, "validate_noisy needs 'multitask: true', and 'noisy: folds'"),
        ({"validate_noisy": True, "multitask": True}, "validate_noisy needs .* so that clips are held out"),
        ({"noisy": "some"}, "noisy"),
        ({"precision": "fp16"}, "precision"),
        ({"pseudo": {"teacher": "A", "labels": "firm"}}, r"pseudo\.labels"),
        ({"pseudo": {"teacher": "A", "pads": [0, 0]}}, "pads must be distinct"),
        ({"pseudo": {"teacher": "A", "pads": []}}, r"pseudo\.pads"),
        ({"pseudo": {"teacher": "A", "loss": "focal"}}, "'focal' is not a loss"),
        ({"loss": "kl"}, "loss: kl needs network.activation softmax, not sigmoid"),
        ({"multitask": True, "noisy_loss": "kl"}, "noisy_loss: kl needs network.activation softmax, not sigmoid"),
        (
            {"pseudo": {"teacher": "A", "loss": "kl"}},
            r"pseudo\.loss: kl needs network\.activation softmax",
        ),
        (
            {"network": {"kind": "resnet", "activation": "softmax"}, "loss": "bce_twice"},
            r"loss: bce_twice needs network\.activation sigmoid, not softmax",
        ),
        ({"pseudo": {}}, r"pseudo\.teacher\n  Field required"),
        ({"pseudo": {"teacher": "A", "folds": "other"}}, r"pseudo\.folds"),
        ({"pseudo": {"teacher": "A", "weight": 0.0}}, r"pseudo\.weight"),
        ({"pseudo": {"teacher": "A", "rounds": 0}}, r"pseudo\.rounds"),
        ({"pseudo": {"teacher": "A", "own_label": 0.5}}, r"pseudo\.own_label"),
        (
            {"pseudo": {"teacher": "A", "rounds": 2, "folds": "crossed"}},
            "rounds above 1 don't go with 'folds: crossed'",
        ),
        ({"distill": {"teachers": []}}, r"distill\.teachers"),
        ({"distill": {"teachers": ["A", "A"]}}, "a condition is named twice in A, A"),
        ({"distill": {"teachers": ["A"], "share": 0.0}}, r"distill\.share"),
        ({"distill": {"teachers": ["A"]}, "pseudo": {"teacher": "A"}}, "distill and pseudo both say"),
        ({"distill": {"teachers": ["A"]}, "semi": {"method": "mixmatch"}}, "distill and semi both say"),
        ({"pseudo": {"teacher": "A", "power": 0.0}}, r"pseudo\.temperature"),
        ({"pseudo": {"teacher": "A", "power": 2.0, "temperature": 2.0}}, "two names of one setting"),
        ({"augment": {"mixpu": {}}}, "'mixpu' is not an augmentation"),
        ({"augment": {"gain": {"p": 2}}}, r"'gain\.p' is a probability"),
        ({"augment": {"gain": 0.5}}, r"augment\.gain"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainSettings.model_validate(changes)


@pytest.mark.parametrize(
    ("kind", "augmentation", "inputs"),
    [("resnet", "bc_mix", "waveform"), ("resnet", "gain_db", "waveform"), ("envnet", "frequency_mask", "mel")],
)
def test_augmentations_of_another_input_are_refused(kind: str, augmentation: str, inputs: str) -> None:
    with pytest.raises(
        ValidationError, match=rf"augment\.{augmentation} works on {inputs}, not on the input of {kind}"
    ):
        TrainSettings.model_validate({"network": {"kind": kind}, "crop": 30_000, "augment": {augmentation: {}}})


def test_the_network_decides_the_features() -> None:
    assert TrainSettings().feature_kind == "mel"
    assert TrainSettings(network=EnvNetSettings(), crop=30_000).feature_kind == "waveform"


def test_equal_learning_rates_are_allowed() -> None:
    assert TrainSettings(lr_max=1e-3, lr_min=1e-3).lr_min == 1e-3


def test_every_declared_loss_can_be_chosen() -> None:
    for name, declared in LOSSES.items():
        network = ResNetSettings(activation=declared.needs or "softmax")
        pseudo = PseudoSettings(teacher="A", loss=name)
        assert TrainSettings(network=network, loss=name, noisy_loss=name, pseudo=pseudo).loss == name


def test_power_is_another_name_of_temperature() -> None:
    fields = {"teacher": "A", "rounds": 3}
    named = [PseudoSettings.model_validate({**fields, name: 1.5}) for name in ("power", "temperature")]
    assert named[0] == named[1]
    assert named[0].model_dump()["temperature"] == 1.5


def test_settings_are_frozen() -> None:
    settings = TrainSettings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.crop = 3  # type: ignore[misc]


def test_settings_survive_being_written_and_read() -> None:
    settings = TrainSettings.model_validate(
        {
            "augment": {"gain": {"p": 1}, "mixup": {}},
            "pseudo": {"teacher": "A"},
            "network": {"kind": "resnet", "width": 8},
        }
    )
    assert TrainSettings.model_validate_json(settings.model_dump_json()) == settings
    assert list(settings.augment) == ["mixup", "gain"]
    # What is left out and what is written out is the same condition.
    assert TrainSettings(augment={"gain": {}}) == TrainSettings(augment={"gain": {"p": 0.5, "low": 0.8, "high": 1.2}})


@pytest.mark.parametrize("pads", [[8, 32], (8, 32)])
def test_pads_may_be_a_yaml_list(pads: Any) -> None:
    assert PredictSettings.model_validate({"pads": pads}).pads == (8, 32)
    assert PredictSettings.model_validate({"pads": [0]}).pads == (0,)


@pytest.mark.parametrize("pads", [[8, 8], [8, -1], [], ["8"], [8.0], [True], "8", 8, None])
def test_other_pads_are_refused(pads: Any) -> None:
    with pytest.raises(ValidationError, match="pads"):
        PredictSettings.model_validate({"pads": pads})

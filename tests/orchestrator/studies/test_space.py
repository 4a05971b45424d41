"""What `--space` says."""

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from features.errors import InputError
from orchestrator.studies.space import read_space, rounded, trial_name


@pytest.mark.parametrize(
    ("text", "path", "distribution"),
    [
        ("lr_max=log:1e-4..1e-2", "lr_max", FloatDistribution(1e-4, 1e-2, log=True)),
        ("noisy_weight=0.5..2", "noisy_weight", FloatDistribution(0.5, 2)),
        ("epochs=10..40", "epochs", IntDistribution(10, 40)),
        ("batch_size=log:8..128", "batch_size", IntDistribution(8, 128, log=True)),
        ("network.width=8,16,32", "network.width", CategoricalDistribution(["8", "16", "32"])),
        ("loss=bce, lsep", "loss", CategoricalDistribution(["bce", "lsep"])),
    ],
)
def test_forms(text: str, path: str, distribution: BaseDistribution) -> None:
    assert read_space([text]) == {path: distribution}


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["lr_max"], "write SETTING=LOW..HIGH"),
        (["=1..2"], "write SETTING=LOW..HIGH"),
        (["a b=1..2"], "write SETTING=LOW..HIGH"),
        (["lr_max=1..2", "lr_max=1..3"], "lr_max is there twice"),
        (["lr_max=1e-3"], "give a range LOW..HIGH or two choices or more"),
        (["lr_max=a,,b"], "give a range LOW..HIGH or two choices or more"),
        (["lr_max=lin:1..2"], "lin is no scale"),
        (["lr_max=2..1"], "two numbers, the smaller one first"),
        (["lr_max=log:0..1"], "both above 0"),
        (["lr_max=x..y"], "two numbers, the smaller one first"),
        (["lr_max=nan..1"], "two numbers, the smaller one first"),
        (["epochs=4..4"], "there is nothing to search"),
        ([], "--space is missing"),
    ],
)
def test_other_forms_are_refused(texts: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_space(texts)


def test_names_say_the_settings_exactly() -> None:
    settings = {"lr_max": 0.00123, "network.width": "16", "epochs": 10, "ema": 0.5, "noisy_weight": 2.0}
    assert trial_name(settings) == "lr_max-123e-5_width-16_epochs-10_ema-5e-1_noisy_weight-2"
    assert trial_name({"a.x": 1, "b.x": 2}) == "a_x-1_b_x-2"
    long = trial_name({f"setting_{number}": number for number in range(20)})
    assert len(long) <= 60
    assert long != trial_name({f"setting_{number}": number + 1 for number in range(20)})


def test_values_have_three_digits_within_the_range() -> None:
    assert rounded(0.00123456, FloatDistribution(1e-4, 1e-2)) == 0.00123
    assert rounded(0.0123456, FloatDistribution(0.01234, 0.0124)) == 0.01234
    assert rounded(17, IntDistribution(1, 20)) == 17
    assert rounded("bce", CategoricalDistribution(["bce", "lsep"])) == "bce"

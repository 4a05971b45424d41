"""Grid files: inheritance, defaults, and one sentence for every mistake."""

import re
from pathlib import Path

import pytest

from features.errors import GridError
from orchestrator.grids.load import (
    VOCABULARY,
    WAVEFORM_NETWORKS,
    change_recipe,
    grid_names,
    load_grid,
    settings_of,
)
from orchestrator.report.gains import linear_condition
from orchestrator.run.fit import fit_recipe
from tests.fixtures.manifests import manifest_of
from trainers.settings import NETWORKS, SEMI_METHODS

GRID = """
name: tiny
data: {folds: 2}
features: {mel: {n_mels: 32}}
defaults:
  network: {kind: resnet, depth: 10, width: 8}
  lr_max: 1e-3
  augment: {mixup: {}, gain: {low: 0.9}}
conditions:
  plain: {}
  A: {base: plain, multitask: true, augment: {frequency_mask: {}, gain: {high: 1.1}}}
  B: {base: A, init_from: plain, pseudo: {teacher: A}, augment: {mixup: false}}
  D: {network: {kind: envnet, width: 4}, crop: 30_000, augment: null, predict: {pads: [0]}}
"""


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(GRID, encoding="utf-8")
    return path


def test_rows_inherit_from_base_and_defaults(grid: Path) -> None:
    recipe = load_grid(str(grid))
    a, b, d = (recipe.conditions[name] for name in "ABD")
    assert a.train.multitask
    assert a.train.augment["gain"] == {"p": 0.5, "low": 0.9, "high": 1.1}
    assert list(b.train.augment) == ["frequency_mask", "gain"], "false drops an inherited augmentation"
    assert b.train.pseudo is not None
    assert b.train.pseudo.weight == 20.0
    assert d.train.augment == {}
    assert (d.features.kind, a.features.kind) == ("waveform", "mel")
    assert a.features.n_mels == 32  # type: ignore[union-attr]
    assert recipe.conditions["plain"].train.lr_max == pytest.approx(1e-3), "1e-3 is a number, whatever YAML 1.1 says"


def test_a_rescue_is_of_its_own_row_alone(tmp_path: Path) -> None:
    """That a fold of A has diverged says nothing about C, which is based on it and has fewer epochs."""
    path = tmp_path / "grid.yaml"
    path.write_text("name: t\nconditions: {A: {cycles: 2, epochs: 8}, C: {base: A, epochs: 4}}", encoding="utf-8")
    recipe = load_grid(str(path), ["conditions.A.rescue.0={after: 12, lr_factor: 0.1}"])
    assert list(recipe.conditions["A"].train.rescue) == ["0"]
    assert not recipe.conditions["C"].train.rescue


def test_semi_supervised_methods_are_rows_like_others(grid: Path) -> None:
    rows = [
        "conditions.M={base: A, semi: {method: mean_teacher, decay: 0.99}}",
        "conditions.N={base: M, semi: {weight: 2}}",
        "conditions.X={base: M, semi: {method: mixmatch}}",
        "conditions.P={base: M, semi: null}",
    ]
    conditions = load_grid(str(grid), rows).conditions
    shown = {name: condition.train.semi and condition.train.semi.model_dump() for name, condition in conditions.items()}
    assert shown["A"] is None
    assert shown["M"] == {"method": "mean_teacher", "decay": 0.99, "weight": 100.0, "ramp_epochs": 80.0}
    assert shown["N"] == {"method": "mean_teacher", "decay": 0.99, "weight": 2.0, "ramp_epochs": 80.0}
    assert shown["X"] is not None, "another method inherits no field of the first"
    assert shown["X"]["method"] == "mixmatch"
    assert shown["P"] is None


def test_a_crop_is_one_length_or_several(grid: Path) -> None:
    recipe = load_grid(str(grid), ["conditions.A.crop=[512, 256]", "conditions.plain.crop=512"])
    assert recipe.conditions["A"].train.crop == (256, 512)
    assert recipe.conditions["plain"].train.crop == 512
    assert settings_of(recipe.conditions["A"])["train.crop"] == [256, 512]


def test_seresnext_reads_mel(grid: Path) -> None:
    condition = load_grid(str(grid), ["conditions.plain.network={kind: seresnext, width: 8}"]).conditions["plain"]
    assert condition.features.kind == "mel"
    assert condition.train.network.model_dump() == {
        "kind": "seresnext", "width": 8, "head_units": 1024, "activation": "sigmoid", "normalise": "clip"
    }  # fmt: skip


def test_shipped_grids_are_valid() -> None:
    assert {"default", "demo", "esc10", "small"} <= set(grid_names())
    for name in grid_names():
        assert load_grid(name).name == name


@pytest.mark.parametrize("name", ["default", "demo", "esc10", "small"])
def test_grids_for_small_data_have_a_linear_condition_as_a_member(name: str) -> None:
    recipe = load_grid(name)
    assert linear_condition(recipe) == "linear"
    assert "linear" in recipe.blended
    if name != "demo":  # two folds
        assert recipe.data.stratify


def test_small_serves_data_with_noisy_clips_too() -> None:
    """Without them its networks are those of three seeds."""
    recipe = load_grid("small")
    assert load_grid("esc10").conditions == recipe.conditions
    assert load_grid("esc10").data.group_by == "group"
    fitted, (sentence,) = fit_recipe(recipe, manifest_of([0, 1, 2, 3, 4], noisy=0))
    assert sentence == "no noisy clips: A, B, L are trained without multitask, pseudo"
    cnn = fitted.conditions["cnn"]
    for name, seed in (("cnn", 0), ("A", 1), ("B", 2)):
        train = cnn.train.model_copy(update={"seed": seed})
        assert fitted.conditions[name] == cnn.model_copy(update={"train": train})
    assert fit_recipe(recipe, manifest_of([0, 1, 2, 3, 4], noisy=2)) == (recipe, ())


def test_set_changes_one_setting(grid: Path) -> None:
    recipe = load_grid(str(grid), ["conditions.A.epochs=3", "blend.trials=7", "defaults.network.width=4"])
    assert recipe.conditions["A"].train.epochs == 3
    assert recipe.conditions["B"].train.epochs == 3
    assert recipe.conditions["plain"].train.epochs == 64
    assert recipe.blend.trials == 7
    assert recipe.conditions["plain"].train.network.width == 4


def test_a_setting_of_all_rows_belongs_to_the_defaults(grid: Path) -> None:
    with pytest.raises(GridError) as caught:
        load_grid(str(grid), ["epochs=2"])
    assert str(caught.value) == ("--set epochs=2: 'epochs' is not a field of a grid; did you mean 'defaults.epochs=2'?")
    with pytest.raises(GridError, match=r"--set epochs=2: .* 'conditions\.NAME\.epochs=2'"):
        change_recipe(load_grid(str(grid)), ["epochs=2"])


def test_every_network_and_method_has_its_words() -> None:
    for settings in (*NETWORKS, *SEMI_METHODS):
        assert settings.model_fields.keys() <= set(VOCABULARY)
    assert WAVEFORM_NETWORKS == ["envnet"]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("conditions.A.epocs=3", ["conditions.A.epocs", "did you mean 'epochs'"]),
        ("conditions.A.epochs=-3", ["conditions.A.epochs", "-3", "greater than or equal to 1"]),
        ("conditions.A.epochs=many", ["conditions.A.epochs", "'many'", "integer"]),
        ("conditions.A.epochs=true", ["conditions.A.epochs", "True", "integer"]),
        ("conditions.A.network.widht=3", ["conditions.A.network.widht", "did you mean 'width'"]),
        ("conditions.A.network.kind=transformer", ["conditions.A.network", "kind"]),
        ("conditions.A.network.depth=50", ["conditions.A.network.depth", "50"]),
        ("conditions.A.lr_min=1.0", ["lr_min", "lr_max"]),
        ("conditions.A.lr_max=.nan", ["conditions.A.lr_max", "nan"]),
        ("conditions.A.base=C", ["conditions.A.base", "'C'"]),
        ("conditions.plain.base=B", ["base leads back to itself"]),
        ("conditions.B.pseudo.teacher=Z", ["conditions.B.pseudo.teacher", "'Z'", "plain"]),
        ("conditions.A.init_from=B", ["circle"]),
        ("conditions.D.init_from=plain", ["conditions.D.init_from", "another network"]),
        ("conditions.A.augment.mixup.alfa=1", ["mixup.alfa", "alpha"]),
        ("conditions.A.augment.mixdown={}", ["mixdown", "mixup"]),
        ("conditions.A.augment.mixup.p=2", ["mixup.p", "0..1"]),
        ("conditions.D.augment={gain: {}}", ["augment.mixup", "mel", "envnet"]),
        ("conditions.A.loss=huber", ["loss", "huber", "bce"]),
        ("conditions.plain.predict.heads=[curated, noisy]", ["predict.heads", "multitask"]),
        ("conditions.D.crop=20_000", ["crop 20000", "20570"]),
        ("conditions.A.semi={method: mean_teecher}", ["conditions.A.semi", "mean_teecher", "'mean_teacher'"]),
        ("conditions.A.semi={decay: 0.9}", ["conditions.A.semi", "method"]),
        ("conditions.A.semi={method: mean_teacher, deccay: 0.9}", ["conditions.A.semi.deccay", "did you mean 'decay'"]),
        ("conditions.A.semi={method: mixmatch, view: 2}", ["conditions.A.semi.view", "did you mean 'views'"]),
        ("conditions.A.semi={method: mean_teacher, decay: 1}", ["conditions.A.semi.decay", "less than 1"]),
        ("conditions.A.semi={method: pseudo_label, ramp_start: 600}", ["semi.ramp_start", "512 epochs"]),
        ("conditions.D.crop=[30_000, 20_000]", ["crop 20000", "20570"]),
        ("conditions.A.crop=[256, many]", ["conditions.A.crop", "[256, 'many']", "whole number"]),
        ("conditions.A.padding=reflect", ["conditions.A.padding", "'reflect'", "'repeat'"]),
        ("conditions.A.network.normalize=clip", ["conditions.A.network.normalize", "did you mean 'normalise'"]),
        ("conditions.A.network={kind: seresnext, depth: 50}", ["conditions.A.network.depth"]),
        ("conditions.A.loss=kl", ["loss", "kl", "softmax"]),
        ("conditions.Q.epochs=3", ["there is no condition 'Q'"]),
        ("conditions.A.predict.pads=[8, 8]", ["pads", "distinct"]),
        ("conditions.A.predict.pads=[]", ["pads"]),
        ("conditions.A=3", ["conditions.A", "mapping"]),
        ("data.fold=3", ["data.fold", "did you mean 'folds'"]),
        ("data.folds=1", ["data.folds", "1", "greater than or equal to 2"]),
        ("foo=3", ["'foo'"]),
        ("name=../x", ["name", "../x"]),
        ("members=[A, X]", ["members", "'X'"]),
        ("conditions={}", ["conditions"]),
        ("features.mfcc={}", ["features.mfcc", "mel"]),
        ("features.mel.n_mels=lots", ["n_mels", "'lots'"]),
        ("epochs", ["path=value"]),
    ],
)
def test_every_mistake_is_one_sentence_that_names_the_field(grid: Path, setting: str, words: list[str]) -> None:
    with pytest.raises(GridError) as caught:
        load_grid(str(grid), [setting])
    sentence = str(caught.value)
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("name: a\nname: b\n", "given twice"),
        ("a: &x [1]\nb: *x\n", "aliases"),
        ("- 1\n- 2\n", "mapping"),
        ("name: [\n", "not YAML"),
        ("", "mapping"),
        ("name: t\nconditions: [1]\n", "conditions must be a mapping"),
        ("1: 2\n", "is not a name"),
        ("name: t\nconditions: {A: {network: !!python/object/apply:os.system [ls]}}\n", "tags .* are not allowed"),
        ("[" * 3000, "nested too deeply"),
    ],
)
def test_hostile_yaml_is_refused(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(GridError, match=word):
        load_grid(str(path))


def test_unknown_grid_names_the_nearest() -> None:
    with pytest.raises(GridError, match="did you mean 'demo'"):
        load_grid("dmeo")


def test_a_changed_default_changes_the_recipe_not_only_a_changed_grid(grid: Path) -> None:
    dumped = load_grid(str(grid)).model_dump()
    assert dumped["conditions"]["plain"]["train"]["lr_min"] == 1e-6, "defaults are part of the recipe"


LAYERED = """
name: layered
base: demo
defaults: {seed: 5}
conditions: {B: {epochs: 3}}
overlays:
  all: [other-gain, no-mixup]
  other-gain: {conditions: {A: {augment: {gain: {low: 0.9}}}}}
  no-mixup: {conditions: {A: {augment: {mixup: false}}, B: {pseudo: false}}}
  loop: [loop]
  text: nonsense
"""


@pytest.fixture
def layered(tmp_path: Path) -> str:
    path = tmp_path / "layered.yaml"
    path.write_text(LAYERED, encoding="utf-8")
    return str(path)


def test_a_grid_changes_its_base(layered: str) -> None:
    demo, recipe = load_grid("demo"), load_grid(layered)
    assert recipe.name == "layered"
    assert recipe.conditions.keys() == demo.conditions.keys()
    assert {condition.train.seed for condition in recipe.conditions.values()} == {5}
    assert recipe.conditions["B"].train.epochs == 3
    assert recipe.conditions["A"].train.model_copy(update={"seed": 0}) == demo.conditions["A"].train


def test_overlays_change_what_they_name_and_false_drops(layered: str) -> None:
    plain = load_grid(layered)
    gain = load_grid(layered, overlays=["other-gain"])
    assert gain.conditions["A"].train.augment["gain"]["low"] == 0.9
    assert "mixup" in gain.conditions["A"].train.augment
    everything = load_grid(layered, overlays=["all"])
    assert everything.conditions["A"].train.augment["gain"]["low"] == 0.9
    assert "mixup" not in everything.conditions["A"].train.augment
    assert plain.conditions["B"].train.pseudo is not None
    assert everything.conditions["B"].train.pseudo is None
    assert everything.conditions["D"] == plain.conditions["D"]


def test_settings_on_the_command_line_come_after_overlays(layered: str) -> None:
    recipe = load_grid(layered, ["conditions.A.augment.gain.low=0.95"], ["other-gain"])
    assert recipe.conditions["A"].train.augment["gain"]["low"] == 0.95


@pytest.mark.parametrize(
    ("overlay", "sentence"),
    [
        ("other-gian", "there is no overlay 'other-gian'; did you mean 'other-gain'?"),
        ("loop", "overlays.loop must be changes to the grid or a list of other overlays"),
        ("text", "overlays.text must be changes"),
    ],
)
def test_wrong_overlays_are_refused(layered: str, overlay: str, sentence: str) -> None:
    with pytest.raises(GridError, match=re.escape(sentence)):
        load_grid(layered, overlays=[overlay])


def test_a_base_is_a_grid_that_ships(tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    path.write_text("{name: g, base: dema}", encoding="utf-8")
    with pytest.raises(GridError, match=r"base: 'dema' is not a grid that ships with sonogrid; did you mean 'demo'"):
        load_grid(str(path))


def test_without_overlays_asked_for_they_do_nothing_and_a_grid_without_any_says_so() -> None:
    with pytest.raises(GridError, match=r"there is no overlay 'released'"):
        load_grid("demo", overlays=["released"])

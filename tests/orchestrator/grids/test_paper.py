"""The grid `paper` against the tables of docs/paper.md, and one real step of each of its conditions at full size."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from features.assumed import assumed_manifest
from orchestrator.grids.ensembles import Member, ensemble_members, ensemble_weights
from orchestrator.grids.load import load_grid
from orchestrator.grids.recipe import Recipe
from trainers.checkpoints import snapshot_path
from trainers.clips import ClipBank, MemoryClips
from trainers.history import read_history
from trainers.loop import FoldClips, TrainJob, train
from trainers.network import Tagger, parameter_count
from trainers.predict import predict
from trainers.schedule import steps_per_epoch
from trainers.settings import TrainSettings
from trainers.streams import Pool, Stream
from trainers.weights import load_snapshot

CLASSES = 80
AUGMENTED = {"mixup", "frequency_mask", "gain"}
WAVE = {"scale", "bc_mix", "gain_db"}
# condition: kind, cycles, epochs, crop, batch, augmentations, multitask, soft labels of, starts from
TABLE = {
    "c1": ("resnet", 1, 512, 512, 64, set(), False, None, None),
    "c2": ("resnet", 1, 512, 512, 64, AUGMENTED, False, None, None),
    "c3": ("resnet", 8, 64, 512, 64, AUGMENTED, False, None, None),
    "A": ("resnet", 8, 64, 512, 64, AUGMENTED, True, None, None),
    "B": ("resnet", 7, 64, 512, 32, AUGMENTED | {"additional_crop"}, True, "all", "c1"),
    "c6": ("resnet", 7, 64, 512, 32, AUGMENTED | {"additional_crop"}, True, "same", "c1"),
    "C": ("resnet", 6, 64, 1024, 64, AUGMENTED, True, None, None),
    "c8": ("envnet", 1, 400, 133_300, 16, WAVE, True, None, None),
    "D": ("envnet", 3, 80, 133_300, 64, WAVE, True, None, "c8"),
    "E": ("envnet", 5, 80, 133_300, 16, WAVE, True, None, "c8"),
    "F": ("envnet", 10, 80, 200_000, 16, WAVE, True, None, None),
}


@pytest.fixture(scope="module")
def paper() -> Recipe:
    return load_grid("paper")


@cache
def overlaid(name: str) -> Recipe:
    return load_grid("paper", overlays=[name])


def members_of(recipe: Recipe, ensemble: str) -> tuple[Member, ...]:
    return ensemble_members(recipe.ensembles[ensemble], recipe.conditions)


def test_there_are_11_conditions_and_5_folds(paper: Recipe) -> None:
    assert list(paper.conditions) == list(TABLE)
    assert len(paper.conditions) * paper.data.folds == 55
    assert (paper.data.fold_seed, paper.data.group_by, paper.data.stratify) == (42, None, False)


@pytest.mark.parametrize("name", TABLE)
def test_rows_are_as_printed(paper: Recipe, name: str) -> None:
    train = paper.conditions[name].train
    labels = train.pseudo.folds if train.pseudo else None
    row = (
        train.network.kind, train.cycles, train.epochs, train.crop, train.batch_size, set(train.augment),
        train.multitask, labels, train.init_from,
    )  # fmt: skip
    assert row == TABLE[name]
    if train.pseudo is not None:
        assert (train.pseudo.teacher, train.pseudo.weight, train.pseudo.temperature) == ("A", 20.0, 2.0)
        assert train.pseudo.loss == "mse"


@pytest.mark.parametrize("name", TABLE)
def test_optimizers_rates_losses_and_pads(paper: Recipe, name: str) -> None:
    condition = paper.conditions[name]
    train = condition.train
    wave = train.network.kind == "envnet"
    assert (train.optimizer, train.lr_max, train.lr_min) == (("sgd", 1e-1, 1e-6) if wave else ("adam", 1e-3, 1e-6))
    softmax = name in ("c8", "E", "F")
    assert train.network.activation == ("softmax" if softmax else "sigmoid")
    assert train.loss == train.noisy_loss == ("kl_mean" if softmax else "bce")
    assert condition.predict.pads == ((8_000, 32_000) if wave else (8, 32))
    assert condition.predict.heads == ("curated",)
    assert not train.precise_bn
    assert train.noisy_weight == 1.0
    read = condition.predict
    assert (read.part, read.align, read.pad_to, read.patience) == ("whole", "left", "own", 0.1)
    assert condition.cv == ("last" if name == "c8" else "best"), "Table 2: #8 is of the last epoch"


def test_where_the_paper_says_nothing_the_released_code_decides(paper: Recipe) -> None:
    for name, condition in paper.conditions.items():
        assert condition.train.noisy == "all", name
        assert not condition.train.validate_noisy, name
    pseudo = paper.conditions["B"].train.pseudo
    assert pseudo is not None
    assert (pseudo.labels, pseudo.pads, pseudo.partners) == ("soft", (0,), "balanced")


def test_augmentations_have_the_papers_values(paper: Recipe) -> None:
    mel = paper.conditions["B"].train.augment
    assert mel["mixup"] == {"p": 0.5, "alpha": 1.0}
    assert mel["frequency_mask"] == {"p": 0.5, "low": 8, "high": 32}
    assert mel["gain"] == {"p": 0.5, "low": 0.8, "high": 1.2}
    assert mel["additional_crop"] == {"p": 0.5, "low": 0.25}
    wave = paper.conditions["F"].train.augment
    assert (wave["bc_mix"], wave["gain_db"], wave["scale"]["factor"]) == (
        {"p": 1.0}, {"p": 1.0, "range_db": 6.0}, 1.25,
    )  # fmt: skip


def test_features_are_the_papers(paper: Recipe) -> None:
    mel = paper.conditions["A"].features.model_dump(exclude={"shard_mb"})
    assert mel == {
        "kind": "mel", "sample_rate_hz": 44_100, "n_mels": 128, "n_fft_samples": 2_560, "hop_samples": 347,
        "fmin_hz": 20.0, "fmax_hz": 22_050.0,
    }  # fmt: skip
    assert paper.conditions["D"].features.sample_rate_hz == 44_100


def test_networks_have_the_papers_parameters(paper: Recipe) -> None:
    def count(name: str, *, noisy_head: bool) -> int:
        with torch.device("meta"):
            return parameter_count(Tagger(paper.conditions[name].train.network, CLASSES, noisy_head=noisy_head))

    assert count("c8", noisy_head=False) == 4_128_912
    assert count("D", noisy_head=True) == 7_882_976
    assert count("A", noisy_head=True) == 24_592_224


def test_ensembles_have_the_papers_members_and_predictions(paper: Recipe) -> None:
    first = {"A": [2, 4, 7, 8], "B": [1, 2, 6, 7], "C": [2, 4, 6], "D": [2, 3], "E": [3, 5], "F": [7, 9]}
    second = {"A": [2, 4, 7, 8], "B": [1, 2, 4, 6, 7], "C": [2, 4, 6], "D": [2, 3], "E": [3, 5], "F": [6, 7, 9]}
    for name, cycles, pads, predictions in (("submission-1", first, 2, 170), ("submission-2", second, 1, 95)):
        members = members_of(paper, name)
        assert {
            m.condition: sorted({n.cycle for n in members if n.condition == m.condition}) for m in members
        } == cycles
        assert len(members) == pads * sum(map(len, cycles.values()))
        assert paper.ensemble_predictions(name) == len(members) * 5 == predictions
    for name, count in {"A-all": 16, "B-all": 14, "C-all": 12, "D-all": 6, "E-all": 10, "F-all": 12}.items():
        assert len(members_of(paper, name)) == count
    assert len(members_of(paper, "A+B+C")) == 42
    assert len(members_of(paper, "D+E+F")) == 28


# Overlay, condition, path in its settings, paper's value, released code's value
SWITCHES = [
    ("released-noisy-loss", "A", "noisy_loss", "bce", "bce_twice"),
    ("released-noisy-loss", "B", "noisy_loss", "bce", "bce_twice"),
    ("released-noisy-loss", "D", "loss", "bce", "bce_twice"),
    ("released-noisy-loss", "D", "noisy_loss", "bce", "bce_twice"),
    ("released-gain", "A", "augment.gain.low", 0.8, 0.9),
    ("released-gain", "C", "augment.gain.high", 1.2, 1.1),
    ("released-frequency-mask", "A", "augment.frequency_mask.low", 8, None),
    ("released-frequency-mask", "A", "augment.frequency_mask_centred.high", None, 31),
    ("released-additional-crop", "B", "augment.additional_crop.p", 0.5, None),
    ("released-additional-crop", "c6", "augment.additional_crop_released.p", None, 0.5),
    ("released-additional-crop", "C", "augment.additional_crop_released.p", None, None),
    ("released-waveform-mixup", "D", "augment.bc_mix.p", 1.0, None),
    ("released-waveform-mixup", "F", "augment.bc_mix_released.p", None, 1.0),
    ("released-partners", "B", "pseudo.partners", "balanced", "uniform"),
    ("released-precision", "D", "precision", "bf16", "fp32"),
    ("released-init", "A", "network.init", "kaiming", "released"),
    ("released-init", "F", "network.init", "kaiming", "released"),
    ("released-B", "B", "batch_size", 32, 64),
    ("released-B", "B", "init_from", "c1", "A"),
    ("released-F", "F", "cycles", 10, 5),
    ("released-F", "F2", "init_from", None, "F"),
]


def value_of(recipe: Recipe, condition: str, path: str) -> object:
    value: object = recipe.conditions[condition].train.model_dump() if condition in recipe.conditions else None
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


@pytest.mark.parametrize(("overlay", "condition", "path", "paper_value", "released_value"), SWITCHES)
def test_released_behaviour_is_a_switch_of_its_own_and_part_of_one(
    paper: Recipe, overlay: str, condition: str, path: str, paper_value: object, released_value: object
) -> None:
    assert value_of(paper, condition, path) == paper_value
    assert value_of(overlaid(overlay), condition, path) == released_value
    assert value_of(overlaid("released"), condition, path) == released_value
    for other in {o for o, *_ in SWITCHES} - {overlay}:
        assert value_of(overlaid(other), condition, path) == paper_value, other


# Overlay, a condition that it changes, path in the condition's settings, value
TRIED = [
    ("time-mask", "A", "train.augment.time_mask.p", 0.5),
    ("time-warp", "A", "train.augment.time_warp.p", 0.5),
    ("mel-scale", "A", "train.augment.scale.factor", 1.25),
    ("mel-noise", "A", "train.augment.noise.p", 0.5),
    ("bands-64", "A", "features.n_mels", 64),
    ("bands-256", "c1", "features.n_mels", 256),
    ("rate-22050", "c8", "features.sample_rate_hz", 22_050),
    ("rate-22050", "D", "train.crop", 66_650),
    ("rate-22050", "F", "train.crop", 100_000),
    ("rate-22050", "E", "predict.pads", (4_000, 16_000)),
    ("mel-rate-22050", "A", "features.sample_rate_hz", 22_050),
    ("kl-by-clip", "E", "train.loss", "kl"),
    ("kl-by-clip", "F", "train.noisy_loss", "kl"),
    ("noisy-folds", "A", "train.noisy", "folds"),
    ("noisy-validation", "B", "train.validate_noisy", True),
    ("noisy-validation", "D", "train.validate_noisy", True),
    ("released-alignment", "D", "predict.align", "centre"),
    ("released", "F2", "predict.align", "centre"),
    ("released-batches", "A", "predict.pad_to", "longest"),
    ("released-batches", "D", "predict.patience", 0.2),
    ("released", "c1", "predict.pad_to", "longest"),
    ("predict-crops", "A", "predict.part", "crops"),
    ("predict-start", "F", "predict.part", "start"),
    ("predict-end", "c8", "predict.part", "end"),
    ("soft-label-pads", "c6", "train.pseudo.pads", (8, 32)),
    ("crop-256", "A", "train.crop", 256),
    ("crop-1024", "B", "train.crop", 1024),
    ("dataset-normalisation", "A", "train.network.normalise", "dataset"),
    ("temperature-1", "c6", "train.pseudo.temperature", 1.0),
    ("temperature-1.5", "B", "train.pseudo.temperature", 1.5),
    ("resnet-18", "C", "train.network.depth", 18),
    ("se-resnext-50", "B", "train.network.kind", "seresnext"),
    ("pseudo-label", "B", "train.pseudo.labels", "hard"),
    ("self-training", "B", "train.semi.method", "pseudo_label"),
    ("mean-teacher", "c6", "train.semi.method", "mean_teacher"),
    ("mixmatch", "B", "train.semi.method", "mixmatch"),
    ("mixed-crops", "A", "train.crop", (256, 512, 1024)),
    ("repeat-padding", "F", "train.padding", "repeat"),
    ("crossed-pseudo-labels", "c6", "train.pseudo.folds", "crossed"),
]


@pytest.mark.parametrize(("overlay", "condition", "path", "value"), TRIED)
def test_what_was_tried_or_left_open_is_an_overlay(
    paper: Recipe, overlay: str, condition: str, path: str, value: object
) -> None:
    def at(recipe: Recipe) -> object:
        found: object = recipe.conditions[condition].model_dump() if condition in recipe.conditions else None
        for part in path.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return found

    assert at(paper) != value
    changed = overlaid(overlay)
    assert at(changed) == value
    if "semi" in path:
        assert changed.conditions[condition].train.pseudo is None


def test_released_weights_pads_and_the_two_runs_of_f(paper: Recipe) -> None:
    released = overlaid("released")
    assert [paper.paper_weights[name] for name in "ABC"] == [3, 4, 3]
    assert [released.paper_weights[name] for name in "ABC"] == [4, 3, 3]
    assert released.conditions["A"].predict.pads == (8, 64)
    assert released.conditions["D"].predict.pads == (0, 8_000, 32_000)
    pads = {"submission-1": {0, 32_000}, "submission-2": {8_000}, "D-all": {8_000, 32_000}, "D+E+F": {8_000, 32_000}}
    for name, wanted in pads.items():
        assert {m.pad for m in members_of(released, name) if m.condition == "D"} == wanted, name
    assert released.conditions["E"].predict.pads == (8_000, 32_000)
    assert len(members_of(released, "submission-1")) * 5 == 170
    assert len(members_of(released, "submission-2")) * 5 == 95
    assert len(members_of(released, "F-all")) == 12
    second = {m.cycle for m in members_of(released, "submission-1") if m.condition == "F2"}
    assert second == {2, 4}, "the paper's cycles 7 and 9"


def test_rate_22050_leaves_mel_and_submissions_alone(paper: Recipe) -> None:
    changed = overlaid("rate-22050")
    assert changed.conditions["A"] == paper.conditions["A"]
    assert changed.ensemble_predictions("submission-2") == 95
    assert overlaid("mel-rate-22050").conditions["D"] == paper.conditions["D"]


@pytest.mark.parametrize("overlay", [None, "released"])
def test_both_submissions_have_their_members_pads_and_weights(overlay: str | None) -> None:
    """Numbers of predictions and weights of the paper's Table 3 and the released scripts, in full and in small."""
    overlays = [overlay] if overlay else []
    for recipe in (load_grid("paper", overlays=overlays), load_grid("paper-mini", overlays=overlays)):
        folds = recipe.data.folds
        counts = {name: recipe.ensemble_predictions(name) // folds for name in recipe.ensembles}
        assert (counts["submission-1"], counts["submission-2"]) == (34, 19)
        rows = ("A-all", "B-all", "C-all", "D-all", "E-all", "F-all", "A+C", "A+B+C", "D+E+F")
        assert [counts[row] for row in rows] == [16, 14, 12, 6, 10, 12, 28, 42, 28]
        for name in ("submission-1", "submission-2"):
            members = members_of(recipe, name)
            weights = ensemble_weights(recipe.ensembles[name], members)
            share: dict[str, float] = {}
            for member, weight in zip(members, weights, strict=True):
                letter = member.condition[0]
                share[letter] = share.get(letter, 0.0) + 13 * weight
            wanted = (4, 3, 3, 1, 1, 1) if overlay else (3, 4, 3, 1, 1, 1)
            assert share == pytest.approx(dict(zip("ABCDEF", wanted, strict=True)))


@pytest.mark.parametrize("name", TABLE)
def test_steps_and_clips_of_an_epoch_at_the_real_sizes(paper: Recipe, name: str) -> None:
    """4/5 of 4,970 curated clips: 63 steps of 64 clips, 125 of 32, 249 of 16 in each stream; 19,815 noisy clips."""
    manifest = assumed_manifest(paper.data)
    train = paper.conditions[name].train
    wanted = {64: 63, 32: 125, 16: 249}[train.batch_size]
    assert wanted == {"B": 125, "c6": 125, "c8": 249, "E": 249, "F": 249}.get(name, 63)
    for fold in range(5):
        assert int((manifest.subset("curated")["fold"] != fold).sum()) == 3_976
    assert steps_per_epoch(3_976, train.batch_size) == wanted
    assert train.noisy == "all"
    streams = {"curated": 3_976} | ({"noisy": 19_815} if train.multitask else {})
    for stream, clips in streams.items():
        seen = clips_of_an_epoch(stream, clips, train.batch_size, wanted)
        assert len(seen) == wanted * train.batch_size
        times = np.bincount(seen, minlength=clips)
        if stream == "curated":  # every clip once; the rest of the last batch begins the next pass
            assert (times.min(), times.max()) == (1, 2)
            assert (times == 2).sum() == wanted * train.batch_size - clips
        else:  # the noisy stream cycles on its own: an epoch is a part of a pass
            assert times.max() == 1


def clips_of_an_epoch(name: str, clips: int, batch_size: int, steps: int) -> NDArray[np.int64]:
    """Numbers of the clips that a stream draws in the steps of an epoch; each clip is one frame, its label a number."""
    bank = ClipBank(MemoryClips([np.ones((1, 1), np.float32)] * clips), torch.device("cpu"))
    pool = Pool(bank, np.arange(clips), torch.arange(clips).float()[:, None])
    stream = Stream(name, [pool], crop=1, batch_size=batch_size, augmentations={}, seed=0)
    return np.concatenate([stream.batch(step)[1][:, 0].long().numpy() for step in range(steps)])


def test_paper_mini_is_the_same_graph_with_two_folds(paper: Recipe) -> None:
    mini = load_grid("paper-mini")
    assert mini.data.folds == 2
    assert list(mini.conditions) == list(paper.conditions)
    for name, condition in paper.conditions.items():
        small = mini.conditions[name].train
        assert small.cycles == condition.train.cycles
        for field in ("augment", "multitask", "pseudo", "init_from", "loss", "noisy_loss", "optimizer"):
            assert getattr(small, field) == getattr(condition.train, field), (name, field)
    for name in paper.ensembles:
        assert [(m.condition, m.cycle) for m in members_of(mini, name)] == [
            (m.condition, m.cycle) for m in members_of(paper, name)
        ]


def clips(settings: TrainSettings, seed: int) -> FoldClips:
    """Three random clips of different lengths, one of them for validation."""
    rng = np.random.default_rng(seed)
    if settings.feature_kind == "mel":
        arrays = [rng.random((length, 128), dtype=np.float32) for length in (90, 600, 300)]
    else:
        arrays = [rng.integers(-9000, 9000, length, dtype=np.int16) for length in (30_000, 150_000, 60_000)]
    targets = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, 3)]
    return FoldClips(MemoryClips(arrays), targets, np.array([0, 1]), np.array([2]))


# One of each kind of job; `python -m benchmarks.full_size` takes all 11, and tells their memory.
@pytest.mark.parametrize("name", ["c6", "D", "E"])
def test_full_size_conditions_take_a_real_step(paper: Recipe, name: str, tmp_path: Path) -> None:
    condition = paper.conditions[name]
    settings = condition.train.model_copy(update={"batch_size": 2, "cycles": 1, "epochs": 1, "init_from": None})
    curated, noisy = clips(settings, 1), clips(settings, 2)
    soft = np.full((3, CLASSES), 1 / CLASSES, dtype=np.float32) if settings.pseudo else None
    assert train(TrainJob(settings, "0", CLASSES, curated, noisy, soft), tmp_path)
    (record,) = read_history(tmp_path)
    streams = {"curated"} | ({"noisy"} if settings.multitask else set()) | ({"pseudo"} if settings.pseudo else set())
    assert {key for key in record if key.startswith("loss_")} == {f"loss_{stream}" for stream in streams}
    assert all(np.isfinite(record[f"loss_{stream}"]) and record[f"loss_{stream}"] > 0 for stream in streams)
    moments = 2 if settings.optimizer == "adam" else 1
    weights, checkpoint = (
        (tmp_path / name).stat().st_size for name in ("snapshot-1.safetensors", "checkpoint.safetensors")
    )
    assert checkpoint == pytest.approx((1 + moments) * weights, rel=0.01)
    network = Tagger(settings.network, CLASSES, noisy_head=settings.multitask)
    load_snapshot(snapshot_path(tmp_path, 1), network)
    bank = ClipBank(curated.shards, torch.device("cpu"))
    scores = predict([network], bank, np.arange(3), condition.predict.pads)
    assert scores.shape == (1, 1, 2, 3, CLASSES)
    assert ((scores >= 0) & (scores <= 1)).all()
    if settings.network.activation == "softmax":
        np.testing.assert_allclose(scores.sum(axis=-1), 1.0, rtol=1e-5)

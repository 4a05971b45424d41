import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from trainers.network import Tagger, normalise, parameter_count
from trainers.resnet import ResNetTrunk
from trainers.settings import EnvNetSettings, ResNetSettings

SMALL = ResNetSettings(depth=10, width=4, head_units=8)
SMALL_ENV = EnvNetSettings(width=4, head_units=8)


def of_the_paper(settings: ResNetSettings | EnvNetSettings, *, noisy_head: bool) -> Tagger:
    with torch.device("meta"):
        return Tagger(settings, 80, noisy_head=noisy_head)


def decibels(power: NDArray[np.float32]) -> NDArray[np.float64]:
    """librosa's power_to_db of one clip, ref 1, floor 1e-10, top_db 80, then its own mean 0 and deviation 1."""
    db = 10 * np.log10(np.maximum(power.astype(np.float64), 1e-10))
    db = np.maximum(db, db.max() - 80)
    scaled: NDArray[np.float64] = (db - db.mean()) / (db.std() + 1e-7)
    return scaled


def test_parameter_counts_are_the_recipes() -> None:
    assert parameter_count(of_the_paper(EnvNetSettings(), noisy_head=False)) == 4_128_912
    assert parameter_count(of_the_paper(EnvNetSettings(), noisy_head=True)) == 7_882_976
    assert parameter_count(of_the_paper(ResNetSettings(), noisy_head=True)) == 24_592_224


def test_the_papers_resnet_count_counts_the_trunk_twice() -> None:
    network = of_the_paper(ResNetSettings(), noisy_head=False)
    trunk = network.trunk
    assert isinstance(trunk, ResNetTrunk)
    stem_conv = trunk.stem[0]
    assert isinstance(stem_conv, nn.Conv2d)
    one_head, again = parameter_count(network), parameter_count(trunk) - stem_conv.weight.numel()
    assert (one_head, again) == (22_935_312, 21_275_264)
    assert one_head + again == 44_210_576


def test_parameter_count_leaves_frozen_parameters_out() -> None:
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    assert parameter_count(layer) == 6


def test_a_head_is_two_hidden_layers_with_dropout() -> None:
    network = Tagger(ResNetSettings(depth=10, width=4, head_units=16), 5, noisy_head=True)
    for head in network.heads.values():
        assert isinstance(head, nn.Sequential)
        assert [type(layer).__name__ for layer in head] == ["Linear", "ReLU", "Dropout"] * 2 + ["Linear"]
        assert [layer.p for layer in head if isinstance(layer, nn.Dropout)] == [0.2, 0.1]
        shapes = [tuple(layer.weight.shape) for layer in head if isinstance(layer, nn.Linear)]
        assert shapes == [(16, 32), (16, 16), (5, 16)]


@pytest.mark.parametrize("training", [False, True])
def test_silence_gives_finite_scores(training: bool) -> None:
    resnet = Tagger(SMALL, 7, noisy_head=False).train(training)
    envnet = Tagger(SMALL_ENV, 7, noisy_head=False).train(training)
    for network, x in ((resnet, torch.zeros(2, 40, 64)), (envnet, torch.zeros(2, 21_000))):
        scores = network.scores(x)
        scores.sum().backward()
        assert scores.isfinite().all()
        assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("shape", [(1, 1, 16), (2, 7, 128), (3, 513, 64)])
@pytest.mark.parametrize("level", [-100.0, -37.123, 1 / 3])
def test_a_constant_sample_becomes_exact_zeros(shape: tuple[int, int, int], level: float) -> None:
    assert not normalise(torch.full(shape, level)).any()


def test_power_becomes_normalised_decibels_clip_by_clip() -> None:
    rng = np.random.default_rng(0)
    power = (10 ** rng.uniform(-14, 3, (4, 50, 64))).astype(np.float32)
    power[1] *= 1e-6  # quiet: the floor of 1e-10 cuts, not the 80 dB
    power[2, :, 30:] = 0
    wanted = np.stack([decibels(clip) for clip in power]).astype(np.float32)
    network = Tagger(SMALL, 7, noisy_head=False).eval()
    seen: list[torch.Tensor] = []
    network.trunk.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    logits = network(torch.from_numpy(power))
    np.testing.assert_allclose(seen[0], wanted, atol=2e-5)
    for index in range(4):  # a clip's numbers do not depend on its neighbours
        np.testing.assert_allclose(
            network(torch.from_numpy(power[index : index + 1]))[0].detach(), logits[index].detach(), atol=1e-5
        )


def test_envnet_sees_samples_as_they_are() -> None:
    network = Tagger(SMALL_ENV, 7, noisy_head=False).eval()
    x = torch.randn(1, 21_000)
    torch.testing.assert_close(network(x), network.heads["curated"](network.trunk(x)), rtol=0, atol=0)


def test_heads_share_the_trunk_and_nothing_else() -> None:
    network = Tagger(SMALL, 7, noisy_head=True).eval()
    x = torch.rand(2, 20, 64)
    curated, noisy = network(x), network(x, "noisy")
    assert not torch.allclose(curated, noisy)
    torch.testing.assert_close(network(x, "curated"), curated, rtol=0, atol=0)
    noisy.sum().backward()
    assert all(p.grad is None for p in network.heads["curated"].parameters())
    assert all(p.grad is not None for p in network.trunk.parameters())
    with pytest.raises(KeyError):
        Tagger(SMALL, 7, noisy_head=False)(x, "noisy")


@pytest.mark.parametrize("settings", [SMALL, SMALL_ENV], ids=["resnet", "envnet"])
def test_scores_are_sigmoid_or_softmax(settings: ResNetSettings | EnvNetSettings) -> None:
    x = torch.rand(3, 40, 64) if settings.kind == "resnet" else torch.randn(3, 21_000)
    sigmoid = Tagger(settings, 7, noisy_head=False).eval()
    logits = sigmoid(x).detach().double().numpy()
    np.testing.assert_allclose(sigmoid.scores(x).detach(), 1 / (1 + np.exp(-logits)), rtol=1e-5)
    softmax = Tagger(settings.model_copy(update={"activation": "softmax"}), 7, noisy_head=False).eval()
    logits = softmax(x).detach().double().numpy()
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(softmax.scores(x).detach(), shares, rtol=1e-5)


def spread(module: nn.Module) -> float:
    assert isinstance(module, nn.Conv2d)
    return float(module.weight.detach().std())


def test_released_initial_weights_are_torchs_default_where_the_authors_left_it() -> None:
    """The default is uniform in +-1 / sqrt(fan in). It is wider for a stem and narrower for EnvNet."""
    torch.manual_seed(0)
    stems = {}
    for init in ("kaiming", "released"):
        trunk = Tagger(ResNetSettings(depth=10, width=64, init=init), 3, noisy_head=False).trunk  # type: ignore[arg-type]
        assert isinstance(trunk, ResNetTrunk)
        stems[init] = spread(trunk.stem[0])
        block = next(trunk.stages.children())
        assert spread(block.conv1) == pytest.approx(np.sqrt(2 / (64 * 9)), rel=0.02)  # type: ignore[arg-type]
    assert stems["kaiming"] == pytest.approx(np.sqrt(2 / (64 * 49)), rel=0.05)
    assert stems["released"] == pytest.approx(1 / np.sqrt(3 * 49), rel=0.05)
    assert stems["kaiming"] / stems["released"] == pytest.approx(0.306, rel=0.1)
    for module in Tagger(EnvNetSettings(init="released"), 3, noisy_head=False).trunk.modules():
        if isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            assert spread(module) == pytest.approx(1 / np.sqrt(3 * fan_in), rel=0.1)
            assert np.sqrt(2 / fan_in) / spread(module) == pytest.approx(np.sqrt(6), rel=0.1), "2.45"

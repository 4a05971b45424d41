"""Networks without batch norms compute what they computed with them."""

import pytest
import torch
from torch import nn

from trainers.folded import fold_norms
from trainers.network import Tagger
from trainers.network_settings import EnvNetSettings, NetworkSettings, ResNetSettings, SEResNeXtSettings


@pytest.mark.parametrize(
    "settings",
    [
        ResNetSettings(kind="resnet", depth=10, width=4, statistics=("mean",)),
        SEResNeXtSettings(kind="seresnext", width=8),
        EnvNetSettings(kind="envnet", width=4),
    ],
)
def test_scores_stay_the_same(settings: NetworkSettings) -> None:
    torch.manual_seed(0)
    network = Tagger(settings, 3, noisy_head=False, bands=16)
    x = torch.rand(2, 20_600) - 0.5 if settings.reads == "waveform" else torch.rand(2, 40, 16)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean)  # type: ignore[arg-type]
            nn.init.uniform_(norm.running_var, 0.5, 2.0)  # type: ignore[arg-type]
            nn.init.uniform_(norm.weight, 0.5, 1.0)
    with torch.inference_mode():
        before = network.eval().scores(x)
        fold_norms(network)
        torch.testing.assert_close(network.scores(x), before, atol=1e-5, rtol=1e-4)
    left = [name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert left == (["statistics.norm"] if network.statistics else [])

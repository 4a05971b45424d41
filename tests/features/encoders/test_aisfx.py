import librosa
import numpy as np
import pytest
import torch
from torch import Tensor

from features.encoders.aisfx import AisfxEncoder
from tests.fixtures.aisfx_golden import signal


def published(encoder: AisfxEncoder) -> dict[str, Tensor]:
    """Random weights under the names of the published checkpoint, and one of a classifier."""
    torch.manual_seed(0)
    names = {"0.weight": "conv1.weight", "3.weight": "conv2.weight"}
    for place, name in (("1", "bn1"), ("4", "bn2")):
        for field in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            names[f"{place}.{field}"] = f"{name}.{field}"
    found = {"fc.0.0.weight": torch.zeros(3)}
    for number, block in enumerate(encoder.blocks):
        for own, value in block.state_dict().items():
            random = value if value.ndim == 0 else torch.rand_like(value)
            found[f"embedding_net.conv_block{number + 1}.{names[own]}"] = random
    return found


def test_the_spectrogram_is_the_one_of_the_package() -> None:
    samples = signal()
    power = librosa.feature.melspectrogram(
        y=samples, sr=44_100, n_fft=2_048, hop_length=1_024, n_mels=96, fmin=0, fmax=22_050, htk=True, norm=1
    )
    with torch.no_grad():
        own = AisfxEncoder().spectrogram(torch.from_numpy(samples)[None])[0].numpy()
    assert own.shape == (100, 96)
    np.testing.assert_allclose(own, np.log10(1 + 1e4 * power.T) / 9.457798957824707, atol=5e-5)  # of float32 FFTs


def test_published_weights_are_taken_by_their_names() -> None:
    encoder = AisfxEncoder().eval()
    weights = published(encoder)
    encoder.load_published(weights)
    own = encoder.state_dict()
    assert torch.equal(own["blocks.2.3.weight"], weights["embedding_net.conv_block3.conv2.weight"])
    assert torch.equal(own["blocks.0.1.running_var"], weights["embedding_net.conv_block1.bn1.running_var"])
    with torch.no_grad():
        assert encoder(torch.zeros(2, 20_000)).shape == (2, 512)
    weights.pop("embedding_net.conv_block4.bn2.bias")
    with pytest.raises(KeyError, match=r"conv_block4\.bn2\.bias"):
        AisfxEncoder().load_published(weights)

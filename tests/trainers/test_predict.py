from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from features.shards import ShardSet
from trainers.clips import ClipBank, MemoryClips
from trainers.groups import batches
from trainers.network import Tagger
from trainers.predict import predict
from trainers.settings import EnvNetSettings, ReadSettings, ResNetSettings

CPU = torch.device("cpu")
LONGEST = ReadSettings(pad_to="longest", patience=1.0)
SMALL = ResNetSettings(depth=10, width=4, head_units=8)
SMALL_ENV = EnvNetSettings(width=4, head_units=8)


def tagger(settings: ResNetSettings | EnvNetSettings, seed: int, *, noisy_head: bool = False) -> Tagger:
    torch.manual_seed(seed)
    return Tagger(settings, 6, noisy_head=noisy_head)


def mel_bank(lengths: Sequence[int]) -> ClipBank:
    rng = np.random.default_rng(0)
    return ClipBank(MemoryClips([rng.random((n, 16)).astype(np.float32) for n in lengths]), CPU)


@pytest.mark.parametrize("pad", [0, 8])
def test_clips_of_equal_length_are_predicted_as_if_alone(pad: int) -> None:
    bank = mel_bank([20, 33, 20, 33, 20, 7, 33, 33])
    network = tagger(SMALL, 0)
    rows = np.array([7, 0, 5, 2, 1])
    scores = predict([network], bank, rows, [pad], read=ReadSettings(patience=0.0))
    assert scores.shape == (1, 1, 1, 5, 6)
    assert scores.dtype == np.float32
    for place, row in enumerate(rows):
        clip = torch.from_numpy(np.pad(bank.shards.array(row), [(pad, pad), (0, 0)]))
        with torch.no_grad():
            alone = network.scores(clip[None])[0].numpy()
        np.testing.assert_allclose(scores[0, 0, 0, place], alone, atol=1e-6)


@pytest.mark.parametrize("settings", [SMALL, SMALL_ENV], ids=["mel", "waveform"])
@pytest.mark.parametrize("align", ["left", "centre"])
def test_a_score_does_not_depend_on_the_clips_beside_it(
    settings: ResNetSettings | EnvNetSettings, align: Literal["left", "centre"]
) -> None:
    rng = np.random.default_rng(1)
    if settings.kind == "envnet":
        arrays = [rng.integers(-9_000, 9_000, n).astype(np.int16) for n in rng.integers(20_000, 26_000, 8)]
        bank = ClipBank(MemoryClips(arrays), CPU)
    else:
        bank = mel_bank(rng.integers(20, 90, 80).tolist())
    network, read, rows = tagger(settings, 0), ReadSettings(align=align), np.arange(len(bank.lengths))
    together = predict([network], bank, rows, [4], read=read)[0, 0, 0]
    for company in ([0], [1, 2], rows[::3]):
        scores = predict([network], bank, np.array(company), [4], read=read)[0, 0, 0]
        np.testing.assert_allclose(scores, together[company], atol=2e-6)


def test_a_shorter_clip_of_a_batch_is_padded_behind_to_the_longest() -> None:
    bank = mel_bank([30, 20, *range(31, 100)])  # too many lengths for a batch of each
    network = tagger(SMALL, 0)
    found = batches(bank.lengths, LONGEST)
    assert max(len(batch) for batch, _ in found) > 1
    scores = predict([network], bank, np.arange(71), [4], read=LONGEST)[0, 0, 0]
    for batch, length in found:
        assert length == bank.lengths[batch].max()
        for row in batch:
            clip = torch.from_numpy(np.pad(bank.shards.array(row), [(4, 4 + length - bank.lengths[row]), (0, 0)]))
            with torch.no_grad():
                np.testing.assert_allclose(scores[row], network.scores(clip[None])[0], atol=1e-6)


def test_one_pass_over_networks_and_pads_equals_many(shards: dict[tuple[str, str], ShardSet]) -> None:
    bank = ClipBank(shards["mel", "noisy"], CPU)
    rows = np.arange(len(bank.lengths))[::-1].copy()
    networks = [tagger(SMALL, seed) for seed in range(3)]
    pads = [8, 0, 3]
    together = predict(networks, bank, rows, pads)
    assert together.shape == (3, 1, 3, 12, 6)
    for n, network in enumerate(networks):
        for p, pad in enumerate(pads):
            np.testing.assert_array_equal(together[n, 0, p], predict([network], bank, rows, [pad])[0, 0, 0])
    assert np.abs(together[0] - together[1]).max() > 1e-3
    assert np.abs(together[:, 0, 0] - together[:, 0, 1]).max() > 1e-4


def test_waveforms_below_the_networks_minimum_are_padded() -> None:
    rng = np.random.default_rng(0)
    bank = ClipBank(MemoryClips([rng.integers(-9_000, 9_000, n).astype(np.int16) for n in (5_000, 1, 30_000)]), CPU)
    network = tagger(SMALL_ENV, 0)
    scores = predict([network], bank, np.arange(3), [0, 4_000])
    assert scores.shape == (1, 1, 2, 3, 6)
    assert np.isfinite(scores).all()
    samples = torch.from_numpy(bank.shards.array(0) / np.float32(32_768))
    with torch.no_grad():
        alone = network.scores(torch.nn.functional.pad(samples, (4_000, 11_570))[None])[0]
    np.testing.assert_allclose(scores[0, 0, 1, 0], alone, atol=1e-5)


def test_prediction_is_in_evaluation_mode_and_of_the_asked_head() -> None:
    bank = mel_bank([20] * 6)
    network = tagger(SMALL, 0, noisy_head=True).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    curated = predict([network], bank, np.arange(6), [0])
    np.testing.assert_array_equal(predict([network.train()], bank, np.arange(6), [0], heads=["curated"]), curated)
    noisy = predict([network], bank, np.arange(6), [0], heads=["noisy"])
    assert np.abs(noisy - curated).max() > 1e-3
    both = predict([network], bank, np.arange(6), [0], heads=["curated", "noisy"])
    np.testing.assert_array_equal(both, np.concatenate([curated, noisy], axis=1))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_softmax_scores_sum_to_one() -> None:
    network = tagger(SMALL.model_copy(update={"activation": "softmax"}), 0)
    scores = predict([network], mel_bank([20, 25]), np.arange(2), [0])
    np.testing.assert_allclose(scores.sum(axis=-1), 1.0, rtol=1e-5)


def test_nothing_to_predict_is_told() -> None:
    with pytest.raises(ValueError, match="there are no clips to predict"):
        predict([tagger(SMALL, 0)], mel_bank([20]), np.zeros(0, np.int64), [0])


@pytest.mark.parametrize("settings", [SMALL, SMALL_ENV], ids=["mel", "waveform"])
def test_scores_are_float32_whatever_the_trunk_computes_in(settings: ResNetSettings | EnvNetSettings) -> None:
    """With a trunk in bfloat16 the head still computes in float32: bfloat16 has 8 bits, and its scores tie."""
    network = tagger(settings, 0)
    if settings.kind == "envnet":
        rng = np.random.default_rng(0)
        bank = ClipBank(MemoryClips([rng.integers(-9_000, 9_000, 22_000, dtype=np.int16) for _ in range(9)]), CPU)
    else:
        bank = mel_bank([30, 41, 55, 60, 61, 77, 78, 90, 91])
    plain = predict([network], bank, np.arange(9), [0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network.embed(bank.crop([0], np.zeros(1, np.int64), 22_000)).dtype == torch.bfloat16
        rounded = predict([network], bank, np.arange(9), [0])
    assert rounded.dtype == np.float32
    assert not np.array_equal(rounded, plain)
    np.testing.assert_allclose(rounded, plain, atol=0.01)
    as_bfloat16 = torch.from_numpy(rounded).bfloat16().float().numpy()
    assert (rounded != as_bfloat16).mean() > 0.9, "scores use the bits that bfloat16 lacks"


def alone(network: Tagger, *clips: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores of clips (frames, n_mels), each by itself."""
    with torch.no_grad():
        return np.stack([network.scores(torch.from_numpy(clip)[None])[0].numpy() for clip in clips])


def test_parts_of_clips_are_predicted_as_if_they_were_clips() -> None:
    lengths = [20, 50, 90, 50]
    bank, network = mel_bank(lengths), tagger(SMALL, 0).eval()
    clips = [bank.shards.array(row) for row in range(4)]

    def scores(read: ReadSettings, pads: Sequence[int] = (0,)) -> NDArray[np.float32]:
        return predict([network], bank, np.arange(4), pads, read=read, crop=40)[0, 0]

    none = ReadSettings(patience=0.0)
    np.testing.assert_allclose(scores(none)[0], alone(network, *clips), atol=1e-5)
    start, end = none.model_copy(update={"part": "start"}), none.model_copy(update={"part": "end"})
    np.testing.assert_allclose(scores(start)[0], alone(network, *(clip[:40] for clip in clips)), atol=1e-5)
    np.testing.assert_allclose(scores(end)[0], alone(network, *(clip[-40:] for clip in clips)), atol=1e-5)
    crops = none.model_copy(update={"part": "crops", "crops": 3})
    wanted = np.mean(
        [
            alone(network, clips[0], clips[1][a:][:40], clips[2][b:][:40], clips[3][a:][:40])
            for a, b in ((0, 0), (5, 25), (10, 50))
        ],
        axis=0,
    )
    np.testing.assert_allclose(scores(crops)[0], wanted, atol=1e-5)
    # What surrounds a part in its clip is not seen: pads are zeros.
    padded = [np.pad(clip[-40:], ((7, 7), (0, 0))) for clip in clips]
    np.testing.assert_allclose(scores(end, (7,))[0], alone(network, *padded), atol=1e-5)


def test_clips_of_a_batch_are_centred_on_request() -> None:
    """As the released code places waveforms; 41 frames in 44 begin at 1."""
    bank, network = mel_bank([41, 45]), tagger(SMALL, 0).eval()
    short = bank.shards.array(0)
    for align, before in (("left", 0), ("centre", 1)):
        read = ReadSettings.model_validate({"align": align})
        scores = predict([network], bank, np.arange(2), [3], read=read)[0, 0, 0]
        wanted = alone(network, np.pad(short, ((3 + before, 3 - before + 3), (0, 0))))
        np.testing.assert_allclose(scores[0], wanted[0], atol=1e-5)

"""Augmentations of a condition on one clip, to see and to hear."""

import io
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from features.mel import MelSpectrogram
from features.settings import MelSettings
from orchestrator.pages.augmentations import _alone, _audible, _batch, augmentations_section
from orchestrator.pages.document import Sound
from orchestrator.run.bound import Run

MEL = MelSettings(sample_rate_hz=16_000, n_mels=40, n_fft_samples=1_024, hop_samples=256, fmax_hz=8_000)
TONE = np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000).astype(np.float32)


@pytest.mark.parametrize("name", ["plain", "A", "D"])
def test_each_augmentation_has_a_picture_and_a_sound(inline_run: Run, name: str) -> None:
    wanted = list(inline_run.recipe.conditions[name].train.augment)
    sounds = [block for block in augmentations_section(inline_run, name).blocks if isinstance(block, Sound)]
    assert sounds[0].title == "as it is"
    assert [sound.title for sound in sounds[1:]] == wanted
    assert len({sound.excerpt.png for sound in sounds}) == len(sounds), "each changes something"
    for sound in sounds:
        samples, _ = soundfile.read(io.BytesIO(sound.excerpt.mp3))
        assert np.abs(samples).max() > 0.01


def test_the_same_page_comes_out_each_time(inline_run: Run) -> None:
    assert augmentations_section(inline_run, "D").blocks == augmentations_section(inline_run, "D").blocks


def test_a_condition_without_any_says_so(inline_run: Run) -> None:
    condition = inline_run.recipe.conditions["plain"]
    train = condition.train.model_copy(update={"augment": {}})
    conditions = {"plain": condition.model_copy(update={"train": train})}
    run = replace(inline_run, recipe=inline_run.recipe.model_copy(update={"conditions": conditions}))
    assert "no augmentations" in str(augmentations_section(run, "plain").blocks)


def test_a_mask_is_applied_for_certain_and_a_longer_clip_is_longer() -> None:
    batch = _batch([TONE, TONE[:8_000]], MEL)
    assert batch.x.shape == (2, MEL.rows(16_000), 40)
    assert batch.stop.tolist() == [63, 32]
    masked = _alone(batch, "frequency_mask", {"p": 0.0, "low": 40, "high": 40})
    assert not masked.x.any()
    waves = _batch([TONE, TONE], None)
    assert _alone(waves, "scale", {"factor": 1.5}).x.shape[1] != 16_000


def test_what_is_heard_is_what_the_network_sees() -> None:
    power = _batch([TONE, TONE], MEL).x[0]
    heard = MelSpectrogram(MEL)(np.ascontiguousarray(_audible(power, MEL)))
    assert heard.mean(axis=0).argmax() == power.mean(dim=0).argmax()

import json
import subprocess
import sys
import time

import pytest
import torch

from trainers.settings import MixMatchSettings, PseudoLabelSettings, PseudoSettings, ResNetSettings, TrainSettings
from trainers.speed import measure

TINY = TrainSettings.model_validate(
    {
        "network": {"kind": "resnet", "depth": 10, "width": 4, "head_units": 8},
        "crop": 16, "batch_size": 2, "augment": {"mixup": {}}, "epochs": 50, "precise_bn": True,
    }
)  # fmt: skip
CPU = torch.device("cpu")


def test_a_few_real_steps_are_timed() -> None:
    began = time.perf_counter()
    step_s, clip_s = measure(TINY, 3, 8, [20, 30, 40], CPU)
    passed_s = time.perf_counter() - began
    assert 0 < 4 * step_s + 16 * clip_s < passed_s
    network = ResNetSettings(depth=10, width=64, head_units=8)
    wide = TINY.model_copy(update={"crop": 320, "network": network})
    assert measure(wide, 3, 8, [20, 30, 40], CPU)[0] > 2 * step_s, "a step of a thousand times the work takes longer"


@pytest.mark.parametrize(
    "changed",
    [
        {"multitask": True},
        {"pseudo": PseudoSettings(teacher="other")},
        {"semi": PseudoLabelSettings(ramp_start=20, ramp_end=40)},
        {"semi": MixMatchSettings()},
        {"init_from": "other"},
    ],
)
def test_every_stream_is_timed(changed: dict[str, object]) -> None:
    step_s, clip_s = measure(TINY.model_copy(update=changed), 3, 8, [20, 30], CPU)
    assert step_s > 0
    assert clip_s >= 0


def test_a_process_of_its_own() -> None:
    waveform = TrainSettings.model_validate(
        {"network": {"kind": "envnet", "width": 4, "head_units": 8}, "crop": 20_600, "batch_size": 2, "cycles": 1}
    )
    cases = [
        [TINY.model_dump(mode="json"), 3, 8, [20, 30]],
        [waveform.model_dump(mode="json"), 3, None, [20_600, 30_000]],
    ]
    began = time.time()
    done = subprocess.run(
        [sys.executable, "-m", "trainers.speed"], input=json.dumps(cases), capture_output=True, text=True, check=True
    )
    printed = json.loads(done.stdout)
    assert [len(speed) for speed in printed["speeds"]] == [2, 2]
    assert began < printed["ready"] < time.time()

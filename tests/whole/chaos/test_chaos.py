"""A short form of `make chaos`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.long]

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("drivers", [1, 2])
def test_three_kills_and_nothing_is_lost(drivers: int) -> None:
    command = [sys.executable, "-m", "tests.whole.chaos.chaos", "--seed", "3", "--kills", "3"]
    done = subprocess.run([*command, "--drivers", str(drivers)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    facts = json.loads(done.stdout.splitlines()[-1])
    assert sum(facts["kills"].values()) == 3
    assert facts["epochs_lost_from_checkpoints"] == 0

"""`sonogrid ui`: MLflow and Optuna Dashboard side by side, with both real servers."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from orchestrator.run.bound import Run
from tests.fixtures.services import free_port


@pytest.mark.long
def test_both_are_served_and_end_together(copy: Run, tmp_path: Path, tracking_store: Callable[[Path], str]) -> None:
    port = free_port()
    environment = {**os.environ, "MLFLOW_TRACKING_URI": tracking_store(tmp_path / "ui.db"), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "orchestrator.cli", "ui", str(copy.folder), "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    for _ in range(360):
        assert process.poll() is None, (tmp_path / "log").read_text()
        try:
            requests.get(f"http://127.0.0.1:{port}/health", timeout=2).raise_for_status()
            break
        except requests.RequestException:
            time.sleep(0.5)
    printed = (tmp_path / "log").read_text()
    found = re.search(r"^Optuna Dashboard: (http://127\.0\.0\.1:\d+)/dashboard$", printed, re.MULTILINE)
    assert found, printed
    studies = requests.get(f"{found[1]}/api/studies", timeout=60).json()["study_summaries"]
    names = [study["study_name"] for study in studies]
    assert [re.sub("[0-9a-f]{12}", "-", name) for name in names] == [
        "tiny blend - all folds", "tiny blend - without fold 0", "tiny blend - without fold 1",
    ]  # fmt: skip
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(found[1], timeout=5)

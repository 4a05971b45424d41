"""What docs/cluster/sonogrid.sbatch does with signals and exit codes; the programs that it calls are stand-ins here.

test_slurm.py beside this file runs it with Ray on hosts.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.whole.cluster.slurm import SBATCH, SCONTROL

STAND_INS = {
    "srun": 'while [[ $1 == --* ]]; do shift; done; echo "srun $*" >> "$FOLDER/calls"; exec "$@"',
    "ray": (
        'case $1 in status) echo "  1 node_a"; echo "  1 node_b" ;; start) '
        'if [ -n "$FAILS" ] && [ ! -e "$FOLDER/failed" ]; then touch "$FOLDER/failed"; exit 1; fi; '
        'echo started >> "$FOLDER/calls"; exec sleep 5 > /dev/null 2>&1 ;; esac'
    ),
    "sonogrid": (
        'echo "sonogrid $*" >> "$FOLDER/calls"; trap \'echo saved >> "$FOLDER/calls"; exit ${SAVES:-1}\' TERM; '
        "echo running; for _ in $(seq ${TAKES:-0}); do sleep 0.1; done; exit ${ENDS:-0}"
    ),
}


def run(tmp_path: Path, **more: str) -> "subprocess.Popen[str]":
    """The script with stand-ins for what it calls."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in STAND_INS.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
    (folder / "scontrol").write_text(SCONTROL.format(shared=tmp_path))
    (folder / "activate").write_text("")
    for path in folder.iterdir():
        path.chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "FOLDER": str(tmp_path), "SONOGRID_VENV": str(tmp_path),
        "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "localhost,localhost", "SLURM_CPUS_PER_TASK": "8",
        "SLURM_GPUS_ON_NODE": "2", **more,
    }  # fmt: skip
    return subprocess.Popen(
        ["bash", str(SBATCH), "grid", "--data", "d d", "--out", "run"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path,
    )  # fmt: skip


def calls(tmp_path: Path) -> list[str]:
    path = tmp_path / "calls"
    return path.read_text().splitlines() if path.exists() else []


def launched(tmp_path: Path) -> bool:
    return any(call.startswith("sonogrid") for call in calls(tmp_path))


@pytest.mark.parametrize("ends", [0, 1])
def test_the_job_ends_as_the_launch_does(ends: int, tmp_path: Path) -> None:
    job = run(tmp_path, ENDS=str(ends))
    printed, _ = job.communicate(timeout=60)
    assert job.returncode == ends, printed
    assert "Ray has 2 of 2 nodes" in printed
    assert not (tmp_path / "requeued").exists()
    made = [call for call in calls(tmp_path) if "ray start" in call]
    assert len(made) == 2
    assert "--num-cpus=8 --num-gpus=2" in made[0]
    assert "--port=20007" in next(call for call in made if "--head" in call)
    (launch,) = [call for call in calls(tmp_path) if call.startswith("sonogrid")]
    assert launch == "sonogrid launch grid --data d d --out run --address 127.0.0.1:20007"


def test_ray_is_started_again_where_its_start_failed(tmp_path: Path) -> None:
    job = run(tmp_path, FAILS="1", TAKES="40")
    printed, _ = job.communicate(timeout=60)
    assert job.returncode == 0, printed
    assert (tmp_path / "failed").exists()
    assert calls(tmp_path).count("started") == 2


@pytest.mark.parametrize("name", [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_stops_the_launch_and_queues_the_job_again(name: signal.Signals, tmp_path: Path) -> None:
    job = run(tmp_path, TAKES="600")
    while not launched(tmp_path):
        assert job.poll() is None
        time.sleep(0.05)
    job.send_signal(name)
    printed, _ = job.communicate(timeout=60)
    assert job.returncode == 1, printed
    assert calls(tmp_path)[-1] == "saved", "the script waited for it"
    assert (tmp_path / "requeued").read_text() == "7\n"


def test_a_launch_that_is_done_when_the_signal_comes_is_not_queued_again(tmp_path: Path) -> None:
    job = run(tmp_path, TAKES="600", SAVES="0")
    while not launched(tmp_path):
        assert job.poll() is None
        time.sleep(0.05)
    job.send_signal(signal.SIGUSR1)
    job.communicate(timeout=60)
    assert job.returncode == 0
    assert not (tmp_path / "requeued").exists()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
def test_the_script_has_no_faults_that_shellcheck_knows() -> None:
    subprocess.run(["shellcheck", str(SBATCH)], check=True)

"""How a job is executed: its share of the machine, and the device that follows from it."""

import os
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.errors import JobError

if TYPE_CHECKING:
    import torch

__all__ = ["PRETEND_GPUS", "JobExecution", "device_name", "device_of", "resident_bytes", "threads"]

PRETEND_GPUS = "SONOGRID_PRETEND_GPUS"
"""Environment variable of machines whose GPUs are numbers given to Ray alone, for tests of clusters without GPUs."""

RESIDENT_SHARE = 0.5
"""Of the free memory of a GPU; the rest is for the network, its activations and the optimizer."""


@dataclass(frozen=True)
class JobExecution:
    """How a job is executed; changes no result."""

    gpus: float = 0.0
    """GPUs of each worker."""
    workers: int = 1
    """Processes that share a training job."""
    resident_bytes: int | None = None
    """Copy features to a GPU as long as they take at most this; none: `RESIDENT_SHARE` of its free memory."""
    checkpoint_steps: int = 0
    """Checkpoints within an epoch, every so many steps; 0: none."""
    cache_bytes: int = 200_000_000_000
    """Limit for the results of an object store on this host's disk."""
    stall_s: float = 0.0
    """After so long without progress the log gets the stack of every thread; 0: never."""


def device_of(execution: JobExecution) -> "torch.device":
    """Where a job's networks are: the GPU that it was given, or the CPU.

    Raises:
        JobError: it was given a GPU, and torch finds none: on a CPU it would take days and give other numbers.
    """
    import torch

    if execution.gpus == 0 or os.environ.get(PRETEND_GPUS):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise JobError(
            f"the job was given a GPU of {socket.gethostname()}, but torch {torch.__version__} finds none there: check "
            "the driver with nvidia-smi, install a torch for its CUDA, or run with --gpus-per-job 0"
        )
    return torch.device("cuda")


def device_name(execution: JobExecution) -> str:
    """The device with its model, for the done-mark: `cpu`, or for instance `cuda: NVIDIA H100`."""
    if device_of(execution).type == "cpu":
        return "cpu"
    import torch

    return f"cuda: {torch.cuda.get_device_name()}"


def threads() -> int:
    """Threads of torch's operations in this process; 0 where torch is not used."""
    return sys.modules["torch"].get_num_threads() if "torch" in sys.modules else 0


def resident_bytes(execution: JobExecution) -> int:
    """Bytes of features that a job copies to its GPU at most; 0 on a CPU, where all jobs share the mapped pages.

    Unless a number is given it is `RESIDENT_SHARE` of the memory that is free now, or of the job's part of it.
    """
    if device_of(execution).type != "cuda":
        return 0
    if execution.resident_bytes is not None:
        return execution.resident_bytes
    import torch

    free, _ = torch.cuda.mem_get_info()
    return int(free * min(1.0, execution.gpus) * RESIDENT_SHARE)

"""How a job is executed: its share of the machine, and the device that follows from it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["JobExecution", "device_of", "resident_bytes"]


@dataclass(frozen=True)
class JobExecution:
    """How a job is executed; changes no result."""

    gpus: float = 0.0
    """GPUs of each worker."""
    workers: int = 1
    """Processes that share a training job."""
    resident_bytes: int = 0
    """Copy the features of a subset to a GPU if they take at most this."""
    checkpoint_steps: int = 0
    """Checkpoints within an epoch, every so many steps; 0: none."""
    stall_s: float = 0.0
    """After so long without progress the log gets the stack of every thread; 0: never."""


def device_of(execution: JobExecution) -> "torch.device":
    """Where a job's networks are: the GPU that it was given, or the CPU."""
    import torch

    return torch.device("cuda" if execution.gpus > 0 and torch.cuda.is_available() else "cpu")


def resident_bytes(execution: JobExecution) -> int:
    """`JobExecution.resident_bytes`, or 0 on a CPU, where all jobs of a machine share the mapped pages."""
    return execution.resident_bytes if device_of(execution).type == "cuda" else 0

"""GPUs by name, with the peak FLOP/s of their data sheets for the number format that sonogrid computes in: bf16 if the
GPU has units for it (dense, sums in float32), else float32."""

from dataclasses import dataclass

from features.errors import InputError
from features.words import nearest, short

__all__ = ["GPUS", "Gpu", "find_gpu"]


@dataclass(frozen=True)
class Gpu:
    """A GPU model."""

    name: str
    peak: float
    """Floating-point operations per second; a multiply-add counts as two."""
    number: str = "bf16"
    """Number format that the peak holds for."""


GPUS = tuple(
    Gpu(name, teraflops * 1e12, number)
    for name, teraflops, number in (
        ("V100", 15.7, "float32"),
        ("T4", 8.1, "float32"),
        ("A10", 125.0, "bf16"),
        ("A100", 312.0, "bf16"),
        ("L4", 121.0, "bf16"),
        ("L40S", 362.0, "bf16"),
        ("H100", 989.4, "bf16"),
        ("H200", 989.4, "bf16"),
        ("RTX-3090", 71.0, "bf16"),
        ("RTX-4090", 165.2, "bf16"),
    )
)


def find_gpu(name: str) -> Gpu:
    """The GPU model of a name, in upper or lower case.

    Raises:
        InputError: there is no such model.
    """
    known = {gpu.name.lower(): gpu for gpu in GPUS}
    if name.lower() in known:
        return known[name.lower()]
    names = [gpu.name for gpu in GPUS]
    near = nearest(name, names)
    hint = f"did you mean '{near}'? " if near else ""
    raise InputError(f"--gpu {short(name)}: unknown GPU; {hint}choose one of {', '.join(names)}")

"""GPUs by name, with the peak FLOP/s of their data sheets for both precisions of a condition.

`precision: bf16` computes in bf16 if the GPU has units for it (dense, sums in float32), else in float32. `fp32`
computes in float32, without TF32.
"""

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
    float32_peak: float
    """The same in float32."""
    number: str = "bf16"
    """Number format that the peak holds for."""


GPUS = tuple(
    Gpu(name, peak * 1e12, float32_peak * 1e12, "bf16" if peak > float32_peak else "float32")
    for name, peak, float32_peak in (
        ("V100", 15.7, 15.7),
        ("T4", 8.1, 8.1),
        ("A10", 125.0, 31.2),
        ("A100", 312.0, 19.5),
        ("L4", 121.0, 30.3),
        ("L40S", 362.0, 91.6),
        ("H100", 989.4, 66.9),
        ("H200", 989.4, 66.9),
        ("RTX-3090", 71.0, 35.6),
        ("RTX-4090", 165.2, 82.6),
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

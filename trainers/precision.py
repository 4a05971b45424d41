"""Number formats of a job's networks."""

from typing import Literal

import torch

__all__ = ["Precision", "use_precision"]

Precision = Literal["bf16", "fp32"]


def use_precision(precision: Precision, device: torch.device) -> torch.autocast:
    """The context in which a trunk computes; `fp32` also switches off TF32 convolutions, for the whole process.

    On a CPU everything is float32, whatever the precision.
    """
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = precision == "bf16"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda" and precision == "bf16")

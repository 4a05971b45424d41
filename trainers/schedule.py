"""Steps of an epoch, and the learning rate: a cosine within a cycle, updated every step, restarted each cycle.

Source: paper section 3.1; SGDR (Loshchilov & Hutter 2017) without warm-up; Snapshot Ensembles (Huang et al. 2017).
"""

import math

__all__ = ["cyclic_cosine", "steps_per_epoch"]


def steps_per_epoch(train_clips: int, batch_size: int) -> int:
    """Steps of one pass over the curated training clips; the last batch is full and begins the next pass."""
    return math.ceil(train_clips / batch_size)


def cyclic_cosine(step: int, steps_per_cycle: int, lr_max: float, lr_min: float) -> float:
    """Learning rate at a global step (0-based): lr_min + (lr_max - lr_min) (1 + cos(pi t / T)) / 2."""
    t = step % steps_per_cycle
    return lr_min + 0.5 * (lr_max - lr_min) * (1.0 + math.cos(math.pi * t / steps_per_cycle))

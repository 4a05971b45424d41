"""Random draws as a function of (seed, purpose, step).

There is no generator state to save: a job that is resumed at any step, on any machine, makes the same draws.
"""

import hashlib

import numpy as np

__all__ = ["generator", "seed_of"]


def seed_of(seed: int, purpose: str, step: int = 0) -> int:
    """A 63-bit seed for one purpose (a name such as 'curated/gain') at one step."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int, purpose: str, step: int = 0) -> np.random.Generator:
    """A NumPy generator for one purpose at one step."""
    return np.random.Generator(np.random.PCG64(seed_of(seed, purpose, step)))

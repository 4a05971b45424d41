import numpy as np
import pytest
import torch

from trainers.batch import column


@pytest.mark.parametrize("like", [torch.zeros(3, 5), torch.zeros(3, 5, 4)], ids=["samples", "mel"])
def test_a_column_multiplies_each_clip_by_its_draw(like: torch.Tensor) -> None:
    draws = np.array([0.5, 1.0, 2.0])
    factors = column(draws, like, like.dim())
    assert factors.dtype == torch.float32
    assert factors.shape == (3, *[1] * (like.dim() - 1))
    scaled = (like + 1) * factors
    assert all(bool((clip == draw).all()) for clip, draw in zip(scaled, draws, strict=True))

import numpy as np
import pytest
import torch

from trainers.batch import Batch, Change, Layout, column


@pytest.mark.parametrize("like", [torch.zeros(3, 5), torch.zeros(3, 5, 4)], ids=["samples", "mel"])
def test_a_column_multiplies_each_clip_by_its_draw(like: torch.Tensor) -> None:
    draws = torch.tensor([0.5, 1.0, 2.0])
    factors = column(draws, like.dim())
    assert factors.shape == (3, *[1] * (like.dim() - 1))
    scaled = (like + 1) * factors
    assert all(bool((clip == draw).all()) for clip, draw in zip(scaled, draws, strict=True))


def test_a_layout_tells_what_lies_in_the_crop() -> None:
    layout = Layout((3, 10, 4), np.array([-3, 2, 0]), np.array([5, 30, 10]))
    start, stop = layout.inside()
    assert (start.tolist(), stop.tolist()) == ([0, 2, 0], [5, 10, 10])
    first = layout.first(2)
    assert (first.shape, first.start.tolist(), first.stop.tolist()) == ((2, 10, 4), [-3, 2], [5, 30])
    assert Batch(torch.zeros(3, 10, 4), torch.zeros(3, 2), layout.start, layout.stop).layout.shape == layout.shape


def test_changes_take_their_arrays_in_turn() -> None:
    layout = Layout((1, 2), np.zeros(1), np.ones(1))
    scale = Change(layout, lambda x, y, factor: (x * factor, y), (np.array([2.0]),))
    shift = Change(layout, lambda x, y, more, less: (x + more - less, y), (np.array([5.0]), np.array([1.0])))
    sent = iter(torch.tensor([[2.0], [5.0], [1.0]]))
    x, y = torch.ones(1, 2), torch.zeros(1, 1)
    for change in (scale, shift):
        x, y = change.take(x, y, sent)
    assert x.tolist() == [[6.0, 6.0]]

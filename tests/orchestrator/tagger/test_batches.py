"""Clips of similar length are scored together; `test_tagger.py` has their scores."""

import os

import numpy as np
import torch

from orchestrator.tagger.batches import cores, groups_by_length, one_thread_per_core


def test_groups_hold_clips_of_similar_length() -> None:
    shapes = [(30, 2), (10, 2), (20, 2), (10, 2), (11, 2), (500, 2)]
    groups = [group.tolist() for group in groups_by_length(shapes, 3, 100)]
    assert groups == [[1, 3, 4], [2], [0], [5]]
    assert [group.tolist() for group in groups_by_length(shapes, 9, 10**6)] == [[1, 3, 4, 2, 0, 5]]


def test_every_clip_is_in_one_group() -> None:
    lengths = np.random.default_rng(0).integers(1, 400, 300)
    groups = groups_by_length([(int(length),) for length in lengths], 32, 2_000)
    assert sorted(np.concatenate(groups)) == list(range(300))
    for group in groups:
        assert len(group) == 1 or len(group) * lengths[group].max() <= 2_000


def test_threads_of_the_pool_compute_alone_and_leave_others_as_they_are() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread_per_core() as pool:
            assert set(pool.map(lambda _: torch.get_num_threads(), range(8))) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert 1 <= cores() <= (os.cpu_count() or 1)

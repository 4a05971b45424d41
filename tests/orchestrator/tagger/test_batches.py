"""Clips of similar length are scored together; `test_tagger.py` has their scores."""

import os

import numpy as np
import torch

from orchestrator.tagger.batches import cores, groups_by_length, one_thread_per_core


def test_a_group_holds_clips_of_one_length() -> None:
    lengths = np.array([30, 10, 20, 10, 10, 500, 10, 10])
    groups = [group.tolist() for group in groups_by_length(lengths, 3, 100)]
    assert groups == [[1, 3, 4], [6, 7], [2], [0], [5]]
    assert [group.tolist() for group in groups_by_length(lengths, 9, 40)] == [[1, 3, 4], [6, 7], [2], [0], [5]]


def test_every_clip_is_in_one_group() -> None:
    lengths = np.random.default_rng(0).integers(1, 40, 300)
    groups = groups_by_length(lengths, 8, 200)
    assert sorted(np.concatenate(groups)) == list(range(300))
    for group in groups:
        assert len(set(lengths[group])) == 1
        assert len(group) == 1 or (len(group) <= 8 and len(group) * lengths[group[0]] <= 200)


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

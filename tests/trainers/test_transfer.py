import numpy as np
import pytest
import torch
from torch import Tensor

import trainers.transfer
from trainers.transfer import Filled, HostArray, Work, on_device, send

CPU, META = torch.device("cpu"), torch.device("meta")


def filled(values: np.ndarray) -> Filled:
    def fill(place: np.ndarray) -> None:
        place[...] = values

    return Filled(values.shape, values.dtype, fill)


RNG = np.random.default_rng(0)
ARRAYS: list[np.ndarray] = [
    RNG.random(3) < 0.5,
    RNG.integers(-9, 9, (3, 5)),
    np.zeros((0, 7), np.int64),
    RNG.random((2, 3, 4), np.float32),
    RNG.integers(-9, 9, (4, 3), np.int16),
    np.float32(RNG.random((6, 5)))[::2, ::-1],
]


def test_on_a_cpu_nothing_is_copied() -> None:
    one, two = send([ARRAYS[1], filled(ARRAYS[3])], CPU)
    assert np.shares_memory(one.numpy(), ARRAYS[1])
    np.testing.assert_array_equal(two.numpy(), ARRAYS[3])
    assert on_device(ARRAYS[4], CPU).dtype == torch.int16


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """What a GPU would be sent, in memory that still holds something."""
    sent: list[Tensor] = []

    def memory(size: int) -> tuple[Tensor, np.ndarray]:
        sent.append(torch.full((size,), 255, dtype=torch.uint8))
        return sent[-1], sent[-1].numpy()

    monkeypatch.setattr(trainers.transfer, "pinned_memory", memory)
    return sent


def test_arrays_travel_in_one_copy_each_at_its_place(copied: list[Tensor]) -> None:
    there = send([*ARRAYS, *map(filled, ARRAYS)], META)
    assert len(copied) == 1
    for tensor, array in zip(there, ARRAYS * 2, strict=True):
        assert (tensor.device.type, tuple(tensor.shape)) == ("meta", array.shape)
        assert tensor.dtype == torch.as_tensor(array.copy()).dtype
        first = tensor.storage_offset() * array.itemsize
        assert first % 64 == 0
        memory = copied[0].numpy()[first : first + array.nbytes]
        np.testing.assert_array_equal(memory.view(array.dtype).reshape(array.shape), array)
    assert send([], META) == []


def test_work_takes_its_tensors_in_turn() -> None:
    def ones(count: int) -> tuple[HostArray, ...]:
        return tuple(np.full(2, 10.0**k) for k in range(count))

    add = Work(ones(2), lambda a, b: a + 2 * b)
    assert add.on(CPU).tolist() == [21.0, 21.0]
    sent = iter([*send(ones(2), CPU), torch.ones(2)])
    assert add.take(sent).tolist() == [21.0, 21.0]
    assert next(sent).tolist() == [1.0, 1.0], "the rest is left"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gets_the_same_values() -> None:
    for _ in range(3):  # pinned memory is taken again
        there = send([*ARRAYS, *map(filled, ARRAYS)], torch.device("cuda"))
        for tensor, array in zip(there, ARRAYS * 2, strict=True):
            np.testing.assert_array_equal(tensor.cpu().numpy(), array)

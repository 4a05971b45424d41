import pytest
import torch

from trainers.packing import PRECISIONS, Precision, pack, unpack


@pytest.mark.parametrize(("precision", "error"), [("fp32", 0.0), ("fp16", 5e-4), ("int8", 0.5 / 127)])
def test_a_weight_keeps_what_its_bits_allow(precision: Precision, error: float) -> None:
    torch.manual_seed(0)
    weights = torch.randn(6, 3, 5, 5) * 10.0 ** torch.arange(-3, 3)[:, None, None, None]
    packed = pack(weights, precision)
    largest = weights.abs().amax(dim=(1, 2, 3), keepdim=True)
    assert ((unpack(packed) - weights).abs() <= largest * error * 1.001).all()
    assert unpack(packed).dtype == torch.float32
    sizes = {"fp32": 4, "fp16": 2, "int8": 1}
    assert packed[0].element_size() == sizes[precision]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_few_numbers_and_extremes_survive(precision: Precision) -> None:
    for tensor in (torch.rand(7), torch.tensor(3), torch.zeros(2, 4)):
        assert torch.equal(unpack(pack(tensor, precision)), tensor)
    assert unpack(pack(torch.full((1, 2), 1e6), precision)).isfinite().all()

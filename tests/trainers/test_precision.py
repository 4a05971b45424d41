import pytest
import torch

from trainers.precision import Precision, use_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_cpu_always_computes_in_float32(precision: Precision) -> None:
    with use_precision(precision, CPU):
        assert (torch.ones(2, 3) @ torch.ones(3, 2)).dtype == torch.float32


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_a_gpu_computes_in_the_format_asked_for(precision: Precision, dtype: torch.dtype) -> None:
    device = torch.device("cuda")
    with use_precision(precision, device):
        assert (torch.ones(2, 3, device=device) @ torch.ones(3, 2, device=device)).dtype == dtype
    assert torch.backends.cudnn.allow_tf32 == (precision == "bf16")

"""GPU models by name."""

import pytest

from features.errors import InputError
from orchestrator.planning.gpus import GPUS, find_gpu


@pytest.mark.parametrize("name", ["A100", "a100"])
def test_a_model_is_found_in_upper_and_lower_case(name: str) -> None:
    gpu = find_gpu(name)
    assert (gpu.name, gpu.peak, gpu.number, gpu.float32_peak) == ("A100", 312e12, "bf16", 19.5e12)


def test_names_are_distinct_and_peaks_are_those_of_real_hardware() -> None:
    assert len({gpu.name.lower() for gpu in GPUS}) == len(GPUS)
    assert all(1e12 < gpu.float32_peak <= gpu.peak < 1e16 for gpu in GPUS)
    assert {gpu.name for gpu in GPUS if gpu.number == "float32"} == {"V100", "T4"}, "without units for bf16"


def test_an_unknown_model_is_an_error_that_names_the_nearest_and_all() -> None:
    with pytest.raises(InputError, match="did you mean 'H100'") as caught:
        find_gpu("H10")
    assert all(gpu.name in str(caught.value) for gpu in GPUS)
    with pytest.raises(InputError, match="--gpu xyz: unknown GPU; choose one of"):
        find_gpu("xyz")

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from features.encoders.encoder import Encoder
from features.encoders.onnx_file import OnnxNetwork
from features.errors import InputError
from tests.fixtures.encoders import TinyEncoder, write_onnx


def test_the_file_declares_rate_and_windows(tmp_path: Path) -> None:
    network = OnnxNetwork(write_onnx(tmp_path / "a.onnx"))
    assert (network.sample_rate_hz, network.window_samples, network.batch) == (8_000, None, None)
    network = OnnxNetwork(write_onnx(tmp_path / "b.onnx", samples=4_000, rate=""))
    assert (network.sample_rate_hz, network.window_samples) == (None, 4_000)
    assert OnnxNetwork(write_onnx(tmp_path / "c.onnx", rate="fast")).sample_rate_hz is None


def test_it_computes_what_torch_computes(tmp_path: Path) -> None:
    windows = np.random.default_rng(0).uniform(-1, 1, (3, 1_000)).astype(np.float32)
    found = OnnxNetwork(write_onnx(tmp_path / "a.onnx"))(windows)
    with torch.no_grad():
        np.testing.assert_allclose(found, TinyEncoder()(torch.from_numpy(windows)).numpy(), atol=1e-5)


def test_damaged_files_and_those_in_several_parts_are_refused(tmp_path: Path) -> None:
    whole = write_onnx(tmp_path / "a.onnx")
    damaged = tmp_path / "b.onnx"
    for content in (b"", b"no model", whole.read_bytes()[:2_000]):
        damaged.write_bytes(content)
        with pytest.raises(InputError, match=r"b\.onnx is not an ONNX model in one file \(.*export it again"):
            OnnxNetwork(damaged)
    parts = tmp_path / "parts.onnx"
    onnx.save(onnx.load(whole), parts, save_as_external_data=True, location="parts.data", size_threshold=0)
    with pytest.raises(InputError, match=r"parts\.onnx is not an ONNX model in one file"):
        OnnxNetwork(parts)


def test_models_of_another_form_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "image.onnx"
    image = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])]
    same = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, 8, 8])]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "image", image, same)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    with pytest.raises(InputError, match=r"image\.onnx has the inputs x tensor\(float\).*an encoder has one input"):
        OnnxNetwork(path)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "samples"]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    assert Encoder(path).dims(16) == 16
    graph = helper.make_graph([helper.make_node("ReduceMax", ["x"], ["y"], keepdims=0)], "max", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    with pytest.raises(InputError, match=r"returns float32\[\] for an input of \(2 windows, 16 samples\)"):
        Encoder(path).dims(16)

"""A tagger's graph in ONNX.

Networks of one form are one function of the model, which is called with the weights of each. So a blend of hundreds of
networks is translated as fast as its few forms, and its file has the size of its weights.
"""

from collections.abc import Iterator

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, inliner, numpy_helper
from torch import nn

from features.encoders.export import onnx_model
from orchestrator.export.graph import TaggerGraph
from trainers.network_graph import NetworkGraph

__all__ = ["tagger_onnx"]

DOMAIN = "sonogrid"
AXIS = "first_axis"
DYNAMIC = torch.export.Dim.DYNAMIC


def tagger_onnx(graph: TaggerGraph, classes: int) -> onnx.ModelProto:
    """The model: input `samples` float32 (clips, samples), output `scores` float32 (clips, classes)."""
    with torch.no_grad():
        samples = torch.zeros(2, 2 * graph.sample_rate_hz)
        inputs = graph.front(samples)
        model = _translate(graph.front, samples)
        views = [output.name for output in model.graph.output]
        functions = {}
        for step in graph.steps:
            form = graph.form[step.network]
            if form not in functions:
                functions[form] = _function(f"network_{form}", graph.plain[form], inputs[step.part])
    body = model.graph
    for number, network in enumerate(graph.plain):
        for weights, nodes in _weights(number, network):
            body.initializer.extend(weights)
            body.node.extend(nodes)
    shares = []
    for index, step in enumerate(graph.steps):
        function, parameters = functions[graph.form[step.network]]
        given = [f"{step.network}.{name}" for name in parameters]
        body.node.append(helper.make_node(function.name, [views[step.part], *given], [f"step_{index}"], domain=DOMAIN))
        share = np.array(step.weights, np.float32)[:, None, None]
        body.initializer.append(numpy_helper.from_array(share, f"share_{index}"))
        body.node.append(helper.make_node("Mul", [f"step_{index}", f"share_{index}"], [f"weighted_{index}"]))
        shares.append(f"weighted_{index}")
    body.initializer.append(numpy_helper.from_array(np.array([0]), AXIS))
    body.node.append(helper.make_node("Concat", shares, ["all_scores"], axis=0))
    body.node.append(helper.make_node("ReduceSum", ["all_scores", AXIS], ["scores"], keepdims=0))
    del body.output[:]
    body.output.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["clips", classes]))
    _rename_input(body)
    model.functions.extend(function for function, _ in functions.values())
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    onnx.checker.check_model(model)
    return model


def _translate(module: nn.Module, example: torch.Tensor, *, optimize: bool = True) -> onnx.ModelProto:
    shapes = ({0: DYNAMIC, 1: DYNAMIC},)
    model = onnx_model(torch.export.export(module.eval(), (example,), dynamic_shapes=shapes), optimize=optimize)
    return inliner.inline_local_functions(model)


def _function(name: str, network: NetworkGraph, example: torch.Tensor) -> tuple[onnx.FunctionProto, list[str]]:
    """A network as a function of its input and its weights, and the names of the weights."""
    network = network.unpacked()
    model = _translate(network, example, optimize=False)
    body = model.graph
    known = {key for key, _ in network.named_buffers()}
    parameters = [tensor.name for tensor in body.initializer if tensor.name in known]
    assert {*parameters} == known, "weights became constants, which networks would share"
    constants = [
        helper.make_node("Constant", [], [tensor.name], value=tensor)
        for tensor in body.initializer
        if tensor.name not in known
    ]
    function = helper.make_function(
        DOMAIN, name, [body.input[0].name, *parameters], [body.output[0].name], [*constants, *body.node],
        model.opset_import,
    )  # fmt: skip
    return function, parameters


def _weights(number: int, network: NetworkGraph) -> Iterator[tuple[list[onnx.TensorProto], list[onnx.NodeProto]]]:
    """For each tensor of a network its initializers and the operation that makes it float32."""
    for original, (kept, scale) in network.packed.items():
        name = f"{number}.{original.replace('.', '_')}"
        array = kept.numpy()
        if scale is not None:
            weights = [
                numpy_helper.from_array(array, f"{name}_8"),
                numpy_helper.from_array(scale.flatten().numpy(), f"{name}_scale"),
            ]
            yield weights, [helper.make_node("DequantizeLinear", [f"{name}_8", f"{name}_scale"], [name], axis=0)]
        elif array.dtype == np.float16:
            node = helper.make_node("Cast", [f"{name}_16"], [name], to=TensorProto.FLOAT)
            yield [numpy_helper.from_array(array, f"{name}_16")], [node]
        else:
            yield [numpy_helper.from_array(array, name)], []


def _rename_input(body: onnx.GraphProto) -> None:
    old = body.input[0].name
    for node in body.node:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = "samples"
    del body.input[:]
    body.input.append(helper.make_tensor_value_info("samples", TensorProto.FLOAT, ["clips", "samples"]))

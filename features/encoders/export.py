"""Writes a module of torch as the file of an encoder."""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import onnx
import torch
from torch import nn

from features.encoders.encoder import Encoder
from features.errors import InputError
from features.files import atomic

__all__ = ["export_encoder", "onnx_model", "require_ending", "save_onnx"]


def export_encoder(module: nn.Module, out: Path, sample_rate_hz: int, facts: Mapping[str, str]) -> None:
    """Write a module (windows, samples) -> (windows, dims) to a `.onnx` or `.pt2` file, and run it once from there.

    Args:
        module: in evaluation mode.
        out: the new file.
        sample_rate_hz: of its input.
        facts: further metadata of the file, such as its licence.

    Raises:
        InputError: the file has another ending.
    """
    require_ending(out)
    metadata = {"sample_rate_hz": str(sample_rate_hz), **facts}
    dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    program = torch.export.export(module, (torch.zeros(2, 2 * sample_rate_hz),), dynamic_shapes=(dynamic,))
    with atomic(out) as temporary:
        file = temporary.with_name(f"{temporary.name}{out.suffix}")
        try:
            if out.suffix == ".pt2":
                torch.export.save(program, file, extra_files=metadata)
            else:
                save_onnx(onnx_model(program), file, metadata)
            Encoder(file).dims(2 * sample_rate_hz)
            file.replace(temporary)
        finally:
            file.unlink(missing_ok=True)


def require_ending(out: Path) -> None:
    """Refuse a name that says neither format.

    Raises:
        InputError: the file has another ending.
    """
    if out.suffix not in (".onnx", ".pt2"):
        raise InputError(f"{out} is not the name of an encoder: let it end in .onnx or .pt2")


def onnx_model(program: torch.export.ExportedProgram, *, optimize: bool = True) -> onnx.ModelProto:
    """A program as ONNX, the same bytes for the same program.

    Args:
        program: what is translated.
        optimize: compute at once what depends on weights alone; they are no longer exchangeable then.
    """
    names = logging.getLogger("torch.onnx._internal.exporter._registration")  # lists operations of absent packages
    level = names.level
    names.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside the exporter
            model = torch.onnx.export(program, dynamo=True, verbose=False, optimize=optimize)
    finally:
        names.setLevel(level)
    assert model is not None
    for node in model.model.graph:
        node.metadata_props.clear()  # lines and folders of the source
    made: onnx.ModelProto = model.model_proto
    return made


def save_onnx(model: onnx.ModelProto, file: Path, metadata: Mapping[str, str]) -> None:
    """Write a model with metadata to one file."""
    onnx.helper.set_model_props(model, dict(metadata))
    file.write_bytes(model.SerializeToString(deterministic=True))

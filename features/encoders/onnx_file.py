"""Encoders in ONNX, run by onnxruntime. No other module imports it."""

from pathlib import Path

import numpy as np
import onnxruntime

from features.errors import InputError

__all__ = ["OnnxNetwork"]

FLOAT32 = "tensor(float)"


class OnnxNetwork:
    """A network in an `.onnx` file with one input (windows, samples) and one output.

    Raises:
        InputError: the file is not ONNX, keeps its weights elsewhere, or has another form.
    """

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # one shard per core, and equal sums everywhere
        options.log_severity_level = 4  # its errors come as exceptions too
        try:
            # From bytes, so that it can't read other files, which the store would lack.
            self._session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class for each kind of damage
            reason = " ".join(str(error).split())[:300]
            raise InputError(
                f"{path} is not an ONNX model in one file ({reason}): export it again, without external data"
            ) from None
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or inputs[0].type != FLOAT32 or len(inputs[0].shape) != 2 or len(outputs) != 1:
            form = ", ".join(f"{tensor.name} {tensor.type}{tensor.shape}" for tensor in inputs)
            raise InputError(
                f"{path} has the inputs {form} and {len(outputs)} outputs: an encoder has one input, float32 (windows, "
                "samples), and one output"
            )
        self._input: str = inputs[0].name
        self.batch, self.window_samples = (size if isinstance(size, int) else None for size in inputs[0].shape)
        declared = self._session.get_modelmeta().custom_metadata_map.get("sample_rate_hz", "")
        self.sample_rate_hz = int(declared) if declared.isascii() and declared.isdigit() else None

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        """float32 (windows, samples) -> float32 (windows, dims)."""
        embeddings: np.ndarray = self._session.run(None, {self._input: windows})[0]
        return embeddings

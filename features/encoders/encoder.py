"""A frozen encoder: a file with a network that turns windows of samples into embeddings (docs/encoders.md).

Its input is float32 (windows, samples), mono in [-1, 1] at its sample rate; its output is float32 (windows, dims). A
`.onnx` file runs in onnxruntime, on one CPU thread; a `.pt2` file (`torch.export.save`) in torch, on the CPU.
"""

from pathlib import Path
from typing import Protocol

import numpy as np

from features.errors import InputError

__all__ = ["Encoder", "cut_windows"]

MAX_WINDOWS = 16
"""Windows that go through the network at once; bounds the memory that a long clip takes."""


class Network(Protocol):
    """What a format's reader makes of a file."""

    sample_rate_hz: int | None
    """As the file declares it."""
    window_samples: int | None
    """Length of a window; None: any."""
    batch: int | None
    """Windows per call; None: any number."""

    def __call__(self, windows: np.ndarray, /) -> np.ndarray:
        """float32 (windows, samples) -> float32 (windows, dims)."""


class Encoder:
    """An encoder, opened and ready to run.

    Raises:
        InputError: the file is missing, of another format, or not an encoder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._network = _read(path)
        batch = self._network.batch
        if batch not in (None, 1):
            raise InputError(f"{path} takes exactly {batch} windows at once: export it with a dynamic first dimension")
        self._step = batch or MAX_WINDOWS

    @property
    def sample_rate_hz(self) -> int | None:
        """Sample rate of its input, if the file declares it."""
        return self._network.sample_rate_hz

    @property
    def window_samples(self) -> int | None:
        """Length of its windows, if it takes only one length."""
        return self._network.window_samples

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        """float32 (windows, samples) to float32 (windows, dims).

        Raises:
            InputError: the network fails, or returns something else than one finite row of numbers per window.
        """
        return np.concatenate(
            [self._run(windows[first : first + self._step]) for first in range(0, len(windows), self._step)]
        )

    def dims(self, window_samples: int) -> int:
        """Values of an embedding, found by encoding two windows of faint noise.

        Raises:
            InputError: as for a call.
        """
        noise = np.random.default_rng(0).uniform(-0.1, 0.1, (2, window_samples))
        return int(self(noise.astype(np.float32)).shape[1])

    def _run(self, windows: np.ndarray) -> np.ndarray:
        shape = f"({len(windows)} windows, {windows.shape[1]} samples)"
        try:
            embeddings = np.asarray(self._network(np.ascontiguousarray(windows, np.float32)))
        except Exception as error:  # whatever a runtime raises, the file is what is wrong
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"{self.path} cannot encode an input of {shape}: {reason}") from None
        if embeddings.dtype != np.float32 or embeddings.ndim != 2 or len(embeddings) != len(windows):
            raise InputError(
                f"{self.path} returns {embeddings.dtype}{list(embeddings.shape)} for an input of {shape}: an encoder "
                "returns float32 (windows, dims)"
            )
        if not np.isfinite(embeddings).all():
            raise InputError(f"{self.path} returns nan or inf for an input of {shape}: use another encoder")
        return embeddings


def cut_windows(samples: np.ndarray, window: int, hop: int) -> np.ndarray:
    """Windows of a clip, float32 (windows, window).

    A window starts every `hop` samples. The last one ends with the clip. A clip that is shorter than a window is
    repeated until it fills one.

    Args:
        samples: float32 (samples,), at least one.
        window: samples of a window.
        hop: samples between the starts of two windows.
    """
    if len(samples) <= window:
        return np.resize(samples, (1, window))
    count = 1 - (window - len(samples)) // hop
    starts = np.minimum(np.arange(count) * hop, len(samples) - window)
    return samples[starts[:, None] + np.arange(window)]


def _read(path: Path) -> Network:
    if path.suffix not in (".onnx", ".pt2"):
        raise InputError(f"{path} is not an encoder: give a .onnx or .pt2 file")
    if not path.is_file():
        raise InputError(f"{path} is not a file: give the file of an encoder, or make one with: sonogrid encoder")
    # Imported here: planning a grid must not wait for torch, nor a grid without encoders for onnxruntime.
    if path.suffix == ".onnx":
        from features.encoders.onnx_file import OnnxNetwork

        return OnnxNetwork(path)
    from features.encoders.pt2_file import Pt2Network

    return Pt2Network(path)

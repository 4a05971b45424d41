"""Makes an encoder's file from the PyPI package aisfx 0.1.2, without installing it.

The package pins old versions of its dependencies. Only its weights are needed: they are read from the wheel, by
torch's reader that executes nothing, after the checksum of the wheel was compared.
"""

import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from features.encoders.aisfx import SAMPLE_RATE_HZ, AisfxEncoder
from features.encoders.export import export_encoder, require_ending
from features.errors import InputError
from features.files import sha256_file

__all__ = ["LICENCE", "write_aisfx"]

PACKAGE = "aisfx==0.1.2"
SHA256 = "bfe219950715af179e9a1653e7117cc1852baef267cd6596c42cad74afe1d194"
CHECKPOINT = "aisfx/models/checkpoint.pth"
LICENCE = """\
aiSFX, model X-Sequential-CE, (c) 2022 A.B. Ma and A. Lerch, licensed under Creative Commons Attribution 4.0
International (CC BY 4.0, https://creativecommons.org/licenses/by/4.0/). Changes: file format, without classifiers.
Whoever shares the file or what is made with it names the authors, the licence and the changes, for instance by citing:
A.B. Ma, A. Lerch, "Representation Learning for the Automatic Indexing of Sound Effects Libraries", ISMIR 2022."""
TRAINED_ON = (
    "sound effects libraries: Pro Sound Effects, Soundly, UCS Mixed, Soundstorm, Production Elements, Cartoon Express, "
    "HPX Digital, Series 6000, Series 9000"
)


def write_aisfx(out: Path, wheel: Path | None = None) -> None:
    """Write the encoder to a new `.onnx` or `.pt2` file.

    Args:
        out: the file.
        wheel: the package's wheel; by default pip downloads it (23 MB).

    Raises:
        InputError: the file has another ending, or the wheel can't be had or is not the known one.
    """
    require_ending(out)
    encoder = AisfxEncoder()
    encoder.load_published(_weights(wheel))
    facts = {"licence": LICENCE, "trained_on": TRAINED_ON}
    export_encoder(encoder.eval(), out, SAMPLE_RATE_HZ, facts)


def _weights(wheel: Path | None) -> Mapping[str, torch.Tensor]:
    """Weights of the published checkpoint, by their names there."""
    with tempfile.TemporaryDirectory() as folder:
        path = _download(Path(folder)) if wheel is None else wheel
        try:
            found = sha256_file(path)
        except OSError as error:
            raise InputError(f"{path} can't be read ({error.strerror}): give the wheel of {PACKAGE}") from None
        if found != SHA256:
            raise InputError(f"{path} is not the wheel of {PACKAGE}: its SHA-256 is {found}, not {SHA256}")
        with zipfile.ZipFile(path) as archive:
            content = io.BytesIO(archive.read(CHECKPOINT))
    # Beside the weights, the checkpoint counts classes in numbers of numpy, under a former name of its module.
    number = np.int64(0).__reduce__()[0]
    known: list[Any] = [(number, "numpy.core.multiarray.scalar"), np.dtype, np.dtypes.Int64DType]
    with torch.serialization.safe_globals(known):
        weights: Mapping[str, torch.Tensor] = torch.load(content, map_location="cpu", weights_only=True)[0]
    return weights


def _download(folder: Path) -> Path:
    """The wheel, by pip from the registry that pip is set up with."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
    done = subprocess.run([*command, PACKAGE], capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        reason = " ".join(lines[-1].split())[:300] if lines else "no output"
        raise InputError(
            f"pip can't download {PACKAGE} ({reason}): check the connection, or give its wheel with --wheel"
        )
    return wheels[0]

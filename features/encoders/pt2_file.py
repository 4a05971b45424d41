"""Encoders exported by `torch.export`, run by torch.

`torch.export.load` would unpickle what a file asks it to, load compiled code, and evaluate the text of symbolic shapes.
A file is therefore read first: only tensors, and a graph of torch's own operations, may be in it.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

from features.errors import InputError

__all__ = ["Pt2Network"]

# Files of an archive, below its only folder. Others hold pickles or compiled code.
ALLOWED = re.compile(
    r"archive_format|archive_version|byteorder|version|\.(format_version|storage_alignment)"
    r"|\.data/(serialization_id|version)"
    r"|models/model\.json|extra/[\w.-]+"
    r"|data/(weights|constants)/(model_(weights|constants)_config\.json|(weight|tensor)_\d+)"
    r"|data/sample_inputs/model\.pt"
)
OPERATIONS = re.compile(
    r"torch\.ops\.(aten|prims)\.\w+\.\w+|torch\.ops\.higher_order\.wrap_with_(set_grad_enabled|autocast)"
    r"|_operator\.\w+|math\.\w+|torch\.sym_\w+"
)
# Words of symbolic shapes and of conditions on them, whose text torch evaluates. Other functions are refused.
WORDS = {
    "Symbol", "positive", "nonnegative", "integer", "True", "False", "Integer", "Rational", "Add", "Mul", "Pow", "Max",
    "Min", "Mod", "PythonMod", "FloorDiv", "CeilDiv", "CleanDiv", "IntTrueDiv", "FloatTrueDiv", "ToFloat", "TruncToInt",
    "FloorToInt", "CeilToInt", "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "Equality", "Unequality", "LessThan",
    "GreaterThan", "StrictLessThan", "StrictGreaterThan", "And", "Or", "Not", "L", "size", "and", "or", "not",
    "torch", "sym_max", "sym_min", "math", "floor", "ceil", "trunc",
}  # fmt: skip
SYMBOL = re.compile(r"[suz]f?\d+")


class Pt2Network:
    """A network in a `.pt2` file with one input (windows, samples) and one output.

    Raises:
        InputError: the file is not a plain export, or has another form.
    """

    def __init__(self, path: Path) -> None:
        _require_plain(path)
        extra = {"sample_rate_hz": ""}
        try:
            program = torch.export.load(path, extra_files=extra)
        except Exception as error:  # torch raises what its parts raise
            raise _not_plain(path, " ".join(str(error).split())[:300]) from None
        names = program.graph_signature.user_inputs
        values = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
        if len(values) != 1 or not isinstance(values[0], torch.Tensor) or values[0].ndim != 2:
            form = ", ".join(str(list(value.shape)) for value in values if isinstance(value, torch.Tensor))
            raise InputError(
                f"{path} has {len(values)} inputs {form}: an encoder has one input, float32 (windows, samples)"
            )
        sizes: list[int | torch.SymInt] = list(values[0].shape)
        self.batch, self.window_samples = (size if isinstance(size, int) else None for size in sizes)
        self.sample_rate_hz = int(extra["sample_rate_hz"]) if extra["sample_rate_hz"].isdigit() else None
        self._module = program.module()

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        """float32 (windows, samples) -> float32 (windows, dims)."""
        with torch.no_grad():
            embeddings: np.ndarray = self._module(torch.from_numpy(windows)).numpy()
        return embeddings


def _not_plain(path: Path, reason: str) -> InputError:
    return InputError(f"{path} is not a plain export of torch.export.save ({reason}): export it again")


def _require_plain(path: Path) -> None:
    """Refuse a file that has more than tensors and a graph of torch's operations."""
    try:
        with zipfile.ZipFile(path) as archive:
            files = {PurePosixPath(*PurePosixPath(name).parts[1:]).as_posix(): name for name in archive.namelist()}
            for file in files:
                if not ALLOWED.fullmatch(file):
                    raise _not_plain(path, f"it holds {file[:80]!r}")
            for file, name in files.items():
                if file.endswith(".json"):
                    _require_plain_json(path, json.loads(archive.read(name)))
            inputs = archive.read(files["data/sample_inputs/model.pt"])
            if inputs:
                torch.load(io.BytesIO(inputs), weights_only=True)
    except InputError:
        raise
    except Exception as error:  # not a zip, not JSON, or a pickle of something else
        raise _not_plain(path, " ".join(str(error).split())[:120]) from None


def _require_plain_json(path: Path, value: Any) -> None:
    for key, inner in _entries(value):
        if key == "use_pickle" and inner is not False:
            raise _not_plain(path, "it holds a pickle")
        if key == "target" and not OPERATIONS.fullmatch(str(inner)):
            raise _not_plain(path, f"it calls {str(inner)[:80]!r}")
        if key == "guards_code" and not all(_is_arithmetic(str(code)) for code in inner):
            raise _not_plain(path, "a condition on its input is more than arithmetic")
        if key == "expr_str" and not _is_arithmetic(str(inner)):
            raise _not_plain(path, f"a shape is {str(inner)[:80]!r}")


def _is_arithmetic(text: str) -> bool:
    """Whether an expression has only numbers, symbols, operators and the functions of `WORDS`."""
    bare = re.sub(r"'\w+'", "", text)  # names of symbols and inputs
    words = re.findall(r"[^\W\d]\w*", bare)
    return not re.search(r"['\"\\`@:;{}]", bare) and all(word in WORDS or SYMBOL.fullmatch(word) for word in words)


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Every (key, value) of nested JSON."""
    stack = [value]
    while stack:
        place = stack.pop()
        if isinstance(place, dict):
            yield from place.items()
            stack += place.values()
        elif isinstance(place, list):
            stack += place

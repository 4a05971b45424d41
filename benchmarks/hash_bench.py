"""SHA-256 of a file that lies in memory, against reading it: how far results are from costing nothing to check."""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.rows import Row, compare
from features.files import sha256_file

SIZE = 1 << 28


def rows(quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "data.npy")
        path.write_bytes(np.random.default_rng(0).bytes(1 << 20 if quick else SIZE))

        def read() -> None:
            with path.open("rb", buffering=0) as file:
                block = bytearray(1 << 18)
                while file.readinto(block):
                    pass

        what = f"checksum of {path.stat().st_size >> 20} MB"
        return [compare(what, "floor: read the file", lambda: sha256_file(path), read, 1 if quick else 7)]

"""Fixtures for hostile input: what the command line says about it, and the page that keeps the expected words.

`SONOGRID_WRITE_EXPECTED=1 python -m pytest tests/whole/hostile/test_hostile_*.py` writes expected.md.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

PAGE = Path(__file__).with_name("expected.md")


@pytest.fixture
def keep() -> Callable[[str, Sequence[tuple[str, str, int]]], None]:
    """Holds rows (case, words, exit code) against a section of expected.md."""

    def compare(section: str, rows: Sequence[tuple[str, str, int]]) -> None:
        lines = ["| case | what sonogrid says | exit code |", "|---|---|---|"]
        lines += [f"| {_cell(case)} | {_cell(words)} | {code} |" for case, words, code in rows]
        text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
        head, found, rest = text.partition(f"## {section}\n")
        body, next_section, after = rest.partition("\n## ")
        if os.environ.get("SONOGRID_WRITE_EXPECTED"):
            kept = [line for line in body.strip("\n").splitlines() if not line.startswith("|")]
            new = "\n".join([*kept, *([""] if kept and kept[-1] else []), *lines])
            PAGE.write_text(f"{head}## {section}\n\n{new}\n{next_section}{after}", encoding="utf-8")
        else:
            assert found, f"expected.md has no section '{section}'"
            assert [line for line in body.splitlines() if line.startswith("|")] == lines

    return compare


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Ten curated clips c0.wav ... of classes A and B, four noisy, three test ones, in Kaggle's layout."""
    root, random = tmp_path / "data", np.random.default_rng(0)
    for folder, letter, n in (("train_curated", "c", 10), ("train_noisy", "n", 4), ("test", "t", 3)):
        (root / folder).mkdir(parents=True)
        for index in range(n):
            soundfile.write(root / folder / f"{letter}{index}.wav", random.uniform(-0.5, 0.5, 2_000), 16_000)
    for folder, letter, n in (("train_curated", "c", 10), ("train_noisy", "n", 4)):
        rows = "".join(f"{letter}{index}.wav,{'AB'[index % 2]}\n" for index in range(n))
        (root / f"{folder}.csv").write_text("fname,labels\n" + rows)
    (root / "sample_submission.csv").write_text("fname,A,B\n" + "".join(f"t{index}.wav,0,0\n" for index in range(3)))
    return root

"""A document as one file for each of its parts."""

import csv
from pathlib import Path

from orchestrator.pages.document import Document, Picture, Section, Sound, Table, Words
from orchestrator.pages.parts import PAGE, write_parts
from orchestrator.pages.pictures import bars
from orchestrator.pages.sounds import Excerpt


def test_a_picture_and_its_numbers_have_one_name(tmp_path: Path) -> None:
    weights = Table(["member", "weight"], [["=A", "-0.5"], ["B", "0.5"]])
    blocks = [
        Words("words"), Picture(bars(["A"], [1.0], "weight"), "weights"), weights, Table(["a"], [["1"]]),
        Sound("1. ../../x.wav", Excerpt(b"mp3", b"png", 1.0)),
    ]  # fmt: skip
    folder = tmp_path / "blend"
    for _ in range(2):  # again: replaced
        write_parts(Document("title", "subtitle", [Section("The blend (leaky)", blocks)]), folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        PAGE, "the-blend-leaky-1-x-wav.mp3", "the-blend-leaky-1-x-wav.png", "the-blend-leaky-2.csv",
        "the-blend-leaky.csv", "the-blend-leaky.png",
    ]  # fmt: skip
    with (folder / "the-blend-leaky.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["member", "weight"], ["'=A", "-0.5"], ["B", "0.5"]], "no name is a formula"
    assert (folder / "the-blend-leaky.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "the-blend-leaky-1-x-wav.mp3").read_bytes() == b"mp3"
    assert "<svg" in (folder / PAGE).read_text(encoding="utf-8")

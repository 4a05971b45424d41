"""Hostile folders through `sonogrid init` and, where it writes a dataset.yaml, `sonogrid check`."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile

Tell = Callable[..., tuple[str, int]]
Keep = Callable[[str, Sequence[tuple[str, str, int]]], None]
Change = Callable[[Path], None]

LIST = "file,label\n" + "".join(f"c{index}.wav,{'AB'[index % 2]}\n" for index in range(10))


def listed(content: str | bytes, name: str = "list.csv") -> Change:
    """All clips in one folder, and a list of them."""

    def change(root: Path) -> None:
        for path in [*root.glob("*/*.wav")]:
            path.rename(root / path.name)
        for folder in ("A", "B"):
            (root / folder).rmdir()
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


def moved(folder: str | bytes) -> Change:
    return lambda root: os.rename(root / "A", os.path.join(os.fsencode(root), os.fsencode(folder)))  # noqa: PTH104, PTH118


def described(content: str) -> Change:
    return lambda root: (root / "dataset.yaml").write_text(content)  # type: ignore[return-value]


def linked_outside(root: Path) -> None:
    outside = root.parent / "outside"
    if not outside.exists():
        shutil.copytree(root / "A", outside)
    shutil.rmtree(root / "A")
    (root / "A").symlink_to(outside)


def clip_linked_outside(root: Path) -> None:
    outside = root.parent / "outside.wav"
    outside.write_bytes((root / "A" / "c0.wav").read_bytes())
    (root / "A" / "c0.wav").unlink()
    (root / "A" / "c0.wav").symlink_to(outside)


def both_folders(first: str, second: str) -> Change:
    def change(root: Path) -> None:
        (root / "A").rename(root / first)
        (root / "B").rename(root / second)

    return change


REFUSED: dict[str, Change] = {
    "no audio": lambda root: [shutil.rmtree(root / name) for name in "AB"] and None,
    "one class": lambda root: shutil.rmtree(root / "A"),
    "a class linked from outside": linked_outside,
    "a class called fname": moved("fname"),
    "a class with a line break": moved("a\nb"),
    "a class whose name is not text": moved(b"a\xff"),
    "a list of files that are elsewhere": listed(LIST.replace("c", "/home/me/c")),
    "a list that is not text": listed(b"\xff\xfe" + LIST.encode("utf-16-le")),
    "a list with an open quote": listed(LIST + 'x,"y\n'),
    "a list without labels": listed("".join(line.split(",")[0] + ",1.5\n" for line in LIST.splitlines())),
    "a column of files in braces": listed(LIST.replace("file", "{file}")),
    "a broken line of JSON": listed('{"file": "c0.wav", "label": "A"}\n{"file": \n', "list.jsonl"),
    "a dataset.yaml that says something else": described("classes: [B, A]\ncurated: {}\n"),
    "a dataset.yaml that is broken": described("curated: {audio: ../..}\n"),
    "a dataset.yaml that is a folder": lambda root: (root / "dataset.yaml").mkdir(),
    "a bomb of aliases": described("a: &a [x, x]\nb: [*a, *a]\n"),
}  # fmt: skip
ACCEPTED: dict[str, Change] = {
    "a folder per class": lambda root: None,
    "classes that look alike": both_folders("Bark", "bark"),
    "a class with an escape sequence in a note": lambda root: (root / "\x1b[31mx.wav").write_bytes(b""),
    "an emoji": moved("👩\u200d🚀"),
    "a loop of links": lambda root: (root / "A" / "loop").symlink_to(root),
    "a pipe": lambda root: os.mkfifo(root / "A" / "pipe.wav"),
    "an empty clip": lambda root: (root / "A" / "c0.wav").write_bytes(b""),
    "a clip that is a link to outside": clip_linked_outside,
    "a text with the ending of audio": lambda root: (root / "A" / "x.wav").write_text("hello"),  # type: ignore[return-value]
    "formats that are not read": lambda root: (root / "A" / "x.m4a").write_text("hello"),  # type: ignore[return-value]
    "a list": listed(LIST),
    "a list that leaves the folder": listed(LIST + "../../etc/passwd,A\n"),
    "a list of a file with braces": listed(LIST + "{c}.wav,A\n"),
    "a list with missing files": listed(LIST + "gone.wav,A\nlost.wav,B\n"),
    "a list with a name of 2,000 characters": listed(LIST + "x" * 2_000 + ".wav,A\n"),
}


def test_folders_that_init_is_given(tmp_path: Path, tell: Tell, keep: Keep) -> None:
    good, data = tmp_path / "good", tmp_path / "data"
    random = np.random.default_rng(0)
    for index in range(10):
        path = good / "AB"[index % 2] / f"c{index}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, random.uniform(-0.5, 0.5, 2_000), 16_000)
    rows = []
    for cases, wanted in ((REFUSED, 2), (ACCEPTED, 0)):
        for case, change in cases.items():
            shutil.copytree(good, data)
            change(data)
            before = _tree(data)
            words, code = tell("init", "data")
            assert code == wanted, (case, words)
            after = _tree(data)
            if code:
                assert after == before, case
            else:
                assert after == {**before, "dataset.yaml": after["dataset.yaml"]}, case
                rows.append((f"{case}: init", words if words.startswith("note") else "wrote data/dataset.yaml", code))
                words, code = tell("check", "data")
            assert len(words) < 1_000, case
            rows.append((f"{case}: check" if wanted == 0 else case, words, code))
            shutil.rmtree(data)
    keep("Folders that init is given", rows)


def _tree(root: Path) -> dict[str, bytes]:
    """Content of every file, and the names of folders, links and pipes."""
    found = {}
    for path in root.rglob("*"):
        regular = path.is_file() and not path.is_symlink()
        found[os.fsdecode(os.fsencode(path.relative_to(root)))] = path.read_bytes() if regular else b""
    return found

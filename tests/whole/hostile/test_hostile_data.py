"""Hostile CSVs, names and folders through `sonogrid check`, and the shared folder of hostile inputs, case by case."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.hostile import CASES, HOSTILE, dataset_with

Tell = Callable[..., tuple[str, int]]
Keep = Callable[[str, Sequence[tuple[str, str, int]]], None]
Change = Callable[[Path], None]

ROWS = "".join(f"c{index}.wav,{'AB'[index % 2]}\n" for index in range(10))
CURATED = "fname,labels\n" + ROWS
ALONE = ("train_noisy.csv", "sample_submission.csv")
"""Without them the classes are the curated labels."""


def csv(content: str | bytes, *, name: str = "train_curated.csv", without: Sequence[str] = ()) -> Change:
    def change(root: Path) -> None:
        for other in without:
            (root / other).unlink()
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


def classes(content: str) -> Change:
    return csv(content, name="sample_submission.csv")


def named(name: str, *, there: bool = True) -> Change:
    """A row with a name, and a good clip of that name."""

    def change(root: Path) -> None:
        if there:
            path = root / "train_curated" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((root / "train_curated" / "c0.wav").read_bytes()[:-2] + f"{len(name):02}".encode())
        quoted = name.replace('"', '""')
        with (root / "train_curated.csv").open("a") as file:
            file.write(f'"{quoted}",A\n')

    return change


def replaced(name: str, make: Callable[[Path], Any]) -> Change:
    def change(root: Path) -> None:
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        make(path)

    return change


def copied(source: str, target: str | bytes) -> Change:
    def change(root: Path) -> None:
        shutil.copy(os.fsencode(root / source), os.fsencode(root) + b"/" + os.fsencode(target))

    return change


def zenodo(root: Path) -> None:
    (root / "FSDKaggle2019.meta").mkdir()
    shutil.copy(root / "train_curated.csv", root / "FSDKaggle2019.meta" / "train_curated_post_competition.csv")


def both(*changes: Change) -> Change:
    def change(root: Path) -> None:
        for one in changes:
            one(root)

    return change


REFUSED: dict[str, Change] = {
    "columns separated by ;": csv(CURATED.replace(",", ";")),
    "columns separated by tabs": csv(CURATED.replace(",", "\t")),
    "UTF-16": csv(CURATED.encode("utf-16")),
    "Latin-1": csv((CURATED + "é.wav,A\n").encode("latin-1")),
    "a zero byte": csv(CURATED + "a\0.wav,A\n"),
    "an Excel file named .csv": csv(b"PK\x03\x04" + b"\xff" * 300),
    "a cell of 200,000 characters": csv(CURATED + "x" * 200_000 + ".wav,A\n"),
    "no bytes": csv(""),
    "a header alone": csv("fname,labels\n"),
    "20,000 columns": csv("fname,labels," + ",".join(f"x{index}" for index in range(20_000)) + "\n"),
    "column 'labels' twice": csv(CURATED.replace("labels", "labels,labels", 1)),
    "columns in capitals": csv(CURATED.replace("fname,labels", "FNAME,Labels")),
    "a line 'sep=,' first": csv("sep=,\n" + CURATED),
    "a quote that never ends": csv(CURATED.replace("c5.wav", '"c5.wav')),
    "curly quotes": csv(CURATED.replace("c5.wav,B", "c5.wav,“A,B”")),
    "a row of one field": csv(CURATED + "# comment\n"),
    "a clip twice with other labels": csv(CURATED + "c0.wav,B\n"),
    "a label with an invisible mark": csv(CURATED.replace("c1.wav,B", "c1.wav,B\u200b")),
    "a label with its accent apart": both(
        classes("fname,A,Caf\u00e9\nt0.wav,0,0\n"),
        csv(CURATED.replace(",B", ",A").replace("1.wav,A", "1.wav,Cafe\u0301")),
    ),
    "a label like a formula": csv(CURATED.replace("c1.wav,B", "c1.wav,=cmd()")),
    "labels that are commas": csv(CURATED.replace("c1.wav,B", 'c1.wav,",,"')),
    "the header again": csv(CURATED + "fname,labels\n"),
    "two byte order marks": csv("\ufeff\ufeff" + CURATED),
    "a comma more in each header": csv(CURATED.replace("labels", "labels,", 1).replace(ROWS, "c0.wav,A\n")),
    "a separator of lines": csv(CURATED.replace("\nc3", "\u2028c3")),
    "an HTML page": csv("<html>login</html>"),
    "three clips for five folds": csv("fname,labels\nc0.wav,A\nc1.wav,B\nc2.wav,A\n"),
    "sample_submission.csv that holds labels": classes("fname,labels\nt0.wav,A\n"),
    "sample_submission.csv with a row too short": classes("fname,A,B\nt0.wav\nt1.wav,0,0\n"),
    "sample_submission.csv that leaves its folder": classes("fname,A,B\n../train_curated/c0.wav,0,0\n"),
    "vocabulary.csv with a class twice": csv("0,A\n1,A\n", name="vocabulary.csv", without=["sample_submission.csv"]),
    "train_curated.csv is a device": replaced("train_curated.csv", lambda path: path.symlink_to("/dev/zero")),
    "labels separated by ;": csv(CURATED.replace("c1.wav,B", "c1.wav,A;B")),
    "a label in other case": csv(CURATED.replace("c1.wav,B", "c1.wav,b")),
    "a noisy label that no curated clip has": csv(
        "fname,labels\nn0.wav,C\nn1.wav,A\n", name="train_noisy.csv", without=["sample_submission.csv"]
    ),
    "one class": csv(CURATED.replace(",B", ",A"), without=ALONE),
    "a class 'fname'": csv(CURATED.replace(",A", ",fname"), without=ALONE),
    "a class with an escape sequence": csv(CURATED.replace(",A", ",\x1b[31mA"), without=ALONE),
    "a class with a line break": csv(CURATED.replace("c1.wav,B", 'c1.wav,"B\nB2"'), without=ALONE),
    "a class of 5,000 letters": csv(CURATED.replace(",A", "," + "A" * 5_000), without=ALONE),
    "sample_submission.csv without rows": classes("fname,A,B\n"),
    "sample_submission.csv without fname": classes("id,A,B\nt0.wav,0,0\n"),
    "sample_submission.csv with fname twice": classes("fname,A,B,fname\nt0.wav,0,0,t0.wav\n"),
    "sample_submission.csv with a class twice": classes("fname,A,B,A\nt0.wav,0,0,0\n"),
    "sample_submission.csv with a nameless class": classes("fname,A,B,\nt0.wav,0,0,\n"),
    "vocabulary.csv that skips a number": csv("0,A\n2,B\n", name="vocabulary.csv", without=["sample_submission.csv"]),
    "train_curated.csv is a folder": replaced("train_curated.csv", Path.mkdir),
    "train_curated.csv is a broken link": replaced("train_curated.csv", lambda path: path.symlink_to("gone")),
    "train_noisy.csv is a broken link": replaced("train_noisy.csv", lambda path: path.symlink_to("gone")),
    "sample_submission.csv is a link to itself": replaced(
        "sample_submission.csv", lambda path: path.symlink_to("sample_submission.csv")
    ),
    "train_curated.csv is a named pipe": replaced("train_curated.csv", os.mkfifo),
    "the folder train_curated is a file": replaced("train_curated", lambda path: path.write_text("x")),
    "no folder train_curated": replaced("train_curated", lambda path: None),
    "no train_curated.csv": replaced("train_curated.csv", lambda path: None),
    "DATA is a file": replaced(".", lambda path: path.write_text("x")),
    "DATA is not there": shutil.rmtree,
    "Zenodo's CSV without its audio": both(zenodo, replaced("train_curated.csv", lambda path: None)),
    "a name with a line break": named("a\nb.wav"),
    "a name with a tab": named("a\tb.wav"),
    "a name with an escape sequence": named("\x1b[31mred.wav"),
    "a name with a bell": named("a\x07.wav"),
    "an empty name": named("", there=False),
    "/etc/passwd": named("/etc/passwd", there=False),
    "../outside.wav": named("../outside.wav", there=False),
    ".. in the middle": named("sub/../c0.wav", there=False),
    ".": named(".", there=False),
    "a slash at the end": named("c0.wav/", there=False),
    "a URL": named("file:///etc/passwd", there=False),
    "C:\\x.wav": named("C:\\x.wav", there=False),
    "..\\..\\x.wav": named("..\\..\\x.wav", there=False),
    "a name of 304 letters": named("x" * 300 + ".wav", there=False),
    "a path of 2,000 folders": named("a/" * 2_000 + "x.wav", there=False),
    "below a clip": named("c0.wav/x.wav", there=False),
    "NFC in the CSV, NFD on disk": both(
        named("caf\u00e9.wav", there=False), copied("train_curated/c0.wav", "train_curated/cafe\u0301.wav")
    ),
}
ACCEPTED: dict[str, Change] = {
    "line ends of old Macs": csv(CURATED.replace("\n", "\r")),
    "other column order": csv("labels,fname\n" + "".join(f"{'AB'[index % 2]},c{index}.wav\n" for index in range(10))),
    "spaces around names, labels and columns": csv(" fname , labels \n" + ROWS.replace("c2.wav,A", " c2.wav , A ")),
    "a nameless index column": csv(",fname,labels\n" + "".join(f"{i},c{i}.wav,{'AB'[i % 2]}\n" for i in range(10))),
    "blank rows": csv(CURATED + "\n\n,\n  ,  \n"),
    "a row twice": csv(CURATED + "c0.wav,A\n"),
    "a thousand rows twice": csv(CURATED + "c0.wav,A\n" * 1_000),
    "classes that are numbers": csv(CURATED.replace(",A", ",1").replace(",B", ",2"), without=ALONE),
    "labels separated by ;, no list of classes": csv(CURATED.replace("c1.wav,B", "c1.wav,A;B"), without=ALONE),
    "'B' with and without an invisible mark, no list of classes": csv(
        CURATED.replace("c1.wav,B", "c1.wav,B\u200b"), without=ALONE
    ),
    "a Cyrillic letter among Latin ones": csv(CURATED.replace(",B", ",B\u0430rk"), without=ALONE),
    "a class with one clip": csv(CURATED.replace(",B", ",A").replace("c1.wav,A", "c1.wav,B")),
    "a class that only noisy clips have": both(
        classes("fname,A,B,C\nt0.wav,0,0,0\nt1.wav,0,0,0\nt2.wav,0,0,0\n"),
        csv("fname,labels\nn0.wav,C\nn1.wav,A\nn2.wav,B\nn3.wav,A\n", name="train_noisy.csv"),
    ),
    "vocabulary.csv beside sample_submission.csv": csv("0,A\n1,Z\n", name="vocabulary.csv"),
    "'Bark' and 'bark', no list of classes": csv(
        CURATED.replace(",A", ",Bark").replace("c1.wav,B", "c1.wav,bark"), without=ALONE
    ),
    "a class like markup": csv(CURATED.replace(",A", ",[red]A[/red]").replace(",B", ",[/]"), without=ALONE),
    "a class like a path": csv(CURATED.replace(",A", ",../../x"), without=ALONE),
    "a class without a clip": classes("fname,A,B,C\nt0.wav,0,0,0\nt1.wav,0,0,0\nt2.wav,0,0,0\n"),
    "values in sample_submission.csv that are no numbers": classes("fname,A,B\nt0.wav,x,nan\nt1.wav,,\nt2.wav,0,0\n"),
    "Kaggle's and Zenodo's CSV": zenodo,
    "a folder without its CSV": lambda root: (root / "train_noisy.csv").unlink(),
    "a name with a leading -": named("-rf.wav"),
    "a name like a formula": named("=cmd|' /C calc'!A0.wav"),
    "a name for a shell": named("$(touch x); `id` & '\".wav"),
    "a name for printf": named("%s%n%d.wav"),
    "a name like markup": named("[red]x[/].wav"),
    "a name that turns the writing direction": named("a\u202egnp.wav"),
    "an emoji of several": named("👩\u200d🚀.wav"),
    "NFC and NFD twins": both(named("caf\u00e9.wav"), named("cafe\u0301.wav")),
    "names that differ in case": named("C0.WAV"),
    "a name like a missing value": named("nan"),
    "a name in a folder": named("sub/dir/x.wav"),
    "a hidden file": named(".x.wav"),
    "an unlisted file whose name is not text": copied("train_curated/c0.wav", b"train_curated/bad\xff.wav"),
    "an unlisted file with an escape sequence": copied("train_curated/c0.wav", "train_curated/\x1b[31mx\n.wav"),
    "an unlisted link to itself": lambda root: (root / "train_curated" / "l.wav").symlink_to("l.wav"),
    "the same audio in curated and noisy": copied("train_curated/c0.wav", "train_noisy/n0.wav"),
    "the same audio in train and test": copied("train_curated/c0.wav", "test/t0.wav"),
}
ALWAYS = "train_noisy.csv has 4 usable clips for 5 folds"


def test_csv_files_names_and_folders(dataset: Path, tmp_path: Path, tell: Tell, keep: Keep) -> None:
    shutil.move(dataset, tmp_path / "good")
    rows = []
    for cases, wanted in ((REFUSED, 2), (ACCEPTED, 0)):
        for case, change in cases.items():
            shutil.copytree(tmp_path / "good", dataset)
            change(dataset)
            words, code = tell("check", "data")
            assert code == wanted, (case, words)
            if code == 0:
                notes = [note for note in words.split(" / ") if note.startswith("note") and ALWAYS not in note]
                words = " / ".join([*notes, "no problems"])
            assert len(words) < 1_000, case
            rows.append((case, words, code))
            shutil.rmtree(dataset) if dataset.is_dir() else dataset.unlink(missing_ok=True)
    keep("CSV files, names and folders", rows)


def test_of_a_thousand_problems_check_tells_all_and_launch_the_first(dataset: Path, tell: Tell) -> None:
    csv(CURATED + "".join(f"gone{index}.wav,A\n" for index in range(1_000)))(dataset)
    words, code = tell("check", "data")
    assert (code, words.count("is missing")) == (2, 1_000)
    assert words.endswith("1,000 problems in all")
    words, code = tell("launch", "demo", "--data", "data", "--out", "run")
    assert (code, words.count("is missing")) == (2, 50)
    assert words.endswith("and 950 more problems ('sonogrid check DATA' lists all)")


def test_the_shared_folder_case_by_case(dataset: Path, tell: Tell, keep: Keep) -> None:
    if not CASES:
        pytest.skip(f"no folder {HOSTILE} (set SONOGRID_SHARED_DATA)")
    rows = []
    for case in CASES:
        shutil.rmtree(dataset)
        dataset_with(case, dataset)
        words, code = tell("check", "data")
        assert code == (2 if case["expected"].startswith("reject") else 0), case["path"]
        if code == 0:
            notes = [note for note in words.split(" / ") if note.startswith("note") and "for 5 folds" not in note]
            words = " / ".join([*notes, "no problems"])
        rows.append((f"{case['path']}: {case['defect']}", words, code))
    keep("The shared folder of hostile inputs", rows)

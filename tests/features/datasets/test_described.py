from pathlib import Path

import pytest

from features.datasets.described import described_layout, read_table
from features.errors import DataError
from features.layout import Layout
from tests.features.datasets.conftest import Clip, Text

CLIPS = ("audio/a.wav", "audio/b.wav", "audio/c.wav")
LIST = "name,tags,who,part\na,x;y,1,train\nb,y,1,train\nc,x,2,test\n"
CURATED = "curated: {audio: audio, csv: l.csv, file: '{name}.wav', labels: tags, label_separator: ;"


@pytest.fixture
def read(root: Path, clip: Clip, text: Text):  # type: ignore[no-untyped-def]
    """A function that reads `CLIPS` as a dataset.yaml says."""
    for name in CLIPS:
        clip(name)
    text("l.csv", LIST)

    def layout(content: str) -> Layout:
        text("dataset.yaml", content)
        return described_layout(root)

    return layout


def test_rows_become_clips(read, root: Path) -> None:  # type: ignore[no-untyped-def]
    layout = read(
        f"{CURATED}, group: who, where: {{part: train}}}}\n"
        + ("test: {audio: audio, csv: l.csv, file: '{name}.wav', labels: tags, where: {part: test}}\n")
    )
    assert layout.classes == ("x", "y")
    curated = layout.parts["curated"]
    assert (curated.csv, curated.folder) == (root / "l.csv", root / "audio")
    assert [(row.clip, row.labels, row.columns["group"]) for row in curated.rows] == [
        ("a.wav", ("x", "y"), "1"), ("b.wav", ("y",), "1"),
    ]  # fmt: skip
    assert [(row.clip, row.labels) for row in layout.parts["test"].rows] == [("c.wav", ("x",))]
    assert layout.group_by == "group"
    assert layout.notes == layout.problems == ()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (CURATED.replace("l.csv", "m.csv") + "}", "m.csv is not a regular file"),
        (CURATED.replace("audio: audio", "audio: sound") + "}", "sound is not a folder: correct curated.audio in"),
        (CURATED.replace("labels: tags", "labels: tag") + "}", "no column 'tag', which .* in curated.labels: did"),
        (CURATED.replace("{name}", "{nam}") + "}", "no column 'nam', which .* in curated.file: did you mean 'name'"),
        (CURATED + ", where: {zzz: a}}", "no column 'zzz', which .* in curated.where: it has name, tags, who, part"),
        (CURATED + ", group: g}", "no column 'g', which .* names in curated.group"),
        (CURATED + ", where: {part: dev}}", "names no classes"),
        (CURATED + ", where: {name: b}}", "names one class only, y: tagging needs at least two"),
        (CURATED + "}\nnoisy: {audio: audio, csv: l.csv, file: '{name}', labels: tags, where: {part: z}}",
         "noisy describes no clips: correct it or remove it"),
        (CURATED + "}\nclasses: [x, x]", "lists x more than once"),
        (CURATED + "}\nlabel_names: {csv: l.csv, key: k, name: tags}", "no column 'k', which .* in label_names"),
    ],
)  # fmt: skip
def test_faults_of_the_whole_are_one_sentence(content: str, sentence: str, read) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match=sentence) as caught:
        read(content)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("../../x,x,1,train", "names '../../x.wav', which leaves the folder audio"),
        ("/etc/passwd,x,1,train", "names '/etc/passwd.wav', which leaves the folder audio"),
        ("link,x,1,train", "names 'link.wav', which links to a file outside the folder audio"),
        ("b/../c,x,1,train", "which leaves the folder"),
        ("d,,1,train", "has no label for d.wav"),
        ("d,X,1,train", "not in the list of classes"),
        ("d,x,1", "has 3 fields where the header has 4"),
        ("a,y,1,train", "repeats a.wav with other labels"),
    ],
)
def test_rows_that_cannot_be_used_are_named(row: str, sentence: str, read, root: Path, text: Text) -> None:  # type: ignore[no-untyped-def]
    outside = root.parent / "outside.wav"
    outside.write_bytes((root / "audio/a.wav").read_bytes())
    (root / "audio" / "link.wav").symlink_to(outside)
    text("l.csv", LIST + row + "\n")
    layout = read(CURATED + "}\nclasses: [x, y]")
    assert len(layout.problems) == 1
    assert f"l.csv line 5 {sentence}" in layout.problems[0] or sentence in layout.problems[0]


def test_one_column_per_class(read, text: Text) -> None:  # type: ignore[no-untyped-def]
    text("l.csv", "name,dog,cat\na,1,0\nb,TRUE,x\nc,0.7,0\n")
    layout = read("curated: {audio: audio, csv: l.csv, file: '{name}.wav', labels: [dog, cat]}")
    assert [row.labels for row in layout.parts["curated"].rows] == [("dog",), ("dog", "cat")]
    assert layout.problems[0].endswith("l.csv line 4 has '0.7' in column 'dog': write 1 or 0")


def test_a_folder_is_a_class_unless_it_is_another_part(root: Path, clip: Clip, text: Text) -> None:
    for name in (
        "dog/1.wav",
        "dog/day/2.wav",
        "cat/3.wav",
        "loose.wav",
        "_noise_/4.wav",
        "held/5.wav",
        "held/dog/6.wav",
    ):
        clip(name)
    text("dog/notes.m4a", "")
    text("dataset.yaml", "curated: {}\ntest: {audio: held}\n")
    layout = described_layout(root)
    assert layout.classes == ("cat", "dog")
    assert [(row.clip, row.labels) for row in layout.parts["curated"].rows] == [
        ("cat/3.wav", ("cat",)), ("dog/1.wav", ("dog",)), ("dog/day/2.wav", ("dog",)),
    ]  # fmt: skip
    assert [(row.clip, row.labels) for row in layout.parts["test"].rows] == [("5.wav", ()), ("dog/6.wav", ("dog",))]
    assert layout.notes == (
        f"1 file lies in no class's folder of {root}; ignored: loose.wav",
        f"{root}/_noise_ is ignored: its name begins with '_', so it is no class",
        f"{root} has files of formats that are not read (1 .m4a): convert them, for instance with ffmpeg",
    )


def test_clips_of_several_sources_are_named_below_the_folder_they_share(root: Path, clip: Clip, text: Text) -> None:
    for name in ("in/train/dog/1.wav", "in/valid/dog/1.wav", "in/train/cat/1.wav"):
        clip(name)
    text("dataset.yaml", "curated: [{audio: in/train}, {audio: in/valid}]\n")
    part = described_layout(root).parts["curated"]
    assert part.folder == root / "in"
    assert [row.clip for row in part.rows] == ["train/cat/1.wav", "train/dog/1.wav", "valid/dog/1.wav"]


def test_missing_and_unlisted_files_are_counted(read, root: Path, clip: Clip) -> None:  # type: ignore[no-untyped-def]
    (root / "audio/b.wav").unlink()
    clip("audio/new/d.wav")
    layout = read(CURATED + ", missing: skip}")
    assert [row.clip for row in layout.parts["curated"].rows] == ["a.wav", "c.wav"]
    assert layout.notes == (
        f"1 of 3 clips of {root}/l.csv are left out, as they are not here",
        f"{root}/audio has 1 audio file that no list names; ignored: new/d.wav",
    )


def test_labels_are_translated(read, text: Text) -> None:  # type: ignore[no-untyped-def]
    text("names.csv", 'mid,display_name\nx,"Crow, caw"\ny,Dog\n')
    layout = read(CURATED + "}\nlabel_names: {csv: names.csv, key: mid, name: display_name}")
    assert layout.classes == ("Crow, caw", "Dog")
    assert layout.parts["curated"].rows[0].labels == ("Crow, caw", "Dog")


def test_json_lines_and_commented_lists_are_tables(root: Path, text: Text) -> None:
    text("m.jsonl", '{"file_name": "a.wav", "label": ["x", "y"], "n": 3}\n\n{"file_name": "b.wav", "label": "x"}\n')
    table = read_table(root / "m.jsonl")
    assert table.header == ("file_name", "label", "n")
    assert table.rows == [(1, ["a.wav", "x,y", "3"]), (3, ["b.wav", "x", ""])]
    text("s.csv", '# made in 2017\n# YTID, start_seconds, positive_labels\nab, 30.000, "/m/1,/m/2"\n')
    table = read_table(root / "s.csv")
    assert table.header == ("YTID", "start_seconds", "positive_labels")
    assert table.rows == [(3, ["ab", "30.000", "/m/1,/m/2"])]
    for name, content, words in (
        ("bad.jsonl", "{}\n[1]\n", "line 2 is not a JSON object"),
        ("deep.jsonl", "[" * 100_000, "line 1 is not a JSON object"),
        ("empty.jsonl", "\n", "is empty"),
    ):
        text(name, content)
        with pytest.raises(DataError, match=words):
            read_table(root / name)

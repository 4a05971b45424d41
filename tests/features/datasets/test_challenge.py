from collections.abc import Callable
from pathlib import Path

import pytest

from features.datasets.find import find_layout
from features.errors import DataError

Append = Callable[[str], None]


def structural(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        find_layout(root)
    assert all("\n" not in problem for problem in caught.value.problems)
    return str(caught.value)


def test_kaggle(demo: Path) -> None:
    layout = find_layout(demo)
    assert layout.classes == ("Chirp_down", "Chirp_up", "Clicks", "Noise_bursts", "Siren", "Tone")
    assert {name: len(part.rows) for name, part in layout.parts.items()} == {"curated": 14, "noisy": 12, "test": 4}
    assert layout.problems == layout.notes == ()


def test_zenodo_reads_like_kaggle(tmp_path: Path, demo: Path) -> None:
    meta = tmp_path / "FSDKaggle2019.meta"
    meta.mkdir()
    for part in ("train_curated", "train_noisy"):
        (tmp_path / f"FSDKaggle2019.audio_{part}").symlink_to(demo / part)
        rows = (demo / f"{part}.csv").read_text().splitlines()
        extra = [rows[0] + ",freesound_id,license", *(f"{row},1,CC0" for row in reversed(rows[1:]))]
        (meta / f"{part}_post_competition.csv").write_text("\n".join(extra) + "\n")
    (tmp_path / "FSDKaggle2019.audio_test").symlink_to(demo / "test")
    test_rows = [row + ",Public,1,CC0" for row in (demo / "test_labels.csv").read_text().splitlines()[1:]]
    header = "fname,labels,usage,freesound_id,license"
    (meta / "test_post_competition.csv").write_text("\n".join([header, *test_rows]) + "\n")
    kaggle = find_layout(demo)
    (meta / "vocabulary.csv").write_text("".join(f"{i},{name}\n" for i, name in enumerate(kaggle.classes)))

    zenodo = find_layout(tmp_path)
    assert zenodo.classes == kaggle.classes
    for subset in ("curated", "noisy"):
        of = {row.clip: row.labels for row in kaggle.parts[subset].rows}
        assert {row.clip: row.labels for row in zenodo.parts[subset].rows} == of
    assert all(row.labels == () for row in zenodo.parts["test"].rows)
    assert zenodo.parts["curated"].rows[0].columns["license"] == "CC0"


def test_real_metadata_is_read_whole(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    meta = shared_data("fsdkaggle2019_meta")
    (tmp_path / "FSDKaggle2019.meta").symlink_to(meta)
    for part in ("train_curated", "train_noisy", "test"):
        (tmp_path / f"FSDKaggle2019.audio_{part}").mkdir()
    layout = find_layout(tmp_path)
    assert {name: len(part.rows) for name, part in layout.parts.items()} == {
        "curated": 4_970, "noisy": 19_815, "test": 4_481,
    }  # fmt: skip
    assert sum(len(row.labels) for row in layout.parts["curated"].rows) == 5_752
    assert sum(len(row.labels) for row in layout.parts["noisy"].rows) == 24_000
    assert len(layout.classes) == 80
    assert list(layout.classes) == sorted(layout.classes)
    assert layout.problems == ()


def test_classes_without_any_list_are_the_sorted_labels(tiny: Path, append: Append) -> None:
    (tiny / "vocabulary.csv").unlink()
    append('x.wav,"C, A,,C"')
    layout = find_layout(tiny)
    assert layout.classes == ("A", "B", "C")
    assert layout.parts["curated"].rows[-1].labels == ("C", "A")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("b.wav,", "line 12 has no label for b.wav"),
        ('b.wav,", ,"', "has no label for b.wav"),
        ('b.wav,"A,Dragon"', "labels b.wav with Dragon, not in the list of classes"),
        ("b.wav,A,B", "line 12 has 3 fields where the header has 2"),
        ("../a0.wav,A", "'../a0.wav', which leaves the folder train_curated"),
        ("x/../../a0.wav,A", "leaves the folder"),
        ("/etc/passwd,A", "leaves the folder"),
        ("./a0.wav,A", "is not a plain relative path"),
        (",A", "is not a file name"),
        ('"b\n.wav",A', "is not a file name"),
        (f"{'x' * 300}.wav,A", "cannot be a file's name"),
        ("a0.wav,B", "repeats a0.wav with other labels (A and B)"),
    ],
)
def test_a_bad_row_is_told(tiny: Path, append: Append, line: str, words: str) -> None:
    append(line)
    layout = find_layout(tiny)
    assert len(layout.problems) == 1
    assert words in layout.problems[0]
    assert str(tiny / "train_curated.csv") in layout.problems[0]


def test_links_must_stay_inside(tiny: Path, append: Append) -> None:
    outside = tiny / "outside.wav"
    outside.write_bytes((tiny / "train_curated" / "a0.wav").read_bytes())
    (tiny / "train_curated" / "out.wav").symlink_to(outside)
    (tiny / "train_curated" / "in.wav").symlink_to("a1.wav")
    (tiny / "train_curated" / "sub").symlink_to(tiny)
    for name in ("out.wav", "in.wav", "sub/outside.wav"):
        append(f"{name},A")
    layout = find_layout(tiny)
    assert ["out.wav" in layout.problems[0], "sub/outside.wav" in layout.problems[1]] == [True, True]
    assert len(layout.problems) == 2
    assert layout.parts["curated"].rows[-1].clip == "in.wav"


def test_a_repeated_row_is_used_once(tiny: Path, append: Append) -> None:
    append("a0.wav,A")
    layout = find_layout(tiny)
    assert len(layout.parts["curated"].rows) == 10
    assert "line 12 repeats a0.wav: it is used once" in layout.notes[0]


def test_bom_crlf_and_extra_columns(tiny: Path) -> None:
    path = tiny / "train_curated.csv"
    lines = path.read_text().splitlines()
    text = "\r\n".join([lines[0] + ",license", *(line + ",CC0" for line in lines[1:])]) + "\r\n\r\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    layout = find_layout(tiny)
    assert layout.problems == ()
    assert [row.labels for row in layout.parts["curated"].rows][:2] == [("A",), ("B",)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"fname,labels\n", "lists no clips"),
        (b"file,tags\na0.wav,A\n", "has no column fname and labels: its first line is 'file,tags'"),
        (b"a0.wav,A\n", "has no column fname and labels"),
        (b"fname,labels,labels\na0.wav,A,A\n", "has several columns named labels: keep one"),
        ("fname,labels\nä.wav,A\n".encode("latin-1"), "is not UTF-8"),
        (b"RIFF\x00\x00\x00\x00WAVE", "is not a text file"),
        (b'fname,labels\n"a0.wav,A\n', "is not CSV"),
    ],
)
def test_an_unusable_csv_stops(tiny: Path, content: bytes, words: str) -> None:
    (tiny / "train_curated.csv").write_bytes(content)
    message = structural(tiny)
    assert words in message
    assert str(tiny / "train_curated.csv") in message


def test_classes_must_be_clear(tiny: Path) -> None:
    (tiny / "vocabulary.csv").write_text("0,A\n1,B\n2,A\n")
    assert "lists A more than once" in structural(tiny)
    (tiny / "vocabulary.csv").write_text("index,class\n0,A\n")
    assert "should hold lines 'index,class'" in structural(tiny)
    (tiny / "sample_submission.csv").write_text("fname\na.wav\n")
    (tiny / "test").mkdir()
    assert "names no classes" in structural(tiny)
    (tiny / "sample_submission.csv").write_text("fname,A,A\na.wav,0,0\n")
    assert "has several columns named A" in structural(tiny)


def test_folders_must_be_there(tiny: Path, tmp_path: Path) -> None:
    assert "is not a folder" in structural(tmp_path / "nowhere")
    (tmp_path / "zips").mkdir()
    (tmp_path / "zips" / "FSDKaggle2019.meta.zip").touch()
    assert "unpack its zip files first" in structural(tmp_path / "zips")
    (tiny / "train_noisy.csv").write_text("fname,labels\nn.wav,A\n")
    assert f"{tiny / 'train_noisy'} is missing" in structural(tiny)
    (tiny / "train_noisy.csv").unlink()
    (tiny / "train_noisy").mkdir()
    assert "is ignored: there is no train_noisy.csv" in find_layout(tiny).notes[0]


def test_structural_problems_come_together(tiny: Path) -> None:
    (tiny / "train_curated.csv").write_text("file,tags\n")
    (tiny / "train_noisy.csv").write_bytes(b"\xff\xfe")
    (tiny / "vocabulary.csv").write_text("0,A\n1,A\n")
    message = structural(tiny)
    assert all(words in message for words in ("train_curated.csv", "train_noisy.csv", "vocabulary.csv"))

from pathlib import Path

import pytest

from features.datasets.description import Dataset, Source
from features.errors import DataError

CSV = "csv: l.csv, file: '{f}'"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "must hold a mapping with 'curated', not None"),
        ("- a", "must hold a mapping with 'curated', not \\['a'\\]"),
        ("curated: {a: [}", "is not YAML"),
        ("curated: &x {}\nnoisy: *x", "line 2: aliases"),
        ("noisy: {}", "curated is missing"),
        ("curated: {}\ntests: {}", "tests is not a field here; did you mean 'test'\\?"),
        (f"curated: {{{CSV}, label: x}}", "curated.0.label is not a field here; did you mean 'labels'\\?"),
        (f"curated: {{{CSV}}}", "curated.0.labels is missing: name the column"),
        (f"curated: [{{}}, {{{CSV}, labels: 3}}]", "curated.1.labels is 3: input should be a valid string"),
        ("curated: {csv: l.csv, labels: x}", "curated.0: file is missing: say how a row"),
        ("curated: {csv: l.csv, file: a.wav, labels: x}", "curated.0: file is 'a.wav', the same for every row"),
        ("curated: {labels: x}", "curated.0: labels needs a csv: add it, or remove labels"),
        ("curated: {where: {a: b}}", "curated.0: where needs a csv"),
        (f"curated: {{{CSV}, labels: x, where: {{a: 1}}}}", "curated.0.where.a.0 is 1: input should be a valid string"),
        (f"curated: {{{CSV}, labels: x, separator: ', '}}", "curated.0.separator is ', '"),
        (f"curated: {{{CSV}, labels: x, missing: maybe}}", "curated.0.missing is 'maybe'"),
        ("curated: {audio: ../b}", "curated.0.audio: must be a plain path inside the dataset's folder"),
        ("curated: {audio: /etc}", "curated.0.audio: must be a plain path"),
        ("curated: {csv: a/../../b.csv, file: '{f}', labels: x}", "curated.0.csv: must be a plain path"),
        ("curated: {}\nlabel_names: {csv: /x, key: a, name: b}", "label_names.csv: must be a plain path"),
        ("classes: a\ncurated: {}", "classes is 'a': input should be a valid tuple"),
    ],
)
def test_faults_name_their_field(content: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "dataset.yaml"
    path.write_text(content)
    with pytest.raises(DataError, match=sentence) as caught:
        Dataset.read(path)
    assert len(caught.value.problems) == 1
    assert str(caught.value).startswith(str(path))


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "dataset.yaml"
    for content, words in (
        (b"\xff\xfe", "not UTF-8"),
        (b"a: \0", "zero byte"),
        (b"#" * 1_000_001, "at most 1,000,000"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=words):
            Dataset.read(path)


def test_what_is_written_reads_the_same(tmp_path: Path) -> None:
    rows = Source(
        csv="a/b.tsv", separator="\t", file="{x}/{y}.wav", labels=("on", "1e3"), where={"k": ("1",), "l": ("a", "b")},
        group="g", fold="f", missing="skip",
    )  # fmt: skip
    dataset = Dataset(about="x: y", classes=("no", "010", "a, b"), curated=(Source(),), noisy=(rows, Source(audio="n")))
    path = tmp_path / "dataset.yaml"
    path.write_text(dataset.as_yaml())
    assert Dataset.read(path) == dataset
    assert path.read_text().startswith("about: 'x: y'\n")


def test_file_names_are_made_of_cells() -> None:
    source = Source(csv="l.csv", file="fold{fold}/{name}", labels="x")
    assert source.file_columns == ("fold", "name")
    assert source.file_of({"fold": "3", "name": "a.wav"}) == "fold3/a.wav"
    windows = Source(csv="l.csv", file="{f}", labels="x")
    assert windows.file_of({"f": ".\\a\\b.wav"}) == "a/b.wav"

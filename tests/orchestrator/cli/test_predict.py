"""`sonogrid predict`: which files, which tags, which table."""

import io
import json
from pathlib import Path

import pandas as pd
import pytest

from orchestrator.cli.main import main
from orchestrator.run.bound import Run
from orchestrator.tagger.tagger import Tagger


@pytest.fixture
def sounds(small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two clips and a file that is none."""
    folder = tmp_path / "rec"
    folder.mkdir()
    for path in sorted(small_data.glob("test/*.wav"))[:2]:
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "bad.wav").write_text("text")
    monkeypatch.chdir(tmp_path)
    return folder


def test_bad_files_are_refused_or_named_and_skipped(
    inline_run: Run, sounds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predict = ["predict", str(inline_run.folder), "rec", "--to", "scores.csv"]
    assert main(predict) == 2
    assert not Path("scores.csv").exists()
    assert "rec/bad.wav is not readable audio" in capsys.readouterr().err
    assert main([*predict, "--skip-bad"]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == len(pd.read_csv("scores.csv")) == 2
    assert "sonogrid: skipped: rec/bad.wav is not readable audio" in said.err
    assert said.err.endswith("sonogrid: 1 file of 3 skipped\n")
    assert main(["predict", str(inline_run.folder), "rec/bad.wav", "--skip-bad"]) == 2


def test_tags_by_number_and_by_score(inline_run: Run, sounds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = str(next(path for path in sorted(sounds.iterdir()) if path.name != "bad.wav"))
    predict = ["predict", str(inline_run.folder), clip]
    assert main([*predict, "--json"]) == 0
    every = json.loads(capsys.readouterr().out)[clip]
    assert len(every) == len(inline_run.manifest.classes)
    limit = sorted(every.values())[-2]
    for options, wanted in (
        (["--threshold", str(limit)], 2),
        (["--threshold", str(limit), "--top", "1"], 1),
        (["--threshold", "1"], 0),
        (["--top", "4"], 4),
    ):
        assert main([*predict, *options, "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)[clip]) == wanted
    assert main([*predict, "--threshold", "1"]) == 0
    assert capsys.readouterr().out == f"{clip}: -\n"


def test_the_threshold_of_each_class(inline_run: Run, sounds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = str(next(path for path in sorted(sounds.iterdir()) if path.name != "bad.wav"))
    assert main(["predict", str(inline_run.folder), clip, "--threshold", "auto", "--json"]) == 0
    said = capsys.readouterr()
    tagger = Tagger.load(inline_run.folder)
    assert list(json.loads(said.out)[clip]) == [name for name, _ in tagger.tag(clip, top=99, threshold="auto")]
    assert "sonogrid: thresholds are rough for " in said.err


def test_names_come_from_standard_input(
    inline_run: Run, sounds: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [str(path) for path in sorted(sounds.iterdir()) if path.name != "bad.wav"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(names)))
    assert main(["predict", str(inline_run.folder), "-", "--to", "tags.jsonl"]) == 0
    assert [line.partition(": ")[0] for line in capsys.readouterr().out.splitlines()] == names
    assert [json.loads(line)["fname"] for line in Path("tags.jsonl").read_text().splitlines()] == names


def test_a_condition_or_the_strongest_members_alone(
    inline_run: Run, sounds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = str(next(path for path in sorted(sounds.iterdir()) if path.name != "bad.wav"))
    said = []
    for options in ([], ["--condition", "plain"], ["--members", "1"]):
        assert main(["predict", str(inline_run.folder), clip, "--json", *options]) == 0
        said.append(capsys.readouterr().out)
    assert len(set(said)) == 3
    assert main(["predict", str(inline_run.folder), clip, "--condition", "Z"]) == 2
    assert "there is no condition 'Z'" in capsys.readouterr().err


def test_windows_of_recordings(inline_run: Run, sounds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = str(next(path for path in sorted(sounds.iterdir()) if path.name != "bad.wav"))
    predict = ["predict", str(inline_run.folder), "rec", "--windows", "0.5,0.25"]
    assert main([*predict, "--to", "labels"]) == 2
    assert "rec/bad.wav is not readable audio" in capsys.readouterr().err
    assert main([*predict, "--to", "labels", "--top", "1", "--skip-bad"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"rec/{Path(clip).name} 0-0.5 s: ")
    assert len(list(Path("labels").iterdir())) == 2
    last = Path("labels", f"{Path(clip).name}.txt").read_text().splitlines()[-1].split("\t")
    assert float(last[0]) < float(last[1])
    predict[2] = clip
    assert main([*predict, "--to", "w.csv", "--json"]) == 0
    windows = json.loads(capsys.readouterr().out)[clip]
    assert [window["start_s"] for window in windows] == pd.read_csv("w.csv")["start_s"].tolist()
    assert main([*predict, "--to", "auto.txt"]) == 0
    tagger = Tagger.load(inline_run.folder)
    shown = {
        tag
        for segment in tagger.segments(clip, 0.5, 0.25)
        for tag, _ in tagger.tags_of(segment.scores, top=99, threshold="auto")
    }
    assert {line.split("\t")[2] for line in Path("auto.txt").read_text().splitlines()} == shown


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--to", "x.xlsx"], "the ending says the form"),
        (["--to", "rec/bad.wav"], "the ending says the form"),
        (["--to", "labels.txt"], "labels have times; add --windows SECONDS"),
        (["--to", "labels.txt", "--windows", "1"], "takes the labels of one recording: name a folder for 3 of them"),
        (["--windows", "0"], "'0' is not SECONDS or SECONDS,HOP, from 0.05 to 600 each"),
        (["--windows", "1,2,3"], "is not SECONDS or SECONDS,HOP"),
        (["--threshold", "2"], "'2' is not a number from 0 to 1"),
        (["--threshold", "nan"], "'nan' is not a number from 0 to 1"),
    ],
)
def test_wrong_options_are_refused(
    options: list[str], sentence: str, inline_run: Run, sounds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(inline_run.folder), "rec", *options]) == 2
    assert sentence in capsys.readouterr().err

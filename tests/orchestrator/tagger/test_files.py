import os
from pathlib import Path

import pytest

from features.errors import InputError
from orchestrator.tagger.files import find_files


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("rec/b.wav", "rec/a/c.FLAC", "rec/notes.txt", "rec/.hidden.wav", "x[1].wav", "phone/v.m4a"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["rec"], ["rec/a/c.FLAC", "rec/b.wav"]),
        (["phone"], ["phone/v.m4a"]),
        (["rec/*.wav"], ["rec/b.wav"]),
        (["rec/**/*.FLAC", "rec/a/c.FLAC"], ["rec/a/c.FLAC"]),
        (["x[1].wav"], ["x[1].wav"]),
        (["gone.wav", "rec/notes.txt"], ["gone.wav", "rec/notes.txt"]),
        (["-", "rec/b.wav"], ["one.wav", " two.wav", "rec/b.wav"]),
    ],
)
def test_words_name_files(words: list[str], found: list[str]) -> None:
    assert find_files(words, ["one.wav\n", "\n", " two.wav\r\n"]) == [Path(name) for name in found]


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("-", "standard input names no file: name files, folders or patterns"),
        ("empty", "empty holds no audio file"),
        ("*.mp3", r"\*\.mp3 holds no audio file"),
    ],
)
def test_words_that_name_nothing_are_refused(word: str, sentence: str) -> None:
    os.mkdir("empty")  # noqa: PTH102
    with pytest.raises(InputError, match=sentence):
        find_files([word], [])

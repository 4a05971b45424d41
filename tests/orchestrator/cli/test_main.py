"""The command line: verbs, helps, and mistakes that end in one sentence."""

import io
import sys
from pathlib import Path

import pytest

from features.errors import InputError
from orchestrator.cli.main import GROUPS, _parser, main

VERBS = [
    "demo", "check", "plan", "launch", "resume", "status", "logs", "sync", "tune", "predict", "submission", "score",
    "report", "ui", "serve", "register", "search", "runs", "clean", "completion",
]  # fmt: skip


def test_without_a_verb_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    error = capsys.readouterr().err
    assert all(f"    {verb}" in error for verb in VERBS)
    assert "submit" not in error.replace("submission", "")  # the former name works but is not listed


def test_every_verb_is_in_one_group() -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    (verbs,) = [action for action in _parser()._actions if action.dest == "==SUPPRESS=="]
    assert sorted(grouped) == sorted(action.dest for action in verbs._choices_actions)  # type: ignore[attr-defined]
    assert all(len(line) <= 100 for line in _parser().format_help().splitlines())


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("sonogrid 0.")


@pytest.mark.parametrize("verb", VERBS)
def test_every_argument_has_a_help(verb: str) -> None:
    arguments = {"logs": ["r", "j"], "predict": ["r", "f"], "score": ["r", "--labels", "l"], "plan": ["g"]}
    given = arguments.get(verb, ["x"])
    if verb == "completion":
        given = ["bash"]
    if verb in ("launch", "search"):
        given = ["g", "--data", "d", "--out", "o"]
    if verb == "demo":
        given = []
    parser = _parser().parse_args([verb, *given]).parser
    assert all(action.help for action in parser._actions)
    assert parser.description.endswith(".")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["stauts"], "there is no verb 'stauts'; did you mean 'status'?"),
        (["zzz"], "there is no verb 'zzz'; 'sonogrid --help' lists all verbs"),
        (["status", "r", "--wach"], "unknown argument --wach; did you mean --watch?"),
        (["status", "r", "--zzz=1"], "unknown argument --zzz; 'sonogrid status --help' lists what it takes"),
        (["status", "r", "s"], "unknown argument s; 'sonogrid status --help' lists what it takes"),
        (["status", ""], "an argument is empty: give it a value or leave it out"),
        (["status"], "the following arguments are required: RUN"),
        (
            ["launch", "g", "--data", "d", "--out", "o", "--only", ","],
            "--only: expected a comma-separated list of names",
        ),
        (["predict", "r", "f", "--top", "0"], "--top: '0' is not a whole number from 1 to 1000000"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("sonogrid: ")
    assert error.count("\n") == 1
    assert sentence in error


@pytest.mark.parametrize(("number", "code"), [(28, 1), (13, 2)])
def test_what_the_machine_refuses_is_one_sentence(
    number: int, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "no", "somewhere")

    monkeypatch.setattr("orchestrator.api.check", refuse)
    assert main(["check", "d"]) == code
    assert capsys.readouterr().err.startswith("sonogrid: somewhere: ")


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("without a number or a file")

    monkeypatch.setattr("orchestrator.api.check", fail)
    with pytest.raises(OSError, match="without a number"):
        main(["check", "d"])


def test_a_check_lists_all_problems_and_other_verbs_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train_curated").mkdir()
    rows = "".join(f"{index}.wav,{'AB'[index % 2]}\n" for index in range(60))
    (tmp_path / "train_curated.csv").write_text("fname,labels\n" + rows)
    assert main(["check", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert (len(lines), lines[-1]) == (61, "sonogrid: 60 problems in all")
    assert main(["plan", "demo", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 51
    assert "and 10 more problems ('sonogrid check DATA' lists all)" in error


def test_output_that_nobody_reads_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(*_: object, **__: object) -> None:
        raise BrokenPipeError

    class Output(io.StringIO):
        def fileno(self) -> int:
            return file.fileno()

    with Path("/dev/null").open("w") as file:
        monkeypatch.setattr(sys, "stdout", Output())
        monkeypatch.setattr("orchestrator.api.check", leave)
        assert main(["check", "d"]) == 1


def test_the_parser_raises_instead_of_exiting() -> None:
    with pytest.raises(InputError):
        _parser().parse_args(["plan"])

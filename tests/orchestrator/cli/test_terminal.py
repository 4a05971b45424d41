"""Types of options, and output that is plain text."""

import argparse
import json

import pytest

from features.errors import DataError, InputError
from orchestrator.cli import terminal


def test_lists_of_names_and_numbers() -> None:
    assert terminal.names(" A, B,,") == ("A", "B")
    assert terminal.numbers("0,12") == (0, 12)
    assert terminal.numbers("0-2, 7") == (0, 1, 2, 7)
    with pytest.raises(argparse.ArgumentTypeError, match="comma-separated"):
        terminal.names(" , ")
    with pytest.raises(argparse.ArgumentTypeError, match="'x' is not a whole number"):
        terminal.numbers("0,x")
    with pytest.raises(argparse.ArgumentTypeError, match="'-1' is not a whole number"):
        terminal.numbers("-1")
    for text in ("2-0", "0-999999"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is not a range from a smaller to a larger"):
            terminal.numbers(text)


@pytest.mark.parametrize("text", ["0", "11", "1.5", "1e3", "", "١", "9" * 100])
def test_whole_numbers_have_bounds(text: str) -> None:
    assert terminal.whole(1, 10)("10") == 10
    with pytest.raises(argparse.ArgumentTypeError, match="from 1 to 10"):
        terminal.whole(1, 10)(text)


def test_the_console_prints_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.make_console().print("[red]a[/red] :dog: 'quoted' 12 \x1b[31m\u202e")
    assert capsys.readouterr().out == "[red]a[/red] :dog: 'quoted' 12 \\x1b[31m\\u202e\n"


def test_json_has_escapes_for_what_does_not_print(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_json({"Hündin\u202e": 1})
    out = capsys.readouterr().out
    assert "Hündin\\u202e" in out
    assert json.loads(out) == {"Hündin\u202e": 1}


def test_problems_one_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_problems(InputError("wrong\nhere"), all_of_them=False)
    assert capsys.readouterr().err == "sonogrid: wrong\\nhere\n"
    terminal.print_problems(DataError([f"problem {index}" for index in range(51)]), all_of_them=False)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "sonogrid: and 1 more problem ('sonogrid check DATA' lists all)"
    assert len(lines) == 51


def test_a_locale_with_other_names_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal.require_sane_process()
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "latin-1")
    with pytest.raises(InputError, match="set PYTHONUTF8=1"):
        terminal.require_sane_process()

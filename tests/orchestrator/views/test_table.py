"""Tables that `rich.table.Table` would take seconds for."""

import io

from rich.console import Console

from orchestrator.views.table import Lines


def printed(lines: Lines, width: int, *, colours: bool = False) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=colours, color_system="standard" if colours else None).print(lines)
    return file.getvalue().splitlines()


def test_words_stand_left_numbers_right_and_the_last_column_wraps() -> None:
    rows = [("A", "7", "all is well"), ("plain", "1,200", "it broke " * 6)]
    assert printed(Lines(("job", "epochs", "why"), rows, right=("epochs",)), 40) == [
        "job    epochs  why",
        "──────────────────",
        "A           7  all is well",
        "plain   1,200  it broke it broke it",
        "               broke it broke it broke",
        "               it broke",
    ]


def test_the_rule_is_as_long_as_numbers_in_the_last_column() -> None:
    lines = printed(Lines(("job", "disk"), [("A", "1,234.5 GB")], right=("disk",)), 60)
    assert lines == ["job        disk", "───────────────", "A    1,234.5 GB"]


def test_nothing_in_a_cell_is_markup_or_a_command_of_the_terminal_and_wide_letters_count_twice() -> None:
    rows = [("[red]x[/red]", "\x1b[2Jgone"), ("犬", "ok")]
    assert printed(Lines(("job", "why"), rows), 60)[2:] == [
        "[red]x[/red]  \\x1b[2Jgone",
        "犬            ok",
    ]


def test_the_first_cell_alone_is_styled_by_its_text() -> None:
    shown = printed(Lines(("state", "job"), [("failed", "failed")], styles={"failed": "red"}), 60, colours=True)
    assert shown[2] == "\x1b[31mfailed  \x1b[0mfailed"

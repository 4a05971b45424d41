"""The picture of a grid in a terminal."""

import io

import pytest
from rich.console import Console

from orchestrator.views.cells import SPARK_WIDTH, Cell, Cells, spark_line

RISING = tuple(0.5 + 0.01 * epoch for epoch in range(12))


def shown(rows: dict[str, dict[int, Cell]], *, width: int = 120, most: int = 10, encoding: str = "utf-8") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    Console(file=file, width=width).print(Cells(rows, most))
    file.seek(0)
    return [line.rstrip() for line in file.read().splitlines()]


def test_a_cell_says_how_far_a_training_is() -> None:
    rows = {
        "plain": {0: Cell("done", 12, RISING), 1: Cell("running", 12, RISING[:3])},
        "A": {0: Cell("waiting", 12), 1: Cell("failed", 12)},
    }
    head, plain, a = shown(rows)
    assert head.split() == ["condition", "fold", "0", "fold", "1"]
    assert plain.split() == [
        "plain",
        ".610",
        spark_line(RISING, SPARK_WIDTH),
        "3/12",
        ".520",
        spark_line(RISING[:3], 8),
    ]
    assert a.split() == ["A", "-", "failed"]


@pytest.mark.parametrize(("width", "words"), [(160, "7/12 .560 ▁"), (80, "7/12 .560"), (48, "7/12")])
def test_details_go_where_there_is_no_room(width: int, words: str) -> None:
    _, row = shown({"plain": {fold: Cell("running", 12, RISING[:7]) for fold in range(5)}}, width=width)
    assert row.count(words) == 5
    assert len(row) <= width
    assert ("▁" in row) == ("▁" in words)
    assert (".560" in row) == (".560" in words)


def test_a_terminal_without_blocks_gets_no_line() -> None:
    _, row = shown({"plain": {0: Cell("done", 12, RISING)}}, encoding="ascii")
    assert row.split() == ["plain", ".610"]


def test_what_runs_is_shown_if_not_all_is() -> None:
    rows = {f"c{number}": {0: Cell("running" if number == 7 else "done", 1, (0.5,))} for number in range(9)}
    lines = shown(rows, most=2)
    assert [line.split()[0] for line in lines[1:3]] == ["c7", "c0"]
    assert lines[-1] == "and 7 more conditions"


def test_a_fold_that_a_condition_does_not_have_stays_empty() -> None:
    lines = shown({"plain": {0: Cell("waiting", 1), 1: Cell("waiting", 1)}, "A": {1: Cell("waiting", 1)}})
    assert lines[1].split() == ["plain", "-", "-"]
    assert lines[2].split() == ["A", "-"]


def test_a_line_goes_from_the_lowest_value_to_the_highest() -> None:
    assert spark_line([0.0, 1.0], 8) == "▁█"
    assert spark_line([3.0, 3.0], 8) == "▁▁"
    long = spark_line([float(value) for value in range(100)], SPARK_WIDTH)
    assert long == "▁▂▃▄▅▆▇█"

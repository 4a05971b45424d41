from pathlib import Path

from features.layout import Rows, class_faults, odd_classes, split_labels


def test_labels_of_a_cell() -> None:
    assert split_labels(" b, a,,b ") == ("b", "a")
    assert split_labels("a, b; c", ";") == ("a, b", "c")


def test_rows_are_kept_or_named(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "l.csv", tmp_path / "audio", ("A", "B"))
    for clip, labels in (("a.wav", ("A",)), ("../b.wav", ("A",)), ("c.wav", ()), ("d.wav", ("a",)), ("e.wav", ("B",))):
        rows.add("l.csv", clip, labels, {})
    assert [row.clip for row in rows.usable] == ["a.wav", "e.wav"]
    assert [problem.split(" ", 1)[1][:25] for problem in rows.problems] == [
        "names '../b.wav', which l", "has no label for c.wav: a", "labels d.wav with a, not ",
    ]  # fmt: skip
    assert set(rows.names) == {"a.wav", "../b.wav", "c.wav", "d.wav", "e.wav"}


def test_repeats_are_one_clip_or_a_problem(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "l.csv", tmp_path, ("A", "B"))
    for _ in range(8):
        rows.add("l.csv", "a.wav", ("A",), {})
    assert rows.notes[-1].endswith("repeats clips in 2 more lines: each is used once")
    rows.add("l.csv", "a.wav", ("B",), {})
    assert (rows.usable, len(rows.problems)) == ((), 1)


def test_unlabelled_rows_need_no_class(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "l.csv", tmp_path, ("A", "B"), labelled=False)
    rows.add("l.csv", "a.wav", ("other",), {})
    rows.add("l.csv", "b.wav", (), {})
    assert len(rows.usable) == 2


def test_lists_of_classes(tmp_path: Path) -> None:
    assert class_faults(("A", "B"), tmp_path) == []
    assert "one class only" in class_faults(("A",), tmp_path)[0]
    assert "more than once" in class_faults(("A", "B", "A"), tmp_path)[0]
    assert "no class may have" in class_faults(("A", "B\n"), tmp_path)[0]
    assert odd_classes(("A", "B")) == []
    assert "differ in case" in odd_classes(("Bark", "bark"))[0]

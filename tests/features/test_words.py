"""Words for messages."""

import pytest

from features.words import count, listed, nearest, plural, printable, short
from tests.fixtures.timing import assert_ratio


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Äpfel, 犬", "Äpfel, 犬"),
        ("red\x1b[31m", "red\\x1b[31m"),
        ("two\nlines", "two\\nlines"),
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
    ],
)
def test_what_does_not_print_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_long_text_loses_its_middle() -> None:
    assert short("x" * 120) == "x" * 120
    text = short("start" + "x" * 1000 + "the end", 80)
    assert len(text) <= 80
    assert text.startswith("start")
    assert text.endswith("the end")
    assert "..." in text
    assert len(short("\x1b" * 100, 80)) <= 80  # escaped first, then cut


def test_the_nearest_name() -> None:
    names = ["train-A-0", "train-B-0", "blend"]
    assert nearest("trian-A-0", names) == "train-A-0"
    assert nearest("BLEND", names) == "blend"
    assert nearest("speaker", ["fname", "labels"]) is None
    assert nearest("x", []) is None


def test_a_name_of_a_megabyte_is_no_trouble() -> None:
    names = [f"train-{i}" for i in range(1000)]
    assert nearest("a" * 2**20, names) is None
    assert_ratio(lambda: nearest("a" * 2**20, names), lambda: nearest("a" * 1000, names), 3.0)


def test_numbers_agree_with_their_nouns() -> None:
    assert [count(number, "job") for number in (0, 1, 2)] == ["0 jobs", "1 job", "2 jobs"]
    assert count(1024, "class", "classes") == "1,024 classes"
    assert f"is in {plural(1, 'box', 'boxes')}" == "is in box"


def test_a_long_list_is_cut() -> None:
    assert listed(["A", "B"]) == "A, B"
    assert listed(list("ABCDEFG")) == "A, B, C, D, E and 2 more"
    assert listed(list("ABC"), most=2) == "A, B and 1 more"

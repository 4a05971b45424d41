import pytest
import yaml

from features.errors import InputError
from features.plain_yaml import dump_plain, load_plain, shown


def test_plain_values_are_read_as_they_look() -> None:
    text = "{a: 20_600, b: 1e-3, c: 1.5E+2, d: -3, e: true, f: null, g: [x, 'y'], h: 2e3}"
    assert load_plain(text) == {
        "a": 20_600, "b": 1e-3, "c": 150.0, "d": -3, "e": True, "f": None, "g": ["x", "y"], "h": 2e3,
    }  # fmt: skip
    assert type(load_plain("2e3")) is float


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: &x 1\nb: *x", r"line 2: aliases \(\*name\) are not allowed; write the value again"),
        ("a: !!python/object:os.system x", "line 1: tags .* are not allowed; write the value itself"),
        ("a:\n  <<: {b: 1}", "line 2: '<<' is not allowed; write the values again"),
        ("a: 1\nb: 2\na: 3", "line 1: 'a' is given twice"),
        ("1: a", "line 1: 1 is not a name; quote it"),
        ("a: 010", "line 1: '010' is not a plain value"),
        ("a: 1:30", "line 1: '1:30' is not a plain value"),
        ("a: 2024-99-99", "line 1: '2024-99-99' is not a plain value"),
        ("a: 9223372036854775809", "line 1: '9223372036854775809' is not a plain value"),
        ("[" * 5_000, "nested too deeply"),
    ],
)
def test_traps_of_yaml_are_named_with_their_line(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load_plain(text)


def test_what_is_not_yaml_stays_an_error_of_yaml() -> None:
    with pytest.raises(yaml.YAMLError):
        load_plain("{a: [1")


def test_values_are_shown_short_and_without_control_characters() -> None:
    assert shown("it's") == '"it\'s"'
    assert shown(["a", 1]) == "['a', 1]"
    assert len(shown("x" * 10_000)) < 200
    assert "\x1b" not in shown("\x1b[31m")


def test_what_is_written_is_read_again() -> None:
    value = {"b": ["x, y", "ä: 'z'", "010", "yes", "1e3", "#"], "a": {"c": 1.5, "d": None, "e": True}}
    text = dump_plain(value)
    assert load_plain(text) == value
    assert list(load_plain(text)) == ["b", "a"]

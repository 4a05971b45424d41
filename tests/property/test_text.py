"""Laws of text: canonical JSON, and what a terminal gets to see."""

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.files import canonical_json, hash_of
from features.words import printable

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)


def reordered(value: object) -> object:
    """The same value, with the keys of every mapping in reverse order."""
    if isinstance(value, dict):
        return {key: reordered(inner) for key, inner in reversed(value.items())}
    return [reordered(inner) for inner in value] if isinstance(value, list) else value


@given(VALUES)
def test_canonical_json_is_json_and_does_not_depend_on_the_order_of_keys(value: object) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(reordered(value)) == text
    assert canonical_json(json.loads(text)) == text
    assert hash_of(reordered(value)) == hash_of(value)


@given(VALUES, VALUES)
def test_values_of_one_canonical_json_are_equal(one: object, other: object) -> None:
    if canonical_json(one) == canonical_json(other):
        assert one == other
    else:
        assert hash_of(one) != hash_of(other)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_json_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"a": [value]})


@given(st.text(alphabet=st.characters()))
def test_printable_text_has_no_control_characters_and_keeps_what_prints(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(character).startswith("C") for character in shown)
    assert "\n" not in shown
    assert "\x1b" not in shown
    assert printable(shown) == shown
    assert not text.isprintable() or shown == text
    assert re.sub(r"\\(x..|u....|U.{8}|[nrt\\])", "", shown).isprintable()
    shown.encode()  # a surrogate would fail here

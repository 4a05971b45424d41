"""YAML restricted to plain values with one meaning each; messages name what is not allowed."""

import re
from collections import Counter
from typing import Any

import yaml

from features.errors import GridError
from features.words import short

__all__ = ["load_plain", "shown"]

MAX_INT = 2**63


def load_plain(text: str) -> Any:
    """Read YAML as plain values.

    Raises:
        yaml.YAMLError: it is not YAML.
        GridError: it contains something that a grid may not have; the message starts with the line, without the file.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except RecursionError:
        raise GridError("nested too deeply for a grid") from None


def shown(value: Any) -> str:
    """A value of a grid as part of a message: its repr, shortened, without control characters."""
    return short(repr(value))


class _Loader(yaml.SafeLoader):
    """Safe YAML without aliases, tags, merge keys and repeated keys, in which 1e-3 is a number."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            raise GridError(
                f"line {event.start_mark.line + 1}: aliases (*name) are not allowed; use 'base' or 'defaults'"
            )
        if (tag := getattr(self.peek_event(), "tag", None)) is not None:  # type: ignore[no-untyped-call]
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise GridError(f"line {line}: tags ({shown(tag)}) are not allowed; write the value itself")
        return super().compose_node(parent, index)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        if node.tag in ("tag:yaml.org,2002:merge", "tag:yaml.org,2002:value"):
            raise GridError(f"line {node.start_mark.line + 1}: '{node.value}' is not allowed; use 'base' or 'defaults'")
        # YAML 1.1 reads 010 as 8 and 1:30 as 90, which nobody means here. (Reading a long one takes minutes.)
        number = node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
        odd = number and _ODD_NUMBER.match(node.value)
        try:
            value = _NOTHING if odd else super().construct_object(node, deep)
        except GridError:
            raise
        except (ValueError, OverflowError):  # a day 99, or a number of too many digits
            value = _NOTHING
        if value is _NOTHING or (type(value) is int and abs(value) > MAX_INT):
            raise GridError(f"line {node.start_mark.line + 1}: {shown(node.value)} is not a value a grid may have")
        return value

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if not isinstance(key, str):
                raise GridError(f"line {node.start_mark.line + 1}: {shown(key)} is not a name; quote it")
        if (twice := next((key for key, count in Counter(keys).items() if count > 1), None)) is not None:
            raise GridError(f"line {node.start_mark.line + 1}: '{twice}' is given twice")
        return super().construct_mapping(node, deep)


_NOTHING = object()
_ODD_NUMBER = re.compile(r"[^:]*:|[-+]?0[0-9_]")
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)

"""YAML restricted to plain values with one meaning each; messages name what is not allowed."""

import re
from collections import Counter
from typing import Any

import yaml
from yaml import YAMLError

from features.errors import InputError
from features.words import short

__all__ = ["YAMLError", "dump_plain", "load_plain", "shown"]

MAX_INT = 2**63


def load_plain(text: str) -> Any:
    """Read YAML as plain values.

    Raises:
        YAMLError: it is not YAML.
        InputError: it contains something else; the message starts with the line, without the file.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except RecursionError:
        raise InputError("nested too deeply") from None


def dump_plain(value: Any) -> str:
    """A plain value as YAML, in the order of its keys, which `load_plain` reads again."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=116)


def shown(value: Any) -> str:
    """A value as part of a message: its repr, shortened, without control characters."""
    return short(repr(value))


class _Loader(yaml.SafeLoader):
    """Safe YAML without aliases, tags, merge keys and repeated keys, in which 1e-3 is a number."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            raise InputError(
                f"line {event.start_mark.line + 1}: aliases (*name) are not allowed; write the value again"
            )
        if (tag := getattr(self.peek_event(), "tag", None)) is not None:  # type: ignore[no-untyped-call]
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise InputError(f"line {line}: tags ({shown(tag)}) are not allowed; write the value itself")
        return super().compose_node(parent, index)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        if node.tag in ("tag:yaml.org,2002:merge", "tag:yaml.org,2002:value"):
            raise InputError(f"line {node.start_mark.line + 1}: '{node.value}' is not allowed; write the values again")
        # YAML 1.1 reads 010 as 8 and 1:30 as 90, which nobody means here. (Reading a long one takes minutes.)
        number = node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
        odd = number and _ODD_NUMBER.match(node.value)
        try:
            value = _NOTHING if odd else super().construct_object(node, deep)
        except InputError:
            raise
        except (ValueError, OverflowError):  # a day 99, or a number of too many digits
            value = _NOTHING
        if value is _NOTHING or (type(value) is int and abs(value) > MAX_INT):
            raise InputError(
                f"line {node.start_mark.line + 1}: {shown(node.value)} is not a plain value: quote it if it is text"
            )
        return value

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if not isinstance(key, str):
                raise InputError(f"line {node.start_mark.line + 1}: {shown(key)} is not a name; quote it")
        if (twice := next((key for key, count in Counter(keys).items() if count > 1), None)) is not None:
            raise InputError(f"line {node.start_mark.line + 1}: '{twice}' is given twice")
        return super().construct_mapping(node, deep)


_NOTHING = object()
_ODD_NUMBER = re.compile(r"[^:]*:|[-+]?0[0-9_]")


class _Dumper(yaml.SafeDumper):
    """Quotes text that `_Loader` would read as a number."""


for _yaml in (_Loader, _Dumper):
    _yaml.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"),
        list("-+0123456789"),
    )

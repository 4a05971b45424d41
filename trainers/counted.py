"""Counts of `trainers.counts`, kept in a file of the user's cache folder: a grid is planned again without torch.

The file is `sonogrid/counts.json` below `XDG_CACHE_HOME`, by default `~/.cache`. It has a hash of torch's version and
of the code of this package, so a count is never older than the network it was made on. It may be deleted at any time.
"""

import hashlib
import os
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

from features.errors import StoreError
from features.files import canonical_json, read_json, write_json
from trainers.settings import NetworkSettings

__all__ = ["counted"]

Counts = dict[str, list[int]]


def counted(what: str, network: NetworkSettings, *arguments: int | None) -> tuple[int, ...]:
    """A count on a network: from this process, from the file, or made now.

    Args:
        what: name of a count in `trainers.counts`.
        network: its settings.
        arguments: what else the count depends on.
    """
    path = _place()
    key = canonical_json([what, network.model_dump(mode="json"), *arguments])
    known = _known(path)
    if key not in known:
        from trainers.counts import COUNTS

        known[key] = list(COUNTS[what](network, *arguments))
        if path is not None:
            with suppress(OSError):  # such as a home that can't be written: the count is made again next time
                write_json(path, {"made_by": _made_by(), "counts": {**_read(path), **known}})
    return tuple(known[key])


def _place() -> Path | None:
    """The file; None for a user without a home."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    if Path(named).is_absolute():  # the XDG specification ignores relative ones
        return Path(named, "sonogrid", "counts.json")
    try:
        return Path.home() / ".cache" / "sonogrid" / "counts.json"
    except RuntimeError:
        return None


@cache
def _known(path: Path | None) -> Counts:
    """The counts that this process knows, at first those of the file."""
    return {} if path is None else _read(path)


def _read(path: Path) -> Counts:
    """The counts of the file, none if it is missing, damaged, or by other code."""
    try:
        found = read_json(path)
    except StoreError:
        return {}
    if not isinstance(found, dict) or found.get("made_by") != _made_by():
        return {}
    counts = found.get("counts")
    return counts if isinstance(counts, dict) and all(_is_count(count) for count in counts.values()) else {}


def _is_count(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(type(number) is int for number in value)


@cache
def _made_by() -> str:
    """A hash of what counts depend on beside the settings."""
    code = hashlib.sha256(version("torch").encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        code.update(path.read_bytes())
    return code.hexdigest()

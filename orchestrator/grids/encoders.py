"""Fills in what the file of an encoder says about embeddings: a Recipe holds its checksum, rate and dimensions.

A grid names a file; two files at one place, one after the other, are two encoders. So the file is read with the grid,
and everything after that goes by its checksum. `Run.save` copies it into the store, where jobs on any machine find it.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from features.encoders.encoder import Encoder
from features.errors import GridError, InputError
from features.files import sha256_file
from features.manifest import SUBSETS
from features.settings import EmbeddingSettings

__all__ = ["with_changes", "with_encoder"]

FOUND = ("sha256", "sample_rate_hz", "dims", "seen_sha256")
"""Fields that the files decide."""
MAX_SEEN_BYTES = 64 << 20


def with_encoder(section: Mapping[str, Any], field: str) -> dict[str, Any]:
    """A section `embedding` with everything that the files it names decide.

    Args:
        section: as written; values of another form are left for pydantic to reject.
        field: name of the section, for messages.

    Raises:
        GridError: a file is missing, is no encoder, or contradicts the section.
    """
    model = section.get("model")
    if section.get("kind", "embedding") != "embedding":
        return dict(section)
    if not isinstance(model, str) or not model:
        return {"sha256": "0" * 64, "sample_rate_hz": 44_100, "dims": 1, **section}
    try:
        encoder = _opened(Path(model).expanduser().absolute())
        found: dict[str, Any] = {"model": str(encoder.path), "sha256": _checksum(encoder.path)}
        found |= _seen(section.get("seen"), field)
        rate = encoder.sample_rate_hz
        if rate is None and "sample_rate_hz" not in section:
            raise GridError(f"{field}.sample_rate_hz: {model} does not declare its sample rate; set it here")
        if rate is not None:
            found["sample_rate_hz"] = rate
        if encoder.window_samples is not None and "window_s" not in section:
            found["window_s"] = encoder.window_samples / (rate or section["sample_rate_hz"])
        settings = EmbeddingSettings.model_validate({"dims": 1, **section, **found})
        if encoder.window_samples not in (None, settings.window_samples):
            raise GridError(
                f"{field}.window_s: {model} takes windows of {encoder.window_samples} samples, and {settings.window_s} "
                f"s are {settings.window_samples}; leave window_s out"
            )
        found["dims"] = encoder.dims(settings.window_samples)
    except ValidationError:  # pydantic will say so again, with the names of the whole grid
        return {"sha256": "0" * 64, "sample_rate_hz": 44_100, "dims": 1, **section}
    except GridError:
        raise
    except InputError as error:
        raise GridError(f"{field}.model: {error}") from None
    for name in FOUND:
        if name in section and section[name] != found.get(name, section[name]):
            raise GridError(
                f"{field}.{name} is {section[name]}, but of {model} it is {found[name]}; correct one of them"
            )
    return {**section, **found}


def with_changes(before: EmbeddingSettings, section: Mapping[str, Any], field: str) -> dict[str, Any]:
    """A changed section, with what its files decide if they are no longer the same.

    Raises:
        GridError: as `with_encoder`.
    """
    was = before.model_dump(mode="json")
    if all(section.get(name) == was[name] for name in ("model", "seen")):
        return dict(section)
    return with_encoder({key: value for key, value in section.items() if key not in FOUND or value != was[key]}, field)


def _seen(seen: Any, field: str) -> dict[str, Any]:
    """A file of what the encoder has seen, with its checksum."""
    if not isinstance(seen, str):
        return {}
    path = Path(seen).expanduser().absolute()
    if not path.is_file():
        hint = f"; for a subset, write [{seen}]" if seen in SUBSETS else ""
        raise GridError(f"{field}.seen: {seen} is not a file: give a text file of ids or clip names{hint}")
    if path.stat().st_size > MAX_SEEN_BYTES:
        raise GridError(f"{field}.seen: {seen} has more than {MAX_SEEN_BYTES >> 20} MiB: give one id or name per line")
    return {"seen": str(path), "seen_sha256": _checksum(path)}


def _opened(path: Path) -> Encoder:
    try:
        stat = path.stat()
    except OSError:
        return Encoder(path)  # says what is wrong
    return _cached(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4)
def _cached(path: Path, _size: int, _mtime_ns: int) -> Encoder:
    """Several conditions name the same file."""
    return Encoder(path)


def _checksum(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror}): make it readable") from None

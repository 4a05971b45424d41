"""The class of an error in a job, and its cause in one sentence."""

import re
import traceback

from features.errors import ADVICE, DamagedInputError, SonogridError
from orchestrator.redact import redact
from orchestrator.store.marks import FailureClass

__all__ = ["OUT_OF_MEMORY", "cause_of", "failure_class", "trace_of"]

OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|OutOfMemory", re.IGNORECASE)


def failure_class(error: BaseException) -> FailureClass:
    """What may help against an error."""
    if isinstance(error, DamagedInputError):
        return "damaged"
    return "memory" if isinstance(error, MemoryError) or OUT_OF_MEMORY.search(str(error)) else "error"


def cause_of(error: BaseException) -> str:
    """The cause in one sentence, without secrets.

    That is the message of sonogrid's own errors, advice for errors of the machine, type and message of all others.
    """
    text = redact(" ".join(str(error).split()))
    if isinstance(error, SonogridError):
        return text
    # Rust's libraries give the number in words.
    number = getattr(error, "errno", None) or next(map(int, re.findall(r"\(os error (\d+)\)", text)), None)
    if number in ADVICE:
        place = getattr(error, "filename", None)
        return f"{place or 'the store'}: {ADVICE[number]}, then resume the run"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} can't be used ({error.strerror}): check the path, its permissions and the free space"
    return f"{type(error).__name__}: {text}"


def trace_of(error: BaseException) -> str | None:
    """The traceback; None for sonogrid's own errors, which need none."""
    return None if isinstance(error, SonogridError) else redact("".join(traceback.format_exception(error)))

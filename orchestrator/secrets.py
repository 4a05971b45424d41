"""Keeps passwords and tokens out of what sonogrid writes."""

import re

__all__ = ["redact"]


def redact(text: str) -> str:
    """The text with passwords in URLs hidden."""
    return re.sub(r"(://[^/\s:@]*):[^/\s@]+@", r"\1:***@", text)

"""Keeps credentials out of everything that is printed, logged or written to a file."""

import os
import re

__all__ = ["one_line", "redact"]

HIDDEN = "***"
SECRET_NAME = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|API_KEY|ACCESS_KEY)$|^AWS_.*SECRET")
"""Names of environment variables that hold a secret: AWS_SECRET_ACCESS_KEY, MLFLOW_TRACKING_PASSWORD, RAY_AUTH_TOKEN,
PGPASSWORD and the like."""
SHORTEST = 4
"""Shorter values are not secrets, and hiding them would hide parts of other words."""
USER_INFO = re.compile(r"""([A-Za-z][A-Za-z0-9+.-]*://[^\s/@:?#"']*):[^\s"']*@""")
"""Up to the last '@' of a word: database URLs may have '/' and '@' in a password."""
QUERY = re.compile(r"""(?i)([?&;](?:password|passwd|secret|token|[a-z-]*signature|[a-z-]*credential)=)[^&;\s"']+""")


def redact(text: str) -> str:
    """A text without credentials: passwords in URLs, and values of environment variables that are named like secrets.

    The user and the host of a URL stay, since a message is useless without them.
    """
    secrets = {value for name, value in os.environ.items() if SECRET_NAME.search(name.upper())}
    for value in sorted(secrets, key=len, reverse=True):  # one may be the beginning of another
        if len(value) >= SHORTEST:
            text = text.replace(value, HIDDEN)
    return QUERY.sub(rf"\1{HIDDEN}", USER_INFO.sub(rf"\1:{HIDDEN}@", text))


def one_line(text: object, longest: int = 300) -> str:
    """An error or another text as part of a sentence: on one line, without credentials, cut to `longest` characters.

    It is cut last, because half of a secret would not be recognised.
    """
    return redact(" ".join(str(text).split()))[:longest]

"""Every error that sonogrid raises on purpose.

    SonogridError                 exit code 1
    ├── InputError (ValueError)   exit code 2: what the user gave is wrong
    │   ├── DataError             the dataset folder, a CSV or an audio file
    │   └── GridError             a grid file or a setting
    ├── StoreError                a file of the store is missing, damaged or foreign
    │   ├── BusyError             another run works on the node
    │   ├── StoreAwayError        the store does not answer now
    │   └── DamagedInputError     the results of a node are missing or not what its done-mark says
    ├── TrackingError             MLflow can't be reached
    ├── FetchError                a server does not send what it should, or sends what can't be trusted
    └── JobError                  a job of the grid failed
        ├── NotFiniteError        a loss, a weight or a score became nan or inf
        ├── PeerLostError         another worker of the same training job is gone
        └── SupersededError       a later attempt at the same node has taken over

A message is one sentence that names the file or field, says what is wrong and what to do.
"""

import errno
from collections.abc import Sequence

__all__ = [
    "ADVICE", "BusyError", "DamagedInputError", "DataError", "FetchError", "GridError", "InputError", "JobError",
    "NotFiniteError", "PeerLostError", "SonogridError", "StoreAwayError", "StoreError", "SupersededError",
    "TrackingError", "is_away",
]  # fmt: skip


ADVICE = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EFBIG: "a file is larger than the disk or a limit (ulimit -f) allows: raise the limit",
    errno.EROFS: "the disk is read-only: make it writable or choose another folder",
    errno.EACCES: "permission denied: make it accessible to this user or choose another place",
    errno.EPERM: "permission denied: make it accessible to this user or choose another place",
    errno.EIO: "the disk cannot be read or written: check it",
}
"""Number of an OSError -> what it means and what to do; a sentence adds the place, and what to run afterwards."""

AWAY = {
    errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.ENODEV, errno.EHOSTDOWN, errno.EHOSTUNREACH,
    errno.ENETDOWN, errno.ENETUNREACH, errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EREMOTEIO,
}  # fmt: skip
"""Numbers of an OSError of a disk or a server that may be back later."""


class SonogridError(Exception):
    """Base of all errors a user may see; printed without a traceback."""

    exit_code = 1


class InputError(SonogridError, ValueError):
    """Something the user typed or wrote is wrong; nothing was started."""

    exit_code = 2


class DataError(InputError):
    """One or more problems of a dataset folder, all of them at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type["DataError"], tuple[list[str]]]:
        return (type(self), (self.problems,))


class GridError(InputError):
    """A grid file or an overriding setting is wrong."""


class StoreError(SonogridError):
    """A file in the store is missing, damaged, or belongs to something else."""


class StoreAwayError(StoreError):
    """The store does not answer now, which says nothing about what it holds."""

    def __init__(self, why: str, advice: str) -> None:
        self.why, self.advice = why, advice
        super().__init__(f"{why}; {advice}")

    def __reduce__(self) -> tuple[type["StoreAwayError"], tuple[str, str]]:
        return (type(self), (self.why, self.advice))


def is_away(error: BaseException) -> bool:
    """Whether an error says that the place it comes from does not answer now."""
    return isinstance(error, StoreAwayError) or (isinstance(error, OSError) and error.errno in AWAY)


class TrackingError(SonogridError):
    """MLflow can't be reached; the store has everything all the same."""


class FetchError(SonogridError):
    """A server does not send what it should, or sends what can't be trusted; what is usable of it is kept."""


class JobError(SonogridError):
    """A job of the grid failed; the message is its cause."""


class NotFiniteError(JobError):
    """A loss, a weight or a score became nan or inf."""

    def __init__(self, message: str, epochs_done: int) -> None:
        self.epochs_done = epochs_done
        """Whole epochs before the one it happened in: where a lower learning rate could continue from."""
        super().__init__(message)

    def __reduce__(self) -> tuple[type["NotFiniteError"], tuple[str, int]]:
        return (type(self), (str(self), self.epochs_done))


class PeerLostError(JobError):
    """Another worker of the same training job is gone; nothing is wrong with this one."""


class BusyError(StoreError):
    """Another run that shares the store works on the node."""


class DamagedInputError(StoreError):
    """The results of a node are missing, void, or not what its done-mark says."""


class SupersededError(JobError):
    """A later attempt at the same node has taken over; this one may write nothing more."""

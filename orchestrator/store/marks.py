"""The marks of a node: small JSON files in its folder, each with one meaning.

    claim-<n>.json   attempt n belongs to a run
    done.json        the node is finished: names the folder of its results, and every result with its checksum
    damaged.json     the results that done.json names are void

In the folder of an attempt:

    alive.json       its last sign of life
    queued.json      the driver waits for its process
    failed.json      why it failed
    stop.json        asks it to stop
    placement.json   which reservation of the Ray cluster it has
    done.json        the done-mark that it made, among its results

`orchestrator.store.layout` numbers the marks of a node; `attempt.json` is what older versions wrote in place of claims.

A mark class knows its file's name and form, and nothing else names either. Keys that a class does not know are ignored,
and keys that older versions did not write have defaults.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, Self, TypeVar

from features.errors import StoreError
from orchestrator.store.layout import number_of
from orchestrator.store.objects.base import is_key
from trainers.supervisor import Stop

__all__ = [
    "Claim", "Damage", "DoneMark", "Failure", "FailureClass", "Lease", "Mark", "Placement", "Queued", "ResultFile",
    "SignOfLife", "StopRequest",
]  # fmt: skip

FailureClass = Literal["error", "memory", "damaged"]
"""An error in the job, which would come again; too little memory; an input that has to be computed again."""

T = TypeVar("T", str, int, float)


class Mark(ABC):
    """A mark file's content."""

    FILE: ClassVar[str]
    """Its name in the folder of the node or of the attempt."""

    @classmethod
    def from_json(cls, content: object, where: str) -> Self:
        """The mark in the content of a file.

        Args:
            content: the file's JSON value.
            where: the file's name, for the message.

        Raises:
            StoreError: it is not such a mark.
        """
        try:
            if not isinstance(content, dict):
                raise ValueError("it is not a JSON object")
            return cls._of(content)
        except ValueError as error:
            raise StoreError(f"{where} is damaged: {error}; remove it and launch again") from None

    @classmethod
    @abstractmethod
    def _of(cls, facts: Mapping[str, Any]) -> Self:
        """The mark with some facts; ValueError: one of them is missing or has the wrong type."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The content of the file."""


@dataclass(frozen=True)
class ResultFile:
    """A result as the done-mark lists it."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class DoneMark(Mark):
    """A node is finished. The manifest has one too; it is made by no job, so it has files alone."""

    FILE = "done.json"

    name: str = ""
    signature: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """Signatures by role; for several, their number and a hash."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """What the job returned; the form depends on the kind of job."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package -> version."""
    host: str = ""
    """Empty for the manifest."""
    started: float = 0.0
    """Unix time."""
    seconds: float = 0.0
    peak_mb: float = 0.0
    """The process's largest resident memory."""
    attempts: int = 1
    """Number of the attempt that finished the node."""
    folder: str = ""
    """The folder of the results in the node's; empty: the node's own, as in older versions."""
    files: Mapping[str, ResultFile] = field(default_factory=dict)
    """By file name."""
    device: str = ""
    """`cpu`, or `cuda: ` and the model; empty in older versions."""
    workers: int = 1
    """Processes of the job."""
    threads: int = 0
    """Threads of torch in its first process; 0: unknown, or without torch."""

    @property
    def n_bytes(self) -> int:
        """Size of all results."""
        return sum(file.bytes for file in self.files.values())

    @classmethod
    def _of(cls, facts: Mapping[str, Any]) -> Self:
        if "files" not in facts:
            raise ValueError("it lists no files")
        return cls(
            name=_fact(facts, "name", ""),
            signature=_fact(facts, "signature", ""),
            inputs=_mapping(facts, "inputs"),
            result=_mapping(facts, "result"),
            versions=_mapping(facts, "versions"),
            host=_fact(facts, "host", ""),
            started=_fact(facts, "started", 0.0),
            seconds=_fact(facts, "seconds", 0.0),
            peak_mb=_fact(facts, "peak_mb", 0.0),
            device=_fact(facts, "device", ""),
            workers=_fact(facts, "workers", 1),
            threads=_fact(facts, "threads", 0),
            attempts=_fact(facts, "attempts", 1),
            folder=_attempt_folder(facts),
            files={name: _result_file(name, about) for name, about in _mapping(facts, "files").items()},
        )

    def to_json(self) -> dict[str, Any]:
        """See `Mark`."""
        of_job = (
            "inputs", "result", "versions", "host", "started", "seconds", "peak_mb", "device", "workers", "threads",
            "attempts",
        )  # fmt: skip
        return {
            "name": self.name,
            "signature": self.signature,
            **({key: getattr(self, key) for key in of_job} if self.host else {}),
            **({"folder": self.folder} if self.folder else {}),
            "files": {name: {"sha256": file.sha256, "bytes": file.bytes} for name, file in self.files.items()},
        }


@dataclass(frozen=True)
class Claim(Mark):
    """An attempt's right to a node, until there is a later claim. Made once and never changed."""

    FILE = "claim.json"

    attempt: int
    run_id: str = ""
    """The run that the attempt belongs to (`Run.identity`)."""
    token: str = ""
    """A random word: no two claims are equal."""
    generation: int = 1
    """Which generation of the node's results the attempt makes."""
    tries: int = 1
    """Attempts at that generation so far, this one included."""
    host: str = ""
    """Of the driver."""
    started: float = 0.0
    """Unix time."""
    owner: int = 0
    """Number of the run's owner that made it (`orchestrator.run.owner`)."""

    def is_of(self, run_id: str) -> bool:
        """Whether a run made it. Older versions knew a run by the hash of its path, which ends today's identity."""
        return self.run_id == run_id or (not self.token and self.run_id == run_id.rpartition(".")[2])

    @classmethod
    def _of(cls, facts: Mapping[str, Any]) -> Self:
        for name in ("attempt", "token"):
            if name not in facts:
                raise ValueError(f"it has no '{name}'")
        return cls(
            attempt=_fact(facts, "attempt", 0),
            run_id=_fact(facts, "run_id", ""),
            token=_fact(facts, "token", ""),
            generation=_fact(facts, "generation", 1),
            tries=_fact(facts, "tries", 1),
            host=_fact(facts, "host", ""),
            started=_fact(facts, "started", 0.0),
            owner=_fact(facts, "owner", 0),
        )

    def to_json(self) -> dict[str, Any]:
        """See `Mark`."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True)
class Lease(Mark):
    """Which attempt may write to a node, as older versions wrote it."""

    FILE = "attempt.json"

    attempt: int
    run_id: str = ""
    """The run that the attempt belongs to (`Run.identity`)."""

    @classmethod
    def _of(cls, facts: Mapping[str, Any]) -> Self:
        if "attempt" not in facts:
            raise ValueError("it has no 'attempt'")
        return cls(_fact(facts, "attempt", 0), _fact(facts, "owner", ""))

    def to_json(self) -> dict[str, Any]:
        """See `Mark`."""
        return {"attempt": self.attempt, "owner": self.run_id}


@dataclass(frozen=True)
class SignOfLife(Mark):
    """What an attempt writes every few seconds."""

    FILE = "alive.json"

    host: str = ""
    pid: int = 0
    place: str = ""
    """What the cluster calls the machine."""
    started: float = 0.0
    """Unix time at which the attempt began."""
    saved: int = 0
    """Step of the last checkpoint."""
    epoch: int | None = None
    """Epochs done; None if the job counts none."""
    step: int | None = None
    count: int = 0
    """Pieces of work done; while it grows, the attempt makes progress."""
    time: float = 0.0
    """Unix time of this sign, for people; whether an attempt lives is decided by `beats`."""
    beats: int = 0
    """Goes up with each sign."""
    ended: bool = False
    """The attempt has left its node before the end, and will not write again."""

    @classmethod
    def _of(cls, facts: Mapping[str, Any]) -> Self:
        return cls(
            host=_fact(facts, "host", ""),
            pid=_fact(facts, "pid", 0),
            place=_fact(facts, "place", ""),
            started=_fact(facts, "started", 0.0),
            saved=_fact(facts, "saved", 0),
            epoch=_fact(facts, "epoch", 0) if "epoch" in facts else None,
            step=_fact(facts, "step", 0) if "step" in facts else None,
            count=_fact(facts, "count", 0),
            time=_fact(facts, "time", 0.0),
            beats=_fact(facts, "beats", 0),
            ended=facts.get("ended") is True,
        )

    def to_json(self) -> dict[str, Any]:
        """See `Mark`."""
        facts = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in facts.items() if value is not None}


@dataclass(frozen=True)
class Queued(Mark):
    """What the driver writes every few seconds until the process of an attempt shows signs of life itself."""

    FILE = "queued.json"

    beats: int = 0
    """Goes up with each write."""

    @classmethod
    def _of(cls, facts: Mapping[str, Any]) -> Self:
        return cls(_fact(facts, "beats", 0))

    def to_json(self) -> dict[str, Any]:
        """See `Mark`."""
        return {"beats": self.beats}


@dataclass(frozen=True)
class Failure(Mark):
    """Why an attempt failed."""

    FILE = "failed.json"

    failure_class: FailureClass = "error"
    cause: str = "unknown"
    """One sentence."""
    attempt: int | None = None
    host: str | None = None
    time: float = 0.0
    """Unix time."""
    trace: str | None = None
    """The traceback of an error that is not one of sonogrid's own."""
    epochs_done: int | None = None
    """Whole epochs before the loss became nan or inf, if that is what happened."""

    @classmethod
    def _of(cls, facts: Mapping[str, Any]) -> Self:
        known: dict[str, FailureClass] = {"error": "error", "memory": "memory", "damaged": "damaged"}
        return cls(
            known.get(_fact(facts, "class", "error"), "error"),
            _fact(facts, "cause", "unknown"),
            _fact(facts, "attempt", 0) if facts.get("attempt") is not None else None,
            _fact(facts, "host", "") if facts.get("host") is not None else None,
            _fact(facts, "time", 0.0),
            _fact(facts, "trace", "") if facts.get("trace") is not None else None,
            _fact(facts, "epochs_done", 0) if facts.get("epochs_done") is not None else None,
        )

    def to_json(self) -> dict[str, Any]:
        """See `Mark`."""
        facts: dict[str, Any] = {
            "class": self.failure_class,
            "cause": self.cause,
            "attempt": self.attempt,
            "host": self.host,
            "time": self.time,
            "trace": self.trace,
        }
        return facts if self.epochs_done is None else {**facts, "epochs_done": self.epochs_done}


@dataclass(frozen=True)
class Damage(Mark):
    """The results are void, as one of them is not what the done-mark says or the user wants them computed again."""

    FILE = "damaged.json"

    cause: str = "unknown"

    @classmethod
    def _of(cls, facts: Mapping[str, Any]) -> Self:
        return cls(_fact(facts, "cause", "unknown"))

    def to_json(self) -> dict[str, Any]:
        """See `Mark`."""
        return {"cause": self.cause}


@dataclass(frozen=True)
class StopRequest(Mark):
    """Asks a node's attempt to stop at the end of its epoch, or at its next step."""

    FILE = "stop.json"

    stop: Stop = "epoch"

    @classmethod
    def _of(cls, facts: Mapping[str, Any]) -> Self:
        return cls("now" if facts.get("stop") == "now" else "epoch")

    def to_json(self) -> dict[str, Any]:
        """See `Mark`."""
        return {"stop": self.stop}


@dataclass(frozen=True)
class Placement(Mark):
    """The reservation that a training job's workers have on a Ray cluster."""

    FILE = "placement.json"

    id: str = ""
    """Id of the placement group, in hex; empty if there is none."""

    @classmethod
    def _of(cls, facts: Mapping[str, Any]) -> Self:
        return cls(_fact(facts, "id", ""))

    def to_json(self) -> dict[str, Any]:
        """See `Mark`."""
        return {"id": self.id}


def _fact(facts: Mapping[str, Any], name: str, default: T) -> T:
    """A fact of the type of its default; a whole number will do for a float."""
    value = facts.get(name, default)
    if type(default) is float and type(value) is int:
        value = float(value)
    if type(value) is not type(default):
        raise ValueError(f"'{name}' is not of type {type(default).__name__}")
    found: T = value
    return found


def _mapping(facts: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = facts.get(name, {})
    if not isinstance(value, dict):
        raise ValueError(f"'{name}' is not a JSON object")
    return value


def _attempt_folder(facts: Mapping[str, Any]) -> str:
    """Where a done-mark says that the results are; it must not lead out of the node's folder."""
    folder = _fact(facts, "folder", "")
    if folder and (not folder.startswith("attempt-") or not number_of(folder)):
        raise ValueError(f"{folder[:80]!r} is not the folder of an attempt")
    return folder


def _result_file(name: str, about: object) -> ResultFile:
    """What a done-mark says of a file; its name must not lead out of the node's folder."""
    if not is_key(name) or "/" in name:
        raise ValueError(f"{name[:80]!r} is not the name of a result")
    match about:
        case {"sha256": str(sha256), "bytes": int(size)} if size >= 0:
            return ResultFile(sha256, size)
    raise ValueError(f"{name[:80]!r} has no checksum and size")

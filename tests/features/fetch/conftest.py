from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from features.fetch.download import Patience
from tests.fixtures.file_server import FileServer, serving


@dataclass
class Told:
    """What a user would have seen, and the pauses that were made."""

    sentences: list[str] = field(default_factory=list)
    bytes_of: dict[str, int] = field(default_factory=dict)
    pauses_s: list[float] = field(default_factory=list)

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def arrived(self, name: str, done: int, total: int | None) -> None:
        self.bytes_of[name] = done

    @property
    def patience(self) -> Patience:
        """Pauses that take no time, and little patience with silence."""
        return Patience(silence_s=0.5, sleep=self.pauses_s.append)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(FileServer()) as server:
        yield server


@pytest.fixture
def told() -> Told:
    return Told()

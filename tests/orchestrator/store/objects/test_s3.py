"""Answers of S3 that a real service gives seldom, from a client that has them ready."""

from collections.abc import Callable, Iterator
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from features.errors import StoreAwayError, StoreError
from orchestrator.store.objects import s3
from orchestrator.store.objects.s3 import ATTEMPTS, S3ObjectStore


def error(code: str, *, repeated: int | None = None, status: int | None = 400) -> ClientError:
    about: dict[str, Any] = {} if repeated is None else {"RetryAttempts": repeated}
    about |= {} if status is None else {"HTTPStatusCode": status}
    return ClientError({"Error": {"Code": code, "Message": "said so."}, "ResponseMetadata": about}, "Call")  # type: ignore[typeddict-item]


MISSING = error("404", status=404)


class Client:
    """Answers each method with the next of its answers; the last one stays."""

    exceptions = SimpleNamespace(ClientError=ClientError)

    def __init__(self, **answers: list[Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            self.asked.append((method, arguments))
            answers = self.answers[method]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The longest that each pause could have been."""
    found: list[float] = []
    monkeypatch.setattr(s3.random, "uniform", lambda _, most: found.append(most) or 0.0)
    return found


@pytest.fixture(autouse=True)
def _account(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")


def store(**answers: list[Any]) -> tuple[S3ObjectStore, Client]:
    found = S3ObjectStore("bucket", "some/prefix")
    client = found._client = Client(**answers)
    return found, client


def answer(data: bytes, tag: str = "one") -> dict[str, Any]:
    return {"Body": BytesIO(data), "ETag": tag}


class Broken(BytesIO):
    """A body that breaks off after its first bytes."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell():
            raise ReadTimeoutError(endpoint_url="https://s3")
        return super().read(2)


def test_pauses_double_and_have_an_end(pauses: list[float]) -> None:
    for attempt in range(9):
        s3._pause(attempt)
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 16.0, 16.0]


@pytest.mark.parametrize(
    ("general", "own", "used"), [("http://a:1", "http://b:2", "http://b:2"), ("http://a:1", None, "http://a:1")]
)
def test_the_address_for_s3_alone_comes_first(
    monkeypatch: pytest.MonkeyPatch, general: str, own: str | None, used: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", general)
    if own is not None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", own)
    client = S3ObjectStore("bucket", "")._client
    assert client.meta.endpoint_url == used
    assert client.meta.config.s3["addressing_style"] == "path"
    assert client.meta.config.retries["total_max_attempts"] == ATTEMPTS


def test_without_an_address_it_is_that_of_aws() -> None:
    client = S3ObjectStore("bucket", "")._client
    assert client.meta.endpoint_url == "https://s3.eu-west-1.amazonaws.com"
    assert client.meta.config.s3["addressing_style"] == "auto"


@pytest.mark.parametrize(
    ("repeated", "there", "mine"),
    [(None, b"mine", False), (0, b"mine", False), (1, b"mine", True), (1, b"theirs", False)],
)
def test_an_object_that_was_made_meanwhile_is_ours_only_if_the_request_was_repeated(
    repeated: int | None, there: bytes, mine: bool
) -> None:
    found, client = store(
        head_object=[MISSING], put_object=[error("PreconditionFailed", repeated=repeated)], get_object=[answer(there)]
    )
    assert found.create("key", b"mine") is mine
    assert client.asked[1] == (
        "put_object", {"Bucket": "bucket", "Key": "some/prefix/key", "Body": b"mine", "IfNoneMatch": "*"}
    )  # fmt: skip


@pytest.mark.parametrize(("there", "mine"), [(b"mine", True), (b"theirs", False)])
def test_an_object_that_appears_after_a_conflict_may_be_ours(pauses: list[float], there: bytes, mine: bool) -> None:
    found, _ = store(
        head_object=[MISSING, {}], put_object=[error("ConditionalRequestConflict")], get_object=[answer(there)]
    )
    assert found.create("key", b"mine") is mine
    assert pauses == [0.25]


def test_an_object_that_is_there_at_once_is_somebody_elses() -> None:
    found, client = store(head_object=[{}])
    assert not found.create("key", b"mine")
    assert [method for method, _ in client.asked] == ["head_object"]


def test_conflicts_without_end_are_an_error(pauses: list[float]) -> None:
    found, client = store(head_object=[MISSING], put_object=[error("ConditionalRequestConflict")])
    with pytest.raises(StoreError, match="s3://bucket/some/prefix/key: other writers keep winning; launch again"):
        found.create("key", b"mine")
    assert [method for method, _ in client.asked].count("put_object") == ATTEMPTS == len(pauses)


def test_a_service_without_conditions_is_asked_without() -> None:
    found, client = store(head_object=[MISSING], put_object=[error("NotImplemented", status=501), {}])
    assert found.create("key", b"mine")
    assert ["IfNoneMatch" in more for method, more in client.asked if method == "put_object"] == [True, False]


def test_a_read_continues_where_it_broke_off(pauses: list[float]) -> None:
    found, client = store(get_object=[{"Body": Broken(b"abcdef"), "ETag": "one"}, answer(b"cdef")])
    assert found.read("key") == b"abcdef"
    assert {name: value for name, value in client.asked[1][1].items() if name not in ("Bucket", "Key")} == {
        "IfMatch": "one",
        "Range": "bytes=2-",
    }
    assert pauses == [0.25]


@pytest.mark.parametrize("code", ["PreconditionFailed", "412"])
def test_an_object_that_was_replaced_is_read_from_its_beginning(code: str) -> None:
    broken = {"Body": Broken(b"abcdef"), "ETag": "one"}
    found, _ = store(get_object=[broken, error(code, status=412), answer(b"new")])
    assert found.read("key") == b"new"


def breaking() -> Iterator[dict[str, Any]]:
    while True:
        yield {"Body": Broken(b"abcdef"), "ETag": "one"}


def test_a_read_that_always_breaks_off_is_given_up(pauses: list[float]) -> None:
    bodies = breaking()
    found, client = store(get_object=[next(bodies) for _ in range(ATTEMPTS + 1)])
    with pytest.raises(StoreAwayError, match="no whole answer from the store in 6 attempts"):
        found.read("key")
    assert len(client.asked) == ATTEMPTS
    assert len(pauses) == ATTEMPTS - 1


def test_an_object_that_is_replaced_again_and_again_is_given_up() -> None:
    broken = {"Body": Broken(b"abcdef"), "ETag": "one"}
    found, client = store(get_object=[broken, error("412", status=412)])
    with pytest.raises(StoreError, match="412"):
        found.read("key")
    assert len(client.asked) == ATTEMPTS


@pytest.mark.parametrize(
    ("status", "passes"),
    [(500, True), (503, True), (408, True), (429, True), (400, False), (403, False), (None, False)],
)
def test_only_answers_that_may_change_are_waited_for(status: int | None, passes: bool) -> None:
    found, _ = store(delete_object=[error("Odd", status=status)])
    with pytest.raises(StoreError, match=f"the store answers {status or 0} Odd \\(said so\\)") as caught:
        found.delete("key")
    assert isinstance(caught.value, StoreAwayError) is passes


def test_keys_are_listed_in_order_whatever_the_service_does() -> None:
    names = ["b/2", "a/1", ".hidden", "a/", "b/10"]
    pages = [{"Contents": [{"Key": f"some/prefix/{name}", "Size": 3} for name in names]}, {}]
    found, client = store(get_paginator=[SimpleNamespace(paginate=lambda **_: pages)])
    client.get_paginator = lambda _: SimpleNamespace(paginate=lambda **_: pages)  # type: ignore[method-assign]
    assert list(found.list()) == ["a/1", "b/10", "b/2"]

"""Claims and finishes of real processes on a folder and on S3 are linearizable for each key."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulator.linearizable import Call, explain

INFINITE = float("inf")

CLIENT = """
import json, random, sys, time
from orchestrator.store.objects.open import open_object_store
url, name, seed, keys = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
store, draw = open_object_store(url), random.Random(seed)
sys.stdin.readline()
for number in range(keys):
    for key in (f"node-{number}/claim-1.json", f"node-{number}/done.json"):
        for _ in range(3):
            creates, value = draw.random() < 0.5, f"{name} {draw.random()}"
            began, made, read = time.monotonic(), None, None
            if creates:
                made = store.create(key, value.encode())
            else:
                try:
                    read = store.read(key).decode()
                except FileNotFoundError:
                    pass
            call = [key, began, time.monotonic(), value if creates else read, creates, made]
            print(json.dumps(call), flush=True)
"""


def calls_of_processes(url: str, clients: int, keys: int) -> dict[str, list[Call]]:
    """Key -> the calls that some processes make at the same time. `time.monotonic` is the same for all of them."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", CLIENT, url, f"client-{number}", str(number), str(keys)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for number in range(clients)
    ]  # fmt: skip
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    found: dict[str, list[Call]] = {}
    for process in started:
        lines, _ = process.communicate(timeout=300)
        assert process.returncode == 0
        for line in lines.splitlines():
            key, *about = json.loads(line)
            found.setdefault(key, []).append(Call(*about))
    return found


@pytest.mark.long
@pytest.mark.parametrize("kind", ["folder", "s3", "gs"])
def test_claims_and_finishes_of_processes_are_linearizable(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "gs":
        pytest.skip("the emulator of Google Cloud Storage ignores the condition of a write")
    url = str(tmp_path / "store") if kind == "folder" else f"{request.getfixturevalue(kind)}/store"
    found = calls_of_processes(url, clients=4, keys=25)
    assert len(found) == 50
    assert {key: why for key, calls in found.items() if (why := explain(calls))} == {}


def create(began: float, ended: float, value: str, made: bool | None) -> Call:
    return Call(began, ended, value, True, made)


def read(began: float, ended: float, value: str | None) -> Call:
    return Call(began, ended, value, False)


GOOD = {
    "nothing": [],
    "one of two": [create(0, 2, "a", True), create(1, 3, "b", False), read(4, 5, "a")],
    "read none while it is made": [create(0, 9, "a", True), read(1, 2, None), read(3, 4, "a")],
    "an answer was lost": [create(0, INFINITE, "a", None), create(3, 4, "b", False), read(5, 6, "a")],
    "without effect": [create(0, INFINITE, "a", None), read(5, 6, None)],
}
BAD = {
    "two are made": [create(0, 1, "a", True), create(2, 3, "b", True)],
    "another value": [create(0, 1, "a", True), read(2, 3, "b")],
    "it changes": [create(0, 9, "a", None), create(0, 9, "b", None), read(2, 3, "a"), read(4, 5, "b")],
    "it goes away": [create(0, 1, "a", True), read(2, 3, None)],
    "none after it was seen": [create(0, 9, "a", True), read(1, 2, "a"), read(3, 4, None)],
    "refused before it is there": [create(0, 1, "b", False), create(2, 3, "a", True)],
    "out of nowhere": [read(0, 1, "a")],
    "refused, and nobody made it": [create(0, 1, "a", False)],
}


@pytest.mark.parametrize("name", GOOD)
def test_answers_of_some_order_are_right(name: str) -> None:
    assert explain(GOOD[name]) == ""


@pytest.mark.parametrize("name", BAD)
def test_answers_of_no_order_are_wrong(name: str) -> None:
    assert explain(BAD[name])

import errno
import json
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from features.errors import InputError, StoreError
from features.files import create, write_json
from orchestrator.run.owner import OwnerSign, current_owner, own


def test_an_owner_signs_while_it_lives(tmp_path: Path) -> None:
    assert current_owner(tmp_path) is None
    with own(tmp_path / "run") as owner:
        sign = current_owner(tmp_path / "run")
        assert sign is not None
        assert (sign.token, sign.pid) == (owner.token, os.getpid())
        assert owner.took_over is None
        with (
            pytest.raises(InputError, match=f"is being run by process {os.getpid()} on .*: follow it with"),
            own(tmp_path / "run"),
        ):
            pass
    assert current_owner(tmp_path / "run") is None


def test_a_dead_owner_is_succeeded(tmp_path: Path) -> None:
    with own(tmp_path):
        left = (tmp_path / "owner.json").read_bytes()
    (tmp_path / "owner.json").write_bytes(left)
    with own(tmp_path) as owner:
        assert owner.took_over is not None
        assert owner.took_over.startswith(f"process {os.getpid()} on ")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"token": 1, "host": "a", "pid": 2, "time": 0}'])
def test_a_damaged_sign_is_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "owner.json").write_text(content, encoding="utf-8")
    assert current_owner(tmp_path) is None


def test_a_sign_without_a_count_is_read(tmp_path: Path) -> None:
    content = {"token": "t", "host": "elsewhere", "pid": 7, "time": 1}
    (tmp_path / "owner.json").write_text(json.dumps(content), encoding="utf-8")
    assert current_owner(tmp_path) == OwnerSign("t", "elsewhere", 7, 1.0, 0)
    (tmp_path / "owner.json").write_text(json.dumps({**content, "count": 4}), encoding="utf-8")
    assert current_owner(tmp_path) == OwnerSign("t", "elsewhere", 7, 1.0, 4)


def test_the_counter_of_a_living_owner_goes_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.run.owner.BEAT_S", 0.02)
    with own(tmp_path / "a" / "run"):
        deadline = time.monotonic() + 60
        while (sign := current_owner(tmp_path / "a" / "run")) and sign.count < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert sign is not None
        assert sign.count >= 2


@pytest.mark.parametrize("change", [{"count": 1}, {"token": "another"}])
@pytest.mark.parametrize(("locks", "host"), [(True, "elsewhere"), (False, "elsewhere"), (False, socket.gethostname())])
def test_where_no_lock_tells_an_owner_is_believed_while_its_sign_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks: bool, host: str, change: dict[str, object]
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("orchestrator.run.owner.STANDSTILL_S", 0.9)
    if not locks:
        monkeypatch.setattr("fcntl.flock", no_locks)
    path, sign = tmp_path / "owner.json", {"token": "t", "host": host, "pid": 7, "time": 1.0, "count": 0}
    write_json(path, sign)
    later = threading.Timer(0.2, write_json, [path, sign | change])
    later.start()
    with pytest.raises(InputError, match=f"is being run by process 7 on {host}"), own(tmp_path):
        pass
    later.join()
    with own(tmp_path) as owner:
        assert owner.took_over == f"process 7 on {host}"


def test_a_launch_that_was_suspended_while_it_waited_looks_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.run.owner.STANDSTILL_S", 0.1)
    path, sign = tmp_path / "owner.json", {"token": "t", "host": "elsewhere", "pid": 7, "time": 1.0, "count": 0}
    write_json(path, sign)
    sleep = time.sleep

    def suspended(_: float) -> None:
        sleep(0.2)
        write_json(path, sign | {"token": "u", "pid": 8})

    monkeypatch.setattr("time.sleep", suspended)
    with pytest.raises(InputError, match="is being run by process"), own(tmp_path):
        pass


def test_on_this_machine_the_lock_says_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.run.owner.STANDSTILL_S", float("inf"))  # it would wait for ever
    sign = {"token": "t", "host": socket.gethostname(), "pid": 7, "time": 1.0, "count": 0}
    write_json(tmp_path / "owner.json", sign)
    with own(tmp_path) as owner:
        assert owner.took_over == f"process 7 on {socket.gethostname()}"


def test_an_owner_that_was_suspended_notices_its_successor_and_leaves_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system that shares no locks, a suspended owner looks dead and is succeeded."""
    monkeypatch.setattr("orchestrator.run.owner.BEAT_S", 0.02)
    path = tmp_path / "owner.json"
    successor = {"token": "t", "host": "elsewhere", "pid": 7, "time": 1.0, "count": 3, "number": 2}
    with own(tmp_path) as owner:
        owner.check()
        path.write_text(json.dumps(successor), encoding="utf-8")
        deadline = time.monotonic() + 60
        while not owner.was_replaced and time.monotonic() < deadline:
            time.sleep(0.01)
            if not owner.was_replaced:  # a sign that was already on its way
                path.write_text(json.dumps(successor), encoding="utf-8")
        assert owner.was_replaced
        with pytest.raises(StoreError, match="was taken over by process 7 on elsewhere, as this one was suspended"):
            owner.check()
    assert json.loads(path.read_text(encoding="utf-8")) == successor


def test_owners_are_numbered_whether_they_ended_well_or_not(tmp_path: Path) -> None:
    for number in (1, 2):
        with own(tmp_path) as owner:
            assert owner.number == number
            left = (tmp_path / "owner.json").read_bytes()
    (tmp_path / "owner.json").write_bytes(left)
    with own(tmp_path) as owner:
        assert owner.number == 3
        sign = current_owner(tmp_path)
        assert sign is not None
        assert sign.number == 3


def test_the_sign_of_an_earlier_owner_that_woke_replaces_nobody(tmp_path: Path) -> None:
    """It was suspended between its look and its write."""
    with own(tmp_path):
        late = (tmp_path / "owner.json").read_bytes()
    with own(tmp_path) as owner:
        (tmp_path / "owner.json").write_bytes(late)
        assert owner.look()
        owner.check()


def test_a_number_that_another_owner_has_just_taken_is_not_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two owners may begin at once where locks are not shared, or NFS shows the folder as it was."""
    with own(tmp_path):
        pass
    assert create(tmp_path / "owners" / "2", b"")
    monkeypatch.setattr("orchestrator.run.owner.os.listdir", lambda _: ["1"])
    with own(tmp_path) as owner:
        assert owner.number == 3

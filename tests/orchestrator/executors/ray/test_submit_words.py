"""What is submitted and what is not, addresses that lead nowhere, versions of sources: all without a cluster."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ray.util import get_node_ip_address

from orchestrator.cli.main import _parser
from orchestrator.executors.ray import connect
from orchestrator.executors.ray.submit import command_line, passed_on
from orchestrator.executors.ray.versions import installed

Tell = Callable[..., tuple[str, int]]


@pytest.fixture
def silent() -> Iterator[str]:
    """HOST:PORT of a server that takes connections and says nothing."""
    # Ray takes 127.0.0.1 for the machine's own address.
    with socket.create_server((get_node_ip_address(), 0)) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    held.append(server.accept()[0])
            except OSError:  # closed
                return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield "{}:{}".format(*server.getsockname())
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for each in held:
            each.close()


@pytest.mark.parametrize(
    "words",
    [
        ("launch", "paper", "--data", "/d", "--out", "/o"),
        ("launch", "paper", "--data", "/d e", "--out", "/o;rm -r x", "--set", "conditions.A.epochs=2", "--set", "a=1"),
        ("launch", "paper", "--data", "/d", "--out", "/o", "--store", "/s", "--overlay", "a,b", "--only", "A,B+"),
        ("launch", "paper", "--data", "/d", "--out", "/o", "--folds", "0,3", "--skip-bad", "--executor", "inline"),
        ("launch", "paper", "--data", "/d", "--out", "/o", "--force", "x,y", "--retries", "0", "--stall-s", "1.5"),
        ("resume", "/o", "--failed", "--skip-bad", "--checkpoint-steps", "7", "--set", "a.b={c: 1}"),
    ],
)  # fmt: skip
def test_the_head_is_told_what_was_typed_here(words: tuple[str, ...]) -> None:
    here = _parser().parse_args([*words, "--address", "http://h:8265", "--submit"])
    python, module, name, *there = command_line(here)
    assert (python, module, name) == ("python", "-m", "orchestrator.cli")
    wanted = _parser().parse_args([*words, "--address", "auto"])
    for arguments in (read := _parser().parse_args(there), wanted):
        del arguments.parser
    assert read == wanted


def test_places_are_those_of_where_it_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = command_line(_parser().parse_args(["launch", "paper", "--data", "../d", "--out", "run", "--submit"]))
    assert f"--data={tmp_path / '../d'}" in words
    assert f"--out={tmp_path / 'run'}" in words
    launch = ["launch", "paper", "--data", "d", "--out", "run", "--submit", "--store"]
    assert f"--store={tmp_path / 'shared/store'}" in command_line(_parser().parse_args([*launch, "shared/store"]))
    assert "--store=s3://bucket/x" in command_line(_parser().parse_args([*launch, "s3://bucket/x"]))
    for uri, sent in {
        "sqlite:///mlflow.db": f"sqlite:///{tmp_path}/mlflow.db",
        "sqlite:////abs/mlflow.db": "sqlite:////abs/mlflow.db",
        "file:runs": f"file://{tmp_path}/runs",
        "./runs": f"{tmp_path}/runs",
        "http://mlflow:5000": "http://mlflow:5000",
    }.items():
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        assert passed_on()[0]["MLFLOW_TRACKING_URI"] == sent
    for place, sent in {"artifacts": f"{tmp_path}/artifacts", "s3://bucket/artifacts": "s3://bucket/artifacts"}.items():
        monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", place)
        assert passed_on()[0]["MLFLOW_DEFAULT_ARTIFACT_ROOT"] == sent


def test_no_password_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "MLFLOW_TRACKING_URI": "postgresql://me:hush@db/mlflow", "MLFLOW_S3_ENDPOINT_URL": "https://s3?sig=hush",
        "AWS_REGION": "eu-north-1", "AWS_ACCESS_KEY_ID": "hush", "AWS_SECRET_ACCESS_KEY": "hush",
        "MLFLOW_TRACKING_PASSWORD": "hush", "RAY_AUTH_TOKEN": "hush",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION", "MLFLOW_DEFAULT_ARTIFACT_ROOT"):
        monkeypatch.delenv(name, raising=False)
    assert passed_on() == ({"AWS_REGION": "eu-north-1"}, ["MLFLOW_TRACKING_URI", "MLFLOW_S3_ENDPOINT_URL"])


def test_what_can_not_be_submitted_is_a_sentence(
    tell: Tell, silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "")  # put back when the test is over
    monkeypatch.setattr("orchestrator.executors.ray.submit.ANSWER_S", 0.5)
    needs = "--submit needs a Ray Jobs address;"
    hint = ": give --address http://HOST:8265"
    assert tell("resume", "run", "--submit") == (f"{needs} --address is missing{hint}", 2)
    for address in ("auto", "ray://h:10001", "h:6379"):
        assert tell("resume", "run", "--submit", "--address", address) == (f"{needs} {address} is not one{hint}", 2)
    for place in ("127.0.0.1:1", silent):
        address = f"http://{place}"
        words, code = tell("resume", "run", "--submit", "--address", address)
        assert code == 2
        assert words.startswith(f"--address {address}: no Ray Jobs server answers there (")
        assert place != silent or "read timeout=0.5" in words
    words, code = tell("launch", "nowhere", "--data", "d", "--out", "run", "--submit", "--address", "http://h:8265")
    assert (words[:30], code) == ("there is no grid 'nowhere': gi", 2)
    words, code = tell(
        "launch", "demo", "--data", "d", "--out", "run", "--store", "s3://key:hush@bucket", "--submit",
        "--address", "http://h:8265",
    )  # fmt: skip
    assert code == 2
    assert "hush" not in words
    assert not list(tmp_path.iterdir())


def test_addresses_that_lead_nowhere_are_sentences_and_soon(
    tell: Tell, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "ANSWER_S", 0.5)
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray itself tries for minutes"))
    assert tell("resume", "run", "--address", "http://h:8265") == (
        "--address http://h:8265 is the address of Ray Jobs: launch or resume with --submit, or name the cluster "
        "itself (auto or HOST:6379)", 2,
    )  # fmt: skip
    words, code = tell("resume", "run", "--address", "ray://me:hush@h:10001")
    assert code == 2
    assert words.endswith("submit instead: --address http://HOST:8265 --submit")
    assert "hush" not in words
    for address, said in {
        "127.0.0.1:1": "no Ray cluster answers there; start one there ('ray start --head') or check the address",
        silent: "no answer within 0.5 s",
        "x y": "no Ray cluster can be reached there (",
    }.items():
        with pytest.raises(ValueError, match=r"^--address ") as caught:
            connect.connect(address)
        assert str(caught.value).startswith(f"--address {address}: {said}")


def test_the_version_of_sonogrid_is_that_of_its_sources(tmp_path: Path) -> None:
    root = Path(connect.__file__).resolve().parents[3]
    for package in ("features", "trainers", "orchestrator"):
        shutil.copytree(root / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "sonogrid.py", tmp_path)

    def of_the_copy() -> dict[str, str]:
        ask = "import json; from orchestrator.executors.ray.versions import installed; print(json.dumps(installed()))"
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        command = [sys.executable, "-c", ask]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
        return dict(json.loads(done.stdout))

    here = installed()
    assert of_the_copy() == here
    with (tmp_path / "trainers" / "loop.py").open("a") as source:
        source.write("# changed\n")
    changed = of_the_copy()
    assert {name for name in here if here[name] != changed[name]} == {"sonogrid"}

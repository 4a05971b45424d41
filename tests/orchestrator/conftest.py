"""A run that may be harmed; services that the tests of a cluster's parts talk to, all on localhost, and a proxy that
breaks their answers."""

import http.client
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from moto.server import ThreadedMotoServer

from orchestrator.run import Run


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The URL of an S3 endpoint in this process."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """`s3://BUCKET` of a new bucket, with the environment set for it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "sonogrid-test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-to-be-seen-anywhere")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    bucket = f"bucket-{secrets.token_hex(6)}"
    requests.put(f"{s3_server}/{bucket}", timeout=10).raise_for_status()
    return f"s3://{bucket}"


@pytest.fixture(scope="session")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an emulator of Google Cloud Storage, a process of its own: pyarrow may block this one's threads."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    script = (
        "from gcp_storage_emulator.server import create_server; "
        f"create_server('127.0.0.1', {port}, in_memory=True, default_bucket='bucket').run()"
    )
    log = tmp_path_factory.mktemp("gcs") / "log"
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-c", script], stdout=file, stderr=file)
    for _ in range(150):
        assert process.poll() is None, log.read_text()
        try:
            requests.get(f"{url}/storage/v1/b", timeout=2).raise_for_status()
            break
        except requests.RequestException:
            time.sleep(0.1)
    yield url
    process.kill()
    process.wait()


@pytest.fixture
def gs(gcs_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """`gs://BUCKET/PREFIX` of a new prefix, with the environment set for it."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_server)
    return f"gs://bucket/{secrets.token_hex(6)}"


Fault = Callable[[BaseHTTPRequestHandler, Callable[[], tuple[int, dict[str, str], bytes]]], None]


class Proxy(ThreadingHTTPServer):
    """Stands before a service and treats the next requests as `faults` say, one each; `always` treats all others."""

    daemon_threads = True

    def __init__(self, service: str) -> None:
        self.service = urlsplit(service)
        self.faults: list[Fault | None] = []
        self.always: Fault | None = None
        self.requests: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what is tested."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Proxy

    def log_message(self, format: str, *args: object) -> None:
        """Nothing to say."""

    def _answer(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.faults.pop(0) if self.server.faults else self.server.always

        def forward() -> tuple[int, dict[str, str], bytes]:
            service = http.client.HTTPConnection(str(self.server.service.netloc), timeout=30)
            headers = {key: value for key, value in self.headers.items() if key.lower() != "expect"}
            service.request(self.command, self.path, body, headers)
            answer = service.getresponse()
            found = answer.status, dict(answer.getheaders()), answer.read()
            service.close()
            return found

        if fault is not None:
            fault(self, forward)
        else:
            Faults.send(self, forward())

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _answer


def begin(handler: BaseHTTPRequestHandler, answer: tuple[int, dict[str, str], bytes]) -> None:
    """Send an answer's status and headers."""
    status, headers, body = answer
    handler.send_response_only(status)
    for key, value in headers.items():
        if key.lower() not in ("connection", "transfer-encoding", "content-length"):
            handler.send_header(key, value)
    # The answer to HEAD has the length of a body that it doesn't bring.
    length = headers.get("Content-Length", "0") if handler.command == "HEAD" else str(len(body))
    handler.send_header("Content-Length", length)
    handler.end_headers()


class Faults:
    """What a proxy can do to a request."""

    @staticmethod
    def send(handler: BaseHTTPRequestHandler, answer: tuple[int, dict[str, str], bytes]) -> None:
        """No fault: the whole answer."""
        begin(handler, answer)
        handler.wfile.write(answer[2])

    @staticmethod
    def status(number: int, code: str) -> Fault:
        """An error of the service."""

        def fault(handler: BaseHTTPRequestHandler, forward: Callable[[], object]) -> None:
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code} it is.</Message></Error>"
            content = b"" if handler.command == "HEAD" else body.encode()
            Faults.send(handler, (number, {"Content-Type": "application/xml"}, content))

        return fault

    @staticmethod
    def silence(seconds: float) -> Fault:
        """No answer at all."""

        def fault(handler: BaseHTTPRequestHandler, forward: Callable[[], object]) -> None:
            time.sleep(seconds)
            hang_up(handler)

        return fault

    @staticmethod
    def lost(handler: BaseHTTPRequestHandler, forward: Callable[[], object]) -> None:
        """The request arrives, its answer doesn't."""
        forward()
        hang_up(handler)

    @staticmethod
    def cut(handler: BaseHTTPRequestHandler, forward: Callable[[], tuple[int, dict[str, str], bytes]]) -> None:
        """The connection breaks in the middle of the answer's body."""
        begin(handler, answer := forward())
        handler.wfile.write(answer[2][: len(answer[2]) // 2])
        handler.wfile.flush()
        hang_up(handler)

    @staticmethod
    def slow(seconds: float) -> Fault:
        """The answer's body trickles, for so long."""

        def fault(handler: BaseHTTPRequestHandler, forward: Callable[[], tuple[int, dict[str, str], bytes]]) -> None:
            begin(handler, answer := forward())
            step = len(answer[2]) // 20 + 1
            for start in range(0, len(answer[2]), step):
                time.sleep(seconds / 20)
                handler.wfile.write(answer[2][start : start + step])

        return fault


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(s3: str, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before the S3 endpoint, which the environment names instead of it."""
    server = Proxy(s3_server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def faults() -> type[Faults]:
    """The faults a proxy knows."""
    return Faults


@pytest.fixture(params=["local", "s3", "gs"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The root of an empty store of each kind."""
    if request.param == "local":
        return str(tmp_path / "store")
    name: str = request.getfixturevalue(request.param)
    return f"{name}/some/prefix" if request.param == "s3" else name


@pytest.fixture
def own_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracking store of the test's own."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")


@pytest.fixture
def copy(inline_run: Run, tmp_path: Path) -> Run:
    """A finished run that may be harmed."""
    shutil.copytree(inline_run.folder, tmp_path / "run")
    return Run.open(tmp_path / "run")

"""PostgreSQL and an S3 endpoint on localhost, for tests and development: `make services`, `make services-stop`.

They stand in for the services of a cluster: databases for MLflow and Optuna, a bucket for stores and artifacts. `stop`
deletes all their data. The module is part of the package because a trial cluster starts it on its head node, where only
the package is installed (docs/cluster/README.md).
"""

import argparse
import http.client
import os
import pwd
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from features.errors import InputError, SonogridError, StoreError
from features.files import read_json, write_json

__all__ = ["find_postgres", "main", "start", "stop"]

FOLDER = Path("runs/services")
USER = "sonogrid"
BUCKET = "sonogrid"
DATABASES = ("mlflow", "optuna")
LOCALHOST = "127.0.0.1"
NEIGHBOURS = "samenet"
"""PostgreSQL's keyword for the subnets of this machine."""
PATIENCE_S = 60.0
SERVER = b"moto.server"


def start(folder: Path, postgres_port: int = 0, s3_port: int = 0, host: str = LOCALHOST) -> dict[str, str]:
    """Start both and wait until they answer.

    Writes `environment` to the folder: shell lines to source, readable by this user only. The password is new on every
    start.

    Args:
        folder: where `environment`, the log of the S3 endpoint and the state for `stop` are written.
        postgres_port: port of PostgreSQL; 0 picks a free one.
        s3_port: port of the S3 endpoint; 0 picks a free one.
        host: the only address to listen on, an address of this machine. On addresses other than localhost, anyone who
            reaches it can use the S3 endpoint, which checks no keys; PostgreSQL requires the password.

    Returns:
        The variables of `environment`.

    Raises:
        InputError: something is not installed, a port is taken, or the services are already running.
        StoreError: one of them does not start.
    """
    binaries = find_postgres()
    if find_spec("moto") is None:
        raise InputError("moto, the S3 endpoint, is not installed; install it with: pip install 'sonogrid[dev]'")
    if (folder / "state.json").exists():
        raise InputError(
            f"the services are already running ({folder / 'state.json'} exists); stop them with: make services-stop"
        )
    folder.mkdir(parents=True, exist_ok=True)
    postgres_port, s3_port = _port(host, postgres_port), _port(host, s3_port)
    endpoint = f"http://{host}:{s3_port}"
    database = f"postgresql+psycopg://{USER}@{host}:{postgres_port}"
    environment = {
        # The password is not in the URLs, which end up in logs and process lists. libpq reads it from here.
        "PGPASSWORD": secrets.token_urlsafe(24),
        "MLFLOW_TRACKING_URI": f"{database}/mlflow",
        "MLFLOW_BACKEND_STORE_URI": f"{database}/mlflow",
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": f"s3://{BUCKET}/mlflow",
        "MLFLOW_S3_ENDPOINT_URL": endpoint,
        "SONOGRID_OPTUNA_STORAGE": f"{database}/optuna",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": USER,
        "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(24),
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    data = Path(tempfile.mkdtemp(prefix="sonogrid-postgres-"))
    state: dict[str, Any] = {"postgres": str(data), "s3": None}
    write_json(folder / "state.json", state)
    try:
        _start_postgres(binaries, data, host, postgres_port, environment)
        state["s3"] = _start_s3(host, s3_port, folder / "s3.log")
        write_json(folder / "state.json", state)
        _make_bucket(host, s3_port)
    except BaseException:
        stop(folder)
        raise
    _write_environment(folder / "environment", environment)
    return environment


def stop(folder: Path) -> None:
    """Stop both and delete their data.

    Raises:
        InputError: they are not running.
    """
    if not (folder / "state.json").exists():
        raise InputError(f"the services are not running: {folder / 'state.json'} does not exist")
    state = read_json(folder / "state.json")
    data = Path(state["postgres"])
    if (data / "data" / "postmaster.pid").exists():
        pg_ctl = find_postgres() / "pg_ctl"
        _as_postgres([pg_ctl, "stop", "-D", data / "data", "-m", "immediate", "-w"], data, check=False)
    shutil.rmtree(data, ignore_errors=True)
    if state["s3"] is not None:
        _end(state["s3"])
    for name in ("environment", "state.json"):
        (folder / name).unlink(missing_ok=True)


def find_postgres() -> Path:
    """The folder of PostgreSQL's programs: the newest of Debian's packages, or the one on the PATH.

    Raises:
        InputError: PostgreSQL is not installed.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("pg_ctl")
    if found:
        return found[-1].parent
    if on_path:
        return Path(on_path).resolve().parent
    raise InputError("PostgreSQL is not installed; install it with: apt-get install postgresql")


def _start_postgres(binaries: Path, folder: Path, host: str, port: int, environment: Mapping[str, str]) -> None:
    data, password, log = folder / "data", folder / "password", folder / "log"
    password.touch(0o600)
    password.write_text(environment["PGPASSWORD"])
    if os.getuid() == 0:
        try:
            account = pwd.getpwnam("postgres")
        except KeyError:
            raise InputError(
                "PostgreSQL does not run as root, and there is no user 'postgres' to run it as; "
                "install the Debian package: apt-get install postgresql"
            ) from None
        for path in (folder, password):
            os.chown(path, account.pw_uid, account.pw_gid)
    _as_postgres(
        [
            binaries / "initdb", "-D", data, "-U", USER, "--pwfile", password, "--auth", "scram-sha-256",
            "--encoding", "UTF8", "--locale", "C", "--no-sync",
        ],
        folder,
    )  # fmt: skip
    password.unlink()
    with (data / "pg_hba.conf").open("a") as file:
        file.write(f"host all {USER} {NEIGHBOURS} scram-sha-256\n")
    # No socket in the file system, and no protection against a power cut: the data is temporary.
    options = f"-p {port} -c listen_addresses={host} -c unix_socket_directories='' -c fsync=off"
    try:
        _as_postgres([binaries / "pg_ctl", "start", "-D", data, "-l", log, "-o", options, "-w", "-t", "60"], folder)
    except StoreError as error:
        last = log.read_text().strip().splitlines()[-1:] if log.exists() else []
        raise StoreError(f"{error}: {' '.join(last)}") from None
    for name in DATABASES:
        subprocess.run(
            [binaries / "createdb", "-h", host, "-p", str(port), "-U", USER, "-w", name],
            env={**os.environ, **environment}, check=True,
        )  # fmt: skip


def _as_postgres(command: Sequence[str | Path], folder: Path, *, check: bool = True) -> None:
    """Run one of PostgreSQL's programs; as root, run it as the user `postgres`, since they refuse to run as root."""
    # That user may have no access to the current folder, hence `cwd`.
    user: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    done = subprocess.run(
        command, cwd=folder, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, **user,
    )  # fmt: skip
    if check and done.returncode != 0:
        said = done.stdout.strip().splitlines()
        raise StoreError(f"{Path(command[0]).name} failed with {done.returncode}: {' '.join(said[-2:])}")


def _start_s3(host: str, port: int, log: Path) -> int:
    """Start moto's server, which keeps everything in memory; return its process id."""
    command = [sys.executable, "-m", "moto.server", "-H", host, "-p", str(port)]
    # Through a shell that exits at once, so that the server outlives this process and leaves no zombie.
    shell = ["sh", "-c", '"$@" </dev/null >"$0" 2>&1 & echo $!', str(log), *command]
    started = subprocess.run(
        shell, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, check=True
    )
    pid = int(started.stdout)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and SERVER in _command_of(pid):
        try:
            socket.create_connection((host, port), timeout=1).close()
            return pid
        except OSError:
            time.sleep(0.1)
    _end(pid)
    raise StoreError(f"the S3 endpoint does not answer; see {log}")


def _end(pid: int) -> None:
    """Stop the S3 endpoint and wait for its exit. The id may belong to another process by now, so check its command."""
    deadline = time.monotonic() + 10
    while SERVER in _command_of(pid) and time.monotonic() < deadline:
        os.kill(pid, signal.SIGTERM)
        time.sleep(0.1)


def _make_bucket(host: str, port: int) -> None:
    """Create the bucket with a plain PUT: moto checks no signature."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_S)
    try:
        connection.request("PUT", f"/{BUCKET}", headers={"Content-Length": "0"})
        answer = connection.getresponse()
    except OSError as error:
        raise StoreError(f"the S3 endpoint does not answer: {error}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise StoreError(f"the S3 endpoint did not create the bucket {BUCKET}: {answer.status} {answer.reason}")


def _write_environment(path: Path, environment: Mapping[str, str]) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())


def _port(host: str, wanted: int) -> int:
    """A port that is free to listen on: the wanted one, or any for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in use a moment ago counts as free
        try:
            probe.bind((host, wanted))
        except OSError as error:
            what = f"port {wanted}" if wanted else f"host {host}"
            remedy = "choose another, or 0 for a free one" if wanted else "use an address of this machine"
            raise InputError(f"{what}: {error.strerror}; {remedy}") from None
        port: int = probe.getsockname()[1]
        return port


def _command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m orchestrator.services start|stop`."""
    parser = argparse.ArgumentParser(prog="python -m orchestrator.services", description=__doc__)
    parser.add_argument("verb", choices=["start", "stop"])
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help="folder of the environment file (default: %(default)s)"
    )
    parser.add_argument("--postgres-port", type=int, default=0, help="default: a free port")
    parser.add_argument("--host", default=LOCALHOST, help="address of this machine to listen on (default: %(default)s)")
    parser.add_argument("--s3-port", type=int, default=0, help="default: a free port")
    given = parser.parse_args(arguments)
    try:
        if given.verb == "start":
            start(given.folder, given.postgres_port, given.s3_port, given.host)
            print(f"PostgreSQL and S3 are ready; next: source {given.folder / 'environment'}")
        else:
            stop(given.folder)
    except SonogridError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

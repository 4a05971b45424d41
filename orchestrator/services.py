"""PostgreSQL and an S3 endpoint on localhost, for tests and development: `make services`, `make services-stop`.

They stand in for what a cluster has: databases for MLflow and Optuna, a bucket for stores and artifacts. All of it is
thrown away by `stop`. It is here and not among the tests since development uses it too, by hand.
"""

import argparse
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
"""PostgreSQL's word for the networks that this machine is in."""
PATIENCE_S = 60.0
SERVER = b"moto.server"


def start(folder: Path, postgres_port: int = 0, s3_port: int = 0, host: str = LOCALHOST) -> dict[str, str]:
    """Start both and wait until they answer.

    Writes `environment` to the folder, shell lines to source that this user alone can read. Its password is new each
    time. A port of 0 is a free one. Both listen on `host` alone, an address of this machine; on another one than
    localhost whoever reaches it may use the S3 endpoint, which checks no key, while PostgreSQL wants its password.

    Returns:
        The variables of that file.

    Raises:
        InputError: something is not installed, a port is taken, or they run already.
        StoreError: one of them does not start.
    """
    binaries = find_postgres()
    if find_spec("moto") is None:
        raise InputError("moto, the S3 endpoint, is missing; install it with: pip install 'sonogrid[dev]'")
    if (folder / "state.json").exists():
        raise InputError(
            f"{folder / 'state.json'} is there: the services run already; end them with: make services-stop"
        )
    folder.mkdir(parents=True, exist_ok=True)
    postgres_port, s3_port = _port(host, postgres_port), _port(host, s3_port)
    endpoint = f"http://{host}:{s3_port}"
    database = f"postgresql+psycopg://{USER}@{host}:{postgres_port}"
    environment = {
        # The password is not in the URLs: those end up in logs and lists of processes. libpq reads it here.
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
        _make_bucket(environment)
    except BaseException:
        stop(folder)
        raise
    _write_environment(folder / "environment", environment)
    return environment


def stop(folder: Path) -> None:
    """End both and remove their data.

    Raises:
        InputError: they don't run.
    """
    if not (folder / "state.json").exists():
        raise InputError(f"no services run: {folder / 'state.json'} is missing")
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
    """The folder of PostgreSQL's programs: Debian's newest, or the one on the PATH.

    Raises:
        InputError: there is none.
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
                "PostgreSQL won't run as root, and there is no user 'postgres'; "
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
    # No socket in the file system, and no care for a power cut: the data is thrown away anyway.
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
    """Run one of PostgreSQL's programs, which refuse to run as root, as its own user if need be."""
    # The working folder of this process may be closed to that user.
    user: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    done = subprocess.run(
        command, cwd=folder, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, **user,
    )  # fmt: skip
    if check and done.returncode != 0:
        said = done.stdout.strip().splitlines()
        raise StoreError(f"{Path(command[0]).name} failed with {done.returncode}: {' '.join(said[-2:])}")


def _start_s3(host: str, port: int, log: Path) -> int:
    """Start moto's server, which keeps everything in memory; gives its process id."""
    command = [sys.executable, "-m", "moto.server", "-H", host, "-p", str(port)]
    # By way of a shell that ends at once, so that the server is nobody's child and outlives us.
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
    raise StoreError(f"the S3 endpoint does not answer; {log} may say why")


def _end(pid: int) -> None:
    """End the S3 endpoint and wait for that; by now its number may belong to another process."""
    deadline = time.monotonic() + 10
    while SERVER in _command_of(pid) and time.monotonic() < deadline:
        os.kill(pid, signal.SIGTERM)
        time.sleep(0.1)


def _make_bucket(environment: Mapping[str, str]) -> None:
    import boto3

    client = boto3.session.Session().client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
    )
    client.create_bucket(Bucket=BUCKET)


def _write_environment(path: Path, environment: Mapping[str, str]) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())


def _port(host: str, wanted: int) -> int:
    """A port that nobody listens on: the wanted one, or any for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was in use a moment ago is free
        try:
            probe.bind((host, wanted))
        except OSError as error:
            what = f"port {wanted}" if wanted else f"host {host}"
            remedy = "give another one, or 0 for a free one" if wanted else "give an address of this machine"
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
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the environment file lies (%(default)s)")
    parser.add_argument("--postgres-port", type=int, default=0, help="0: a free one")
    parser.add_argument("--host", default=LOCALHOST, help="the address to listen on, of this machine (%(default)s)")
    parser.add_argument("--s3-port", type=int, default=0, help="0: a free one")
    given = parser.parse_args(arguments)
    try:
        if given.verb == "start":
            start(given.folder, given.postgres_port, given.s3_port, given.host)
            print(f"PostgreSQL and S3 answer; next: source {given.folder / 'environment'}")
        else:
            stop(given.folder)
    except SonogridError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

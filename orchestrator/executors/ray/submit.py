"""`--submit`: the same command on the head of a cluster, by Ray Jobs, so that it outlives the machine it was typed on.

Everyone who can open Ray's dashboard can read what is submitted: the command line and environment variables. So no
password is sent; credentials belong in the environment in which Ray was started on the head.
"""

import argparse
import logging
import os
import shlex
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from features.errors import InputError, JobError
from features.words import printable
from orchestrator.redact import one_line, redact

__all__ = ["command_line", "passed_on", "submit"]

PASSED_ON = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_DEFAULT_ARTIFACT_ROOT",
    "MLFLOW_S3_ENDPOINT_URL",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)
"""Where services are; credentials for them are set in the head's own environment."""
PLACES = ("MLFLOW_TRACKING_URI", "MLFLOW_DEFAULT_ARTIFACT_ROOT")
"""Those that may be paths."""
CONNECT_S, ANSWER_S = 10.0, 60.0
FIRST_WORDS_S = 60.0
END_S = 2.0
"""A command that was refused has ended this long after its first output."""


def submit(arguments: argparse.Namespace, run: Path, console: Console, grid: Path | None = None) -> int:
    """Submit the command line that `arguments` came from; returns when it has begun on the head.

    Args:
        run: RUN, on storage that all machines of the cluster have under this path.
        grid: a grid file of this machine, which is sent along.

    Raises:
        InputError: no Ray Jobs server answers at the address, or the head refuses the command.
        JobError: the command failed at once for another reason.
    """
    address = arguments.address or os.environ.get("RAY_ADDRESS") or ""
    if urlsplit(address).scheme not in ("http", "https"):
        given = f"{redact(address)} is not one" if address else "--address is missing"
        raise InputError(f"--submit needs a Ray Jobs address; {given}: give --address http://HOST:8265")
    words = command_line(arguments)
    for word in words:
        if redact(word) != word:
            raise InputError(
                f"{redact(word)} holds a password, which Ray's dashboard would show: put credentials into the "
                "environment of the cluster's head, and leave them out here"
            )
    environment, withheld = passed_on()
    client = _connect(address)
    runtime_env: dict[str, Any] = {"env_vars": environment}
    with tempfile.TemporaryDirectory(prefix="sonogrid-") as folder:
        if grid is not None:
            shutil.copyfile(grid, Path(folder) / grid.name)
            runtime_env["working_dir"] = folder
        job = _ask(address, lambda: client.submit_job(entrypoint=_entrypoint(words, run), runtime_env=runtime_env))

    def say(text: str) -> None:
        console.print(text)

    say(f"submitted as {job} to {redact(address)}; what runs there outlives this machine")
    for name in withheld:
        say(f"note: {name} holds a password and is not sent: set it in the head node's environment")
    first = _first_words(address, client, job)
    for line in first:
        say(f"head: {line}")
    if not first:
        say(f"no output after {FIRST_WORDS_S:g} s: it is queued, or still checking the data")
    say("next:")
    say(f"  sonogrid status {shlex.quote(str(run))} --watch")
    for verb in ("logs --follow", "stop"):
        say(f"  ray job {verb} --address {redact(address)} {job}")
    return 0


def _entrypoint(words: list[str], run: Path) -> str:
    """For the head's shell. MLflow's own default would be a file in a folder of Ray's that does not last."""
    own = shlex.quote(f"sqlite:///{run / 'mlflow.db'}")
    return f"MLFLOW_TRACKING_URI=${{MLFLOW_TRACKING_URI:-{own}}} {shlex.join(words)}"


def command_line(arguments: argparse.Namespace) -> list[str]:
    """The command for the head: without --submit, with absolute paths, on the head's own cluster."""
    parser: argparse.ArgumentParser = arguments.parser
    options, positionals = [], []
    for action in parser._actions:
        value = getattr(arguments, action.dest, None)
        if action.dest in ("submit", "address") or value == action.default or value is None:
            continue
        name = action.option_strings[-1] if action.option_strings else ""
        if action.nargs == 0:
            options.append(name)
        elif not name:
            positionals.append(_text(value))
        else:
            values = value if isinstance(value, list) else [value]
            options += [f"{name}={_text(each)}" for each in values]
    verb = parser.prog.split()[-1]
    return ["python", "-m", "orchestrator.cli", verb, *positionals, *options, "--address=auto"]


def _text(value: Any) -> str:
    """A value of an option as it is typed."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value.absolute() if isinstance(value, Path) else value)


def _absolute(uri: str) -> str:
    """MLflow's place with an absolute path, if it is a file or folder: the head has another working folder."""
    scheme, colon, rest = uri.partition(":")
    if not colon:
        return uri if uri == "databricks" else str(Path(uri).absolute())
    if scheme.startswith("sqlite") and rest.startswith("///") and not rest.startswith(("////", "///:memory:")):
        return f"{scheme}:///{Path(rest[3:]).absolute()}"
    if scheme == "file" and not rest.startswith("/"):
        return f"file://{Path(rest).absolute()}"
    return uri


def passed_on() -> tuple[dict[str, str], list[str]]:
    """The environment variables to send, and the names of those withheld because they hold a password or a token."""
    sent, withheld = {}, []
    for name in PASSED_ON:
        value = os.environ.get(name)
        if not value:
            continue
        if name in PLACES:
            value = _absolute(value)
        parts = urlsplit(value)
        if "@" in parts.netloc or parts.query:
            withheld.append(name)
        else:
            sent[name] = value
    return sent, withheld


def _connect(address: str) -> Any:
    from ray.job_submission import JobSubmissionClient

    class Client(JobSubmissionClient):
        """With a time limit for every request; Ray's own waits for ever."""

        def _do_request(self, *arguments: Any, **options: Any) -> Any:
            return super()._do_request(*arguments, timeout=(CONNECT_S, ANSWER_S), **options)

    for chatty in ("ray", "ray.dashboard.modules.dashboard_sdk"):  # they report their uploads
        logging.getLogger(chatty).setLevel(logging.WARNING)
    os.environ["RAY_API_SERVER_ADDRESS"] = address  # Ray has it override what is named, and RAY_ADDRESS too
    return _ask(address, lambda: Client(address))


def _ask(address: str, request: Any) -> Any:
    """The answer to a request; failures end in one sentence."""
    from ray.exceptions import AuthenticationError
    from requests import RequestException

    try:
        return request()
    except AuthenticationError:
        raise InputError(
            f"--address {redact(address)}: the cluster requires its token: set RAY_AUTH_MODE=token and put it into "
            "RAY_AUTH_TOKEN, or into a file that RAY_AUTH_TOKEN_PATH names"
        ) from None
    except (ConnectionError, RequestException, RuntimeError, ValueError, KeyError) as error:
        why = one_line(error, 200)
        raise InputError(
            f"--address {redact(address)}: no Ray Jobs server answers there ({why}); "
            "give the address of the head's dashboard"
        ) from None


def _first_words(address: str, client: Any, job: str) -> list[str]:
    """Wait for the first lines that the command prints on the head.

    Raises:
        InputError: it ended with exit code 2; the message is its own.
        JobError: it ended badly otherwise.
    """
    deadline, spoken = time.monotonic() + FIRST_WORDS_S, None
    lines: list[str] = []
    while time.monotonic() < min(deadline, (spoken or deadline) + END_S):
        details = _ask(address, lambda: client.get_job_info(job))
        # Ray prints lines of its own first, up to the one that repeats our command.
        log = _ask(address, lambda: client.get_job_logs(job)).partition("Running entrypoint for job ")[2]
        lines = [printable(line) for line in log.splitlines()[1:] if line.strip()]
        # After a message of an error, the exit code follows; on a busy machine it takes a while.
        if lines and spoken is None and not lines[-1].startswith("sonogrid: "):
            spoken = time.monotonic()
        if details.status.is_terminal():
            if details.status == "SUCCEEDED":
                break
            if details.driver_exit_code == InputError.exit_code and lines:
                said = " / ".join(line.removeprefix("sonogrid: ") for line in lines[-5:])
                raise InputError(f"on the head: {said}")
            raise JobError(
                f"{job} failed on the head ({lines[-1].strip() if lines else printable(details.message)}); Ray has to "
                "be started there in sonogrid's environment, with its 'python' first on the PATH"
            )
        time.sleep(0.5)
    return lines[:5]

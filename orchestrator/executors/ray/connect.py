"""Connecting to Ray: a cluster started in place, or the one at an address; if that fails, one sentence says why.

If nothing answers at an address, Ray itself tries for almost three minutes and then ends the process. So one call with
a time limit is made first.
"""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from features.errors import InputError
from orchestrator.executors.ray.versions import check_nodes
from orchestrator.redact import one_line, redact

__all__ = ["check_address", "connect"]

ANSWER_S = 10.0
TOKEN = (
    "set RAY_AUTH_MODE=token and put the cluster's token into RAY_AUTH_TOKEN, or into a file that RAY_AUTH_TOKEN_PATH "
    "names"
)


def check_address(address: str | None) -> None:
    """Refuse an address through which no grid can be run from this process.

    Raises:
        InputError: it is one of Ray Client or of Ray Jobs.
    """
    kind = (address or "").partition("://")[0].lower()
    if kind == "ray":
        raise InputError(
            f"--address {redact(str(address))}: through Ray Client the jobs of a grid can be started but not "
            "monitored, and they end with this process; submit instead: --address http://HOST:8265 --submit"
        )
    if kind in ("http", "https"):
        raise InputError(
            f"--address {redact(str(address))} is the address of Ray Jobs: launch or resume with --submit, or name the "
            "cluster itself (auto or HOST:6379)"
        )


def connect(address: str | None) -> set[str]:
    """Start Ray in place or connect to a cluster; authentication by token stays as Ray has it: on.

    Returns:
        Ids of the nodes that were compared with this process; none for a cluster in place.

    Raises:
        InputError: the cluster can't be reached, requires another token, or has other versions than this process.
    """
    import ray
    from ray.exceptions import AuthenticationError

    check_address(address)
    try:
        if address not in (None, "local"):
            _require_answer(str(address))
        # Ray prints a screenful for each dead process and machine; sonogrid reports it in one line.
        ray._private.worker.listen_error_messages = lambda *_: None
        with _own_signals(), _on_localhost() if address in (None, "local") else nullcontext():
            # "local": a bare init would join any cluster that happens to run on this machine.
            ray.init(
                address=address or "local",
                include_dashboard=False if address is None else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except InputError:
        raise
    except AuthenticationError:
        raise _refusal(address, f"it requires a token and none is set; {TOKEN}") from None
    except (ConnectionError, ValueError, RuntimeError) as error:
        if address is None:
            raise
        why = one_line(error)
        if why.startswith("Version mismatch"):
            # "... The cluster was started with: Ray: 2.60 Python: 3.11 This process on node X was started with: ..."
            theirs, ours = (part.partition("started with: ")[2] for part in why.split(" This process on "))
            what = f"it runs {theirs}, and here are {ours}: install the same versions on both sides"
            raise _refusal(address, what) from None
        raise _refusal(address, f"no Ray cluster can be reached there ({why})") from None
    known: set[str] = set()
    if address not in (None, "local"):
        try:
            check_nodes(known)
        except InputError as error:
            ray.shutdown()
            raise _refusal(address, str(error)) from None
    return known


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the handlers of SIGINT and SIGTERM while Ray starts.

    Ray replaces that of SIGTERM: in Python by one that ends all processes of the cluster, in C++ by one that prints a
    stack. The latter calls ours, until it is put back.
    """
    import ray

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    theirs = ray._private.utils.set_sigterm_handler
    ray._private.utils.set_sigterm_handler = lambda _: None
    try:
        yield
    finally:
        ray._private.utils.set_sigterm_handler = theirs
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


@contextmanager
def _on_localhost() -> Iterator[None]:
    """Let the processes that Ray starts listen on localhost alone, as it does on Windows and macOS."""
    from ray._private import ray_constants

    name, before = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, ray_constants.ENABLE_RAY_CLUSTER
    inherited = os.environ.get(name)
    os.environ[name], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        os.environ.pop(name)
        if inherited is not None:
            os.environ[name] = inherited


def _refusal(address: str | None, why: str) -> InputError:
    return InputError(f"--address {redact(str(address))}: {why}")


def _require_answer(address: str) -> None:
    """One question to the cluster's control service, with a time limit."""
    import grpc  # type: ignore[import-untyped]
    import ray
    from ray._private.authentication.authentication_token_setup import (
        ensure_token_if_auth_enabled,
        maybe_enable_token_auth_if_token_available,
    )
    from ray._private.grpc_utils import init_grpc_channel
    from ray.core.generated.gcs_service_pb2 import GetClusterIdRequest  # type: ignore[attr-defined]
    from ray.core.generated.gcs_service_pb2_grpc import NodeInfoGcsServiceStub

    if address == "auto":  # as `ray.init` does
        maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    ensure_token_if_auth_enabled(create_token_if_missing=False)
    place = ray._private.services.canonicalize_bootstrap_address_or_die(address)
    options = [("grpc.enable_http_proxy", 0)]  # a cluster is near, as Ray's own calls have it
    with init_grpc_channel(place, options) as channel:
        try:
            service = NodeInfoGcsServiceStub(channel)  # type: ignore[no-untyped-call]
            service.GetClusterId(GetClusterIdRequest(), timeout=ANSWER_S)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNAUTHENTICATED:
                raise _refusal(address, f"the cluster does not know the token of this process; {TOKEN}") from None
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise _refusal(address, f"no answer within {ANSWER_S:g} s") from None
            raise _refusal(
                address, "no Ray cluster answers there; start one there ('ray start --head') or check the address"
            ) from None

"""Serves a tagger's page on localhost until Ctrl-C."""

import socket
from contextlib import suppress
from pathlib import Path

import uvicorn
from rich.console import Console

from features.errors import InputError
from orchestrator.serving.app import make_app
from orchestrator.tagger.tagger import Tagger

__all__ = ["serve"]

HOST = "127.0.0.1"


def serve(run: str | Path, port: int, console: Console) -> int:
    """Serve the page of a run's tagger until Ctrl-C; returns 0.

    Args:
        run: what `Tagger.load` takes.
        port: of localhost; 0: any free one.
        console: shows the address.

    Raises:
        InputError: the port is in use or not allowed.
        StoreError: the blend is not done yet.
    """
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with listening:
        try:
            listening.bind((HOST, port))
        except OSError as error:
            raise InputError(f"--port {port} can't be used ({error.strerror}): choose another one") from None
        tagger = Tagger.load(run)
        console.print(f"http://{HOST}:{listening.getsockname()[1]}  {len(tagger.classes)} classes; Ctrl-C ends it")
        config = uvicorn.Config(
            make_app(tagger), log_level="warning", access_log=False, limit_concurrency=32, timeout_graceful_shutdown=1
        )
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])
    return 0

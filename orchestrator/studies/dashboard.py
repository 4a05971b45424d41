"""Optuna Dashboard on localhost, in threads of this process: it ends with it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from orchestrator.studies.storage import open_storage

__all__ = ["serve_dashboard"]

PORTS = 20
"""Ports that are tried, before any that is free."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    allow_reuse_address = True


class _Quiet(WSGIRequestHandler):
    """A line per request is of no use to a user."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serve_dashboard(journal: Path, database: str | None, port: int) -> Iterator[str]:
    """Serve the studies of a journal or a database while the block runs; yields the address.

    Args:
        journal: the file.
        database: SQLAlchemy URL; None: the journal.
        port: the first one to try; a later one is used if it is taken.

    Raises:
        InputError: the URL is not one of SQLAlchemy, or its driver is missing.
        StoreError: the database does not answer.
    """
    from optuna_dashboard import wsgi

    with open_storage(journal, database) as storage, _listening(port) as server:
        server.set_app(wsgi(storage))
        thread = threading.Thread(target=server.serve_forever, name="dashboard", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/dashboard"
        finally:
            server.shutdown()
            thread.join()


def _listening(port: int) -> _Server:
    """A server on the first free port of localhost."""
    for wanted in (*range(port, min(port + PORTS, 65_536)), 0):
        try:
            return _Server(("127.0.0.1", wanted), _Quiet)
        except OSError:
            if wanted == 0:
                raise
    raise AssertionError("port 0 is any that is free")

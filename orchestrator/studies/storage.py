"""Where studies are kept: a journal file, or a database that several processes share."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.exceptions import DuplicatedStudyError, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from features.errors import InputError, StoreError
from orchestrator.redact import one_line

__all__ = ["JOURNAL", "OPTUNA_STORAGE", "database_url", "errors_of", "open_storage"]

JOURNAL = "optuna.journal"
"""File of a RUN with the studies of `tune` and `search`."""
OPTUNA_STORAGE = "SONOGRID_OPTUNA_STORAGE"
"""Environment variable with the SQLAlchemy URL of a database for studies."""
TRIES = 10
"""Half seconds to wait for tables that another process creates."""


def database_url() -> str | None:
    """The database that the environment names for studies; None: each blend has a journal."""
    return os.environ.get(OPTUNA_STORAGE) or None


@contextmanager
def open_storage(journal: Path, database: str | None = None, named_by: str = OPTUNA_STORAGE) -> Iterator[BaseStorage]:
    """Open a database if there is one, else a journal; what is missing is created.

    Args:
        journal: file that one process at a time writes to.
        database: SQLAlchemy URL.
        named_by: option or variable that gave the URL, for messages.

    Raises:
        InputError: the URL is not one of SQLAlchemy, or its driver is missing.
        StoreError: the database does not answer.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if database is None:
        journal.parent.mkdir(parents=True, exist_ok=True)
        yield JournalStorage(JournalFileBackend(str(journal)))
        return
    try:
        storage = _tables(database)
    except (ArgumentError, NoSuchModuleError):
        raise InputError(
            f"{named_by} is not a database URL; give for example postgresql+psycopg://USER@HOST:PORT/DATABASE"
        ) from None
    except ImportError as error:
        raise InputError(f"{named_by}: {error}; install the driver with: pip install 'sonogrid[cluster]'") from None
    except (StorageInternalError, SQLAlchemyError) as error:
        raise StoreError(
            f"the database that {named_by} names fails ({one_line(error)}); launch again when it answers"
        ) from None
    try:
        yield storage
    finally:
        storage.engine.dispose()


def _tables(database: str) -> RDBStorage:
    """A database with Optuna's tables, which another process may be about to create."""
    for _ in range(TRIES):
        try:
            return RDBStorage(database, engine_kwargs={"pool_pre_ping": True})
        except (StorageInternalError, SQLAlchemyError) as error:
            if not isinstance(error, IntegrityError) and "already exists" not in str(error):
                raise
            time.sleep(0.5)
    return RDBStorage(database, engine_kwargs={"pool_pre_ping": True})


@contextmanager
def errors_of(name: str) -> Iterator[None]:
    """Turn errors of a database into a StoreError. Optuna raises KeyError if a study was deleted.

    Args:
        name: of the study.
    """
    try:
        yield
    except (StorageInternalError, SQLAlchemyError, DuplicatedStudyError, KeyError) as error:
        raise StoreError(
            f"study '{name}' can't be recorded ({type(error).__name__}: {one_line(error)}); "
            f"see that the database of --storage or {OPTUNA_STORAGE} answers, then repeat the command"
        ) from None

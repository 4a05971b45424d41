"""Where the trials of a blend are recorded: Optuna studies in a journal file or in a shared database."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import DuplicatedStudyError, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from features.errors import InputError, StoreError
from orchestrator.redact import one_line

__all__ = ["OPTUNA_STORAGE", "Studies", "database_url", "open_studies"]

OPTUNA_STORAGE = "SONOGRID_OPTUNA_STORAGE"
"""Environment variable with the SQLAlchemy URL of a database for studies."""


def database_url() -> str | None:
    """The database that the environment names for studies; None: each blend has a journal."""
    return os.environ.get(OPTUNA_STORAGE) or None


class Record:
    """One study: the trials so far, and a place for more."""

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self.tried = [(trial.params, float(trial.value or 0.0)) for trial in study.get_trials(deepcopy=False)]
        """Parameters and value of each trial, in order."""

    def add(
        self, params: dict[str, float], space: dict[str, BaseDistribution], value: float, about: Mapping[str, str]
    ) -> None:
        """Record a trial, and what it is about: its user attributes.

        Raises:
            StoreError: the database fails, or another process replaced the study.
        """
        with _errors(self._study.study_name):
            self._study.add_trial(
                optuna.create_trial(params=params, distributions=space, value=value, user_attrs=dict(about))
            )


@dataclass(frozen=True)
class Studies:
    """Studies whose names share a prefix.

    A journal belongs to one blend, and its studies are continued. A database is shared: a study in it may be
    incomplete, left by a killed process or still being written by an abandoned one. It is therefore replaced.
    """

    storage: BaseStorage
    prefix: str

    def open(self, name: str) -> Record:
        """Open the record of a study.

        Raises:
            StoreError: the database fails.
        """
        name = f"{self.prefix} {name}"
        replaces = isinstance(self.storage, RDBStorage)
        with _errors(name):
            if replaces and any(known.study_name == name for known in self.storage.get_all_studies()):
                optuna.delete_study(study_name=name, storage=self.storage)
            study = optuna.create_study(
                storage=self.storage, study_name=name, direction="maximize", load_if_exists=not replaces
            )
            return Record(study)


@contextmanager
def open_database(url: str) -> Iterator[BaseStorage]:
    """Open the database of studies; missing tables are created.

    Raises:
        InputError: the URL is not one of SQLAlchemy, or its driver is missing.
        StoreError: the database does not answer.
    """
    try:
        storage = RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
    except (ArgumentError, NoSuchModuleError):
        raise InputError(
            f"{OPTUNA_STORAGE} is not a database URL; give for example postgresql+psycopg://USER@HOST:PORT/DATABASE"
        ) from None
    except ImportError as error:
        raise InputError(
            f"{OPTUNA_STORAGE}: {error}; install the driver with: pip install 'sonogrid[cluster]'"
        ) from None
    except (StorageInternalError, SQLAlchemyError) as error:
        raise StoreError(
            f"the database that {OPTUNA_STORAGE} names fails ({one_line(error)}); launch again when it answers"
        ) from None
    try:
        yield storage
    finally:
        storage.engine.dispose()


@contextmanager
def open_studies(journal: Path, inputs: str, database: str | None, name: str) -> Iterator[Studies]:
    """The studies of one blend: in its journal, named after its inputs, or in a database, under a name."""
    if database is None:
        journal.parent.mkdir(parents=True, exist_ok=True)
        yield Studies(JournalStorage(JournalFileBackend(str(journal))), inputs)
    else:
        with open_database(database) as storage:
            yield Studies(storage, name)


@contextmanager
def _errors(name: str) -> Iterator[None]:
    """Turn errors of a database into a StoreError. Optuna raises KeyError if a study was deleted."""
    try:
        yield
    except (StorageInternalError, SQLAlchemyError, DuplicatedStudyError, KeyError) as error:
        raise StoreError(
            f"study '{name}' can't be recorded ({type(error).__name__}: {one_line(error)}); "
            f"see that the database of {OPTUNA_STORAGE} answers, then launch again"
        ) from None

"""Where the trials of a blend are recorded: Optuna studies in a journal file, or in a database that is shared."""

from collections.abc import Iterator
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

__all__ = ["OPTUNA_STORAGE", "Studies", "open_studies"]

OPTUNA_STORAGE = "SONOGRID_OPTUNA_STORAGE"
"""Environment variable with the URL of a database for studies, as SQLAlchemy writes it."""


class Record:
    """One study: what was tried, and a place for what will be."""

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self.tried = [(trial.params, float(trial.value or 0.0)) for trial in study.get_trials(deepcopy=False)]
        """Parameters and value of each trial, in order."""

    def add(self, params: dict[str, float], space: dict[str, BaseDistribution], value: float) -> None:
        """Record a trial.

        Raises:
            StoreError: the database fails, or another process made the study anew.
        """
        with _errors(self._study.study_name):
            self._study.add_trial(optuna.create_trial(params=params, distributions=space, value=value))


@dataclass(frozen=True)
class Studies:
    """Studies whose names begin alike.

    A journal belongs to one blend and its studies are continued. A database is shared, and a study in it may be half of
    one, left by a process that was killed or still being written by one that was given up: it is made anew.
    """

    storage: BaseStorage
    prefix: str

    def open(self, name: str) -> Record:
        """The record of a study.

        Raises:
            StoreError: the database fails.
        """
        name = f"{self.prefix} {name}"
        anew = isinstance(self.storage, RDBStorage)
        with _errors(name):
            if anew and any(known.study_name == name for known in self.storage.get_all_studies()):
                optuna.delete_study(study_name=name, storage=self.storage)
            study = optuna.create_study(
                storage=self.storage, study_name=name, direction="maximize", load_if_exists=not anew
            )
            return Record(study)


@contextmanager
def open_database(url: str) -> Iterator[BaseStorage]:
    """Open the database of studies; its tables are made if they are missing.

    Raises:
        InputError: the URL is not SQLAlchemy's, or its driver is missing.
        StoreError: the database does not answer.
    """
    try:
        storage = RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
    except (ArgumentError, NoSuchModuleError):
        raise InputError(
            f"{OPTUNA_STORAGE} is no URL of a database; give for example postgresql+psycopg://USER@HOST:PORT/DATABASE"
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
    """The studies of one blend: in its journal, named after its inputs, or in a database, under the given name."""
    if database is None:
        journal.parent.mkdir(parents=True, exist_ok=True)
        yield Studies(JournalStorage(JournalFileBackend(str(journal))), inputs)
    else:
        with open_database(database) as storage:
            yield Studies(storage, name)


@contextmanager
def _errors(name: str) -> Iterator[None]:
    """Turn what a database raises into a StoreError; a KeyError is Optuna's word for a study that was deleted."""
    try:
        yield
    except (StorageInternalError, SQLAlchemyError, DuplicatedStudyError, KeyError) as error:
        raise StoreError(
            f"study '{name}' can't be recorded ({type(error).__name__}: {one_line(error)}); "
            f"see that the database of {OPTUNA_STORAGE} answers, then launch again"
        ) from None

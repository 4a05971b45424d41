"""A study as it is recorded: the trials so far, and a place for more."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from orchestrator.studies.storage import errors_of, open_storage

__all__ = ["About", "Record", "Studies", "Tried", "continue_studies", "describe", "open_studies", "stored_trials"]


@dataclass(frozen=True)
class About:
    """What a study says of itself to people who open it in Optuna Dashboard."""

    note: str = ""
    """Markdown."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """User attributes of the study."""
    metric: str = ""
    """Name of what is maximised."""


class Tried(NamedTuple):
    """A finished trial."""

    params: dict[str, Any]
    value: float
    about: dict[str, Any]
    """Its user attributes."""


class Record:
    """One study: the trials so far, and a place for more."""

    def __init__(self, study: optuna.Study, *, is_new: bool = False) -> None:
        self._study = study
        self.is_new = is_new
        """Whether this call has made the study."""
        self.tried: list[Tried] = []
        """All finished trials, in order."""
        self.refresh()

    @property
    def name(self) -> str:
        """Of the study."""
        return self._study.study_name

    def refresh(self) -> Sequence[Tried]:
        """Read the trials again: other processes may have added some. Returns those that are new.

        Raises:
            StoreError: the database fails.
        """
        with errors_of(self.name):
            found = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        known = len(self.tried)
        self.tried += [Tried(t.params, float(t.value or 0.0), t.user_attrs) for t in found[known:]]
        return self.tried[known:]

    def add(
        self, params: Mapping[str, Any], space: Mapping[str, BaseDistribution], value: float, about: Mapping[str, Any]
    ) -> None:
        """Record a trial, and what it is about: its user attributes.

        Raises:
            StoreError: the database fails, or another process replaced the study.
        """
        attributes = dict(about)
        self.put(
            optuna.create_trial(params=dict(params), distributions=dict(space), value=value, user_attrs=attributes)
        )

    def finished(self) -> list[FrozenTrial]:
        """All trials as Optuna has them, also those that were pruned or failed.

        Raises:
            StoreError: the database fails.
        """
        with errors_of(self.name):
            return self._study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))

    def put(self, trial: FrozenTrial) -> None:
        """Record a finished trial.

        Raises:
            StoreError: the database fails, or another process replaced the study.
        """
        with errors_of(self.name):
            self._study.add_trial(trial)


@dataclass(frozen=True)
class Studies:
    """Studies whose names share a prefix."""

    storage: BaseStorage
    prefix: str
    replaced: bool
    """Whether studies that are there are replaced. A study of a blend's job in a database may be incomplete, left by a
    killed process or still being written by an abandoned one."""

    def open(self, name: str, about: About | None = None) -> Record:
        """Open the record of a study.

        Args:
            name: of the study, after the prefix.
            about: what a new study says of itself.

        Raises:
            StoreError: the database fails.
        """
        name = f"{self.prefix} {name}"
        with errors_of(name):
            if self.replaced and any(known.study_name == name for known in self.storage.get_all_studies()):
                optuna.delete_study(study_name=name, storage=self.storage)
            try:
                study = optuna.create_study(storage=self.storage, study_name=name, direction="maximize")
            except DuplicatedStudyError:
                if self.replaced:
                    raise
                return Record(optuna.load_study(study_name=name, storage=self.storage))
            if about is not None:
                describe(study, about)
            return Record(study, is_new=True)


def describe(study: optuna.Study, about: About) -> None:
    """Have a study say what it is: a note, user attributes, the name of its metric."""
    from optuna_dashboard import save_note

    for name, value in about.facts.items():
        study.set_user_attr(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names([about.metric])
    save_note(study, about.note)


def stored_trials(journal: Path) -> dict[str, list[FrozenTrial]]:
    """The trials of all studies in a journal that is not to be changed, by name; none if it is not there."""
    if not journal.is_file():
        return {}
    with open_storage(journal) as storage:
        names = [known.study_name for known in storage.get_all_studies()]
        return {name: optuna.load_study(study_name=name, storage=storage).get_trials() for name in names}


@contextmanager
def open_studies(journal: Path, inputs: str, database: str | None, name: str) -> Iterator[Studies]:
    """The studies of one blend's job: in its journal, named after its inputs, or in a database, under a name.

    A journal belongs to one blend, and its studies are continued. A database is shared, and they are replaced.

    Raises:
        InputError: the URL is not one of SQLAlchemy, or its driver is missing.
        StoreError: the database does not answer.
    """
    with open_storage(journal, database) as storage:
        replaced = isinstance(storage, RDBStorage)
        yield Studies(storage, name if replaced else inputs, replaced)


@contextmanager
def continue_studies(journal: Path, database: str | None, prefix: str) -> Iterator[Studies]:
    """Studies that every process continues: in a database that was named by `--storage`, else in a journal.

    Raises:
        InputError: the URL is not one of SQLAlchemy, or its driver is missing.
        StoreError: the database does not answer.
    """
    with open_storage(journal, database, "--storage") as storage:
        yield Studies(storage, prefix, replaced=False)

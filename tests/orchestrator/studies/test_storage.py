"""Where studies are kept; PostgreSQL is in test_services.py."""

import subprocess
import sys
from pathlib import Path

import pytest
from optuna.storages import JournalStorage

from features.errors import InputError, StoreError
from orchestrator.studies.storage import OPTUNA_STORAGE, database_url, errors_of, open_storage

UNUSED = Path("unused")


def test_without_a_database_there_is_a_journal(tmp_path: Path) -> None:
    with open_storage(tmp_path / "made" / "optuna.journal") as storage:
        assert isinstance(storage, JournalStorage)
    assert (tmp_path / "made" / "optuna.journal").exists()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("no url", "is not a database URL"),
        ("oracle:///x", "install the driver"),
        ("nosuch://x", "is not a database URL"),
    ],
)
def test_a_url_that_cannot_be_opened_is_an_input_error(url: str, words: str) -> None:
    with pytest.raises(InputError, match=words), open_storage(UNUSED, url):
        pass


def test_a_database_that_fails_is_a_store_error_without_its_password(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'missing' / 'studies.db'}"
    with pytest.raises(StoreError, match="launch again when it answers"), open_storage(UNUSED, url):
        pass


def test_the_environment_names_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OPTUNA_STORAGE, "")
    assert database_url() is None
    monkeypatch.setenv(OPTUNA_STORAGE, "sqlite:///x")
    assert database_url() == "sqlite:///x"


def test_processes_that_create_a_database_at_once_wait_for_each_other(tmp_path: Path) -> None:
    lines = "import sys; from pathlib import Path; from orchestrator.studies.storage import open_storage\n"
    lines += "with open_storage(Path('unused'), sys.argv[1]): pass"
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    ones = [subprocess.Popen([sys.executable, "-c", lines, url], stderr=subprocess.PIPE) for _ in range(3)]
    for one in ones:
        _, error = one.communicate(timeout=120)
        assert one.returncode == 0, error.decode()


def test_the_option_is_named_that_gave_the_url() -> None:
    with pytest.raises(InputError, match="--storage is not a database URL"), open_storage(UNUSED, "x", "--storage"):
        pass


def test_an_error_of_optuna_names_the_study() -> None:
    with pytest.raises(StoreError, match="study 'tiny' can't be recorded \\(KeyError"), errors_of("tiny"):
        raise KeyError("no such study")

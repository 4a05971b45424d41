"""Studies in a journal and in a database that is a file; PostgreSQL is in test_services.py."""

from pathlib import Path

import pytest
from optuna import get_all_study_names, load_study
from optuna.distributions import FloatDistribution

from features.errors import InputError, StoreError
from orchestrator.blending.studies import OPTUNA_STORAGE, database_url, open_studies

SPACE = {"rounds": FloatDistribution(-1, 1)}
UNUSED = Path("unused")


def test_a_journal_is_continued(tmp_path: Path) -> None:
    journal = tmp_path / "made" / "study.journal"
    for value in (0.25, 0.5):
        with open_studies(journal, "inputs", None, "name") as studies:
            studies.open("all folds").add({"rounds": value}, SPACE, value * 2, {})
    with open_studies(journal, "inputs", None, "name") as studies:
        tried = [({"rounds": 0.25}, 0.5), ({"rounds": 0.5}, 1.0)]
        assert studies.open("all folds").tried == tried
        assert studies.open("without fold 0").tried == []
    with open_studies(journal, "other inputs", None, "name") as studies:
        assert studies.open("all folds").tried == []


def test_a_study_in_a_database_is_replaced(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    with open_studies(UNUSED, "inputs", url, "blend-1") as studies:
        studies.open("all folds").add({"rounds": 0.25}, SPACE, 0.5, {})
        studies.open("without fold 0").add({"rounds": 0.75}, SPACE, 0.6, {})
        assert studies.open("all folds").tried == []
    (name,) = [name for name in get_all_study_names(url) if name.endswith("without fold 0")]
    assert name == "blend-1 without fold 0"
    assert [trial.value for trial in load_study(study_name=name, storage=url).trials] == [0.6]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("no url", "is not a database URL"),
        ("oracle:///x", "install the driver"),
        ("nosuch://x", "is not a database URL"),
    ],
)
def test_a_url_that_cannot_be_opened_is_an_input_error(url: str, words: str) -> None:
    with pytest.raises(InputError, match=words), open_studies(UNUSED, "inputs", url, "name"):
        pass


def test_a_database_that_fails_is_a_store_error_without_its_password(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'missing' / 'studies.db'}"
    with pytest.raises(StoreError, match="launch again when it answers"), open_studies(UNUSED, "inputs", url, "name"):
        pass


def test_the_environment_names_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OPTUNA_STORAGE, "")
    assert database_url() is None
    monkeypatch.setenv(OPTUNA_STORAGE, "sqlite:///x")
    assert database_url() == "sqlite:///x"
